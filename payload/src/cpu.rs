// SPDX-License-Identifier: Apache-2.0
//! One CPU: who it is, what it was told to do, and what came of it.
//!
//! A CPU that is up waits by WFE for a [`Job`], a function that it runs with an argument (see `jobs`).
//! Jobs that never return put it into a state (see `states`).

use crate::entry_state::EntryStateCell;
use crate::hints;
use arm_sysregs::el1::accessors::read_mpidr_el1;
use core::arch::asm;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

/// CPUs that the probe has room for.
pub const MAX_CPUS: usize = 512;
/// Size of a secondary CPU's stack in bytes.
pub const STACK_SIZE: u64 = 16 * 1024;
/// `MPIDR_EL1`: the affinity fields.
pub const AFFINITY_MASK: u64 = 0xff_00ff_ffff;

/// A function for a CPU to run. It gets the CPU that it runs on, and an argument.
pub type Job = fn(&'static Cpu, u64) -> u64;

/// Registers of an exception, as `vectors.S` saves and restores them.
#[repr(C)]
pub struct Frame {
    pub x: [u64; 31],
    pub elr: u64,
    pub spsr: u64,
    pub esr: u64,
    pub far: u64,
    _pad: u64,
}

/// Handles the synchronous exceptions of a CPU in place of `exception`.
pub type Handler = fn(&'static Cpu, &mut Frame);

/// A CPU. `start.S` knows where `stack_top`, `guard` and `entry_state` are.
#[repr(C, align(128))]
pub struct Cpu {
    /// Where its stack begins.
    pub stack_top: AtomicU64,
    /// Stack pointer to return to when a guarded function faults, or 0.
    pub guard: AtomicU64,
    /// `ESR_EL1` of the last guarded fault.
    pub fault_esr: AtomicU64,
    /// `FAR_EL1` of the last guarded fault.
    pub fault_far: AtomicU64,
    /// The affinity fields of its `MPIDR_EL1`.
    pub mpidr: AtomicU64,
    /// Physical address of its redistributor, or 0.
    pub redistributor: AtomicU64,
    /// With a GICv2, the bit of its CPU interface among the targets of an interrupt.
    pub targets: AtomicU64,
    /// Counts on while the CPU runs in a state that counts.
    pub heartbeat: AtomicU64,
    /// SMCs and HVCs that it has made.
    pub calls: AtomicU64,
    /// How often it came in through [`secondary_entry`](crate::image::secondary_entry).
    pub entered: AtomicU32,
    /// Set by a job that never returns, once the CPU is in the state that the job puts it into.
    pub reached: AtomicU32,
    /// What it was entered with.
    pub entry_state: EntryStateCell,
    asked: AtomicU32,
    done: AtomicU32,
    job: AtomicUsize,
    argument: AtomicU64,
    result: AtomicU64,
    on_entry: AtomicUsize,
    handler: AtomicUsize,
}

impl Cpu {
    const fn new() -> Self {
        Self {
            stack_top: AtomicU64::new(0),
            guard: AtomicU64::new(0),
            fault_esr: AtomicU64::new(0),
            fault_far: AtomicU64::new(0),
            mpidr: AtomicU64::new(0),
            redistributor: AtomicU64::new(0),
            targets: AtomicU64::new(0),
            heartbeat: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            entered: AtomicU32::new(0),
            reached: AtomicU32::new(0),
            entry_state: EntryStateCell::new(),
            asked: AtomicU32::new(0),
            done: AtomicU32::new(0),
            job: AtomicUsize::new(0),
            argument: AtomicU64::new(0),
            result: AtomicU64::new(0),
            on_entry: AtomicUsize::new(0),
            handler: AtomicUsize::new(0),
        }
    }

    /// The affinity fields of its `MPIDR_EL1`.
    pub fn mpidr(&self) -> u64 {
        self.mpidr.load(Relaxed)
    }

    /// Its place in the device tree, counted from 0.
    pub fn place(&self) -> usize {
        let offset = (&raw const *self as usize).wrapping_sub(CPUS.as_ptr() as usize);
        offset / size_of::<Self>()
    }

    /// Gives the CPU a job. It must be up and idle.
    pub fn start(&self, job: Job, argument: u64) {
        self.reached.store(0, Relaxed);
        self.job.store(job as usize, Relaxed);
        self.argument.store(argument, Relaxed);
        self.asked
            .store(self.asked.load(Relaxed).wrapping_add(1), Release);
        hints::send_event();
    }

    /// The result of the last job, if it has ended.
    pub fn result(&self) -> Option<u64> {
        (self.done.load(Acquire) == self.asked.load(Relaxed)).then(|| self.result.load(Relaxed))
    }

    /// Sets a job that the CPU runs first whenever it comes up.
    pub fn set_on_entry(&self, job: Option<Job>) {
        self.on_entry
            .store(job.map_or(0, |job| job as usize), Release);
    }

    /// Sets what the CPU does with its synchronous exceptions from now on.
    pub fn set_handler(&self, handler: Handler) {
        self.handler.store(handler as usize, Relaxed);
    }

    /// What [`Cpu::set_handler`] has set.
    pub fn handler(&self) -> Option<Handler> {
        let handler = self.handler.load(Relaxed);
        // SAFETY: only `set_handler` writes it, from a `Handler`.
        (handler != 0).then(|| unsafe { core::mem::transmute::<usize, Handler>(handler) })
    }

    /// Notes that the CPU is in the state that its job puts it into.
    pub fn say_reached(&self) {
        self.reached.store(1, Release);
        hints::send_event();
    }

    /// Notes that the CPU came up: a job that it had before is over.
    pub fn come_up(&self) {
        self.done.store(self.asked.load(Acquire), Relaxed);
        self.entered.store(self.entered.load(Relaxed) + 1, Release);
        hints::send_event();
    }

    /// On the CPU itself: runs the job of [`Cpu::set_on_entry`], if there is one.
    pub fn run_on_entry(&'static self) {
        let job = self.on_entry.load(Acquire);
        if job != 0 {
            // SAFETY: only `set_on_entry` writes it, from a `Job`.
            let job = unsafe { core::mem::transmute::<usize, Job>(job) };
            job(self, 0);
        }
    }

    /// On the CPU itself: runs the job of [`Cpu::start`]. `false` if there is none to run.
    pub fn run_pending(&'static self) -> bool {
        let asked = self.asked.load(Acquire);
        if asked == self.done.load(Relaxed) {
            return false;
        }
        // SAFETY: only `start` writes it, from a `Job`, before it raises `asked`.
        let job = unsafe { core::mem::transmute::<usize, Job>(self.job.load(Relaxed)) };
        let result = job(self, self.argument.load(Relaxed));
        self.result.store(result, Relaxed);
        self.done.store(asked, Release);
        hints::send_event();
        true
    }
}

static CPUS: [Cpu; MAX_CPUS] = [const { Cpu::new() }; MAX_CPUS];

/// The first `count` CPUs; `None` if there is room for fewer.
pub fn first(count: usize) -> Option<&'static [Cpu]> {
    CPUS.get(..count)
}

/// The affinity fields of this CPU's `MPIDR_EL1`.
pub fn own_mpidr() -> u64 {
    read_mpidr_el1().bits() & AFFINITY_MASK
}

/// The CPU that this runs on, or a stand-in before [`set_current`] has told it.
pub fn current() -> &'static Cpu {
    static NOBODY: Cpu = Cpu::new();
    try_current().unwrap_or(&NOBODY)
}

/// The CPU that this runs on, once [`set_current`] has told it.
pub fn try_current() -> Option<&'static Cpu> {
    let pointer: *const Cpu;
    // SAFETY: reads a register that belongs to the probe.
    unsafe {
        asm!("mrs {}, tpidr_el1", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    // SAFETY: TPIDR_EL1 is 0 or the address of an element of `CPUS` (`start.S`, `set_current`).
    unsafe { pointer.as_ref() }
}

/// Tells the CPU that runs this that it is `cpu`.
pub fn set_current(cpu: &'static Cpu) {
    // SAFETY: TPIDR_EL1 has no effect of its own.
    unsafe { asm!("msr tpidr_el1, {}", in(reg) &raw const *cpu as u64, options(nomem, nostack)) };
}
