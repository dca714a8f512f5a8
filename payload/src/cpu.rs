//! The CPUs: what each is told to do, and what it has done.
//!
//! A CPU that is up waits by WFE for a [`Job`], a function that it runs with an argument. Jobs that
//! never return put it into a state (see `states`).

use crate::call::{self, code};
use crate::entry::{self, EntryStateCell};
use crate::exception::Handler;
use crate::gic::v2;
use crate::hints;
use crate::outcome::{Failure, Outcome, ensure, expect, fail};
use crate::time::{self, wait_until};
use crate::tree::Machine;
use arm_sysregs::el1::accessors::read_mpidr_el1;
use core::arch::asm;
use core::fmt::Display;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use smccc::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_ON_64};

/// CPUs that the probe has room for.
pub const MAX_CPUS: usize = 512;
/// Size of a secondary CPU's stack in bytes.
pub const STACK_SIZE: u64 = 16 * 1024;
/// `MPIDR_EL1`: the affinity fields.
pub const AFFINITY_MASK: u64 = 0xff_00ff_ffff;
/// How long CPUs are waited for, in milliseconds: long enough for 130 vCPUs on a slow host.
pub const PATIENCE: u64 = 60_000;

/// A function for a CPU to run. It gets the CPU that it runs on, and an argument.
pub type Job = fn(&'static Cpu, u64) -> u64;

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
    /// Calls that it has made.
    pub calls: AtomicU64,
    /// How often it came in through [`entry::secondary_entry`].
    pub entered: AtomicU32,
    /// Set by a job that never returns when it has got there.
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

    /// Runs a job on the CPU and waits for its result.
    pub fn run(&self, job: Job, argument: u64) -> Outcome<u64> {
        self.start(job, argument);
        ensure!(
            wait_until(PATIENCE, || self.result().is_some()),
            "CPU {:#x}: expected to end its job within {PATIENCE} ms, seen nothing",
            self.mpidr()
        );
        Ok(self.result.load(Relaxed))
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

    /// `CPU_ON` for this CPU, with the probe's own entry.
    pub fn turn_on(&self) -> i64 {
        let context = &raw const *self as u64;
        call::psci(
            PSCI_CPU_ON_64,
            [self.mpidr(), entry::secondary_entry(), context],
        )
    }

    /// `AFFINITY_INFO` of this CPU.
    pub fn affinity_info(&self) -> i64 {
        call::psci(PSCI_AFFINITY_INFO_64, [self.mpidr(), 0, 0])
    }

    /// Says that a job that never returns has got where it was going.
    pub fn say_reached(&self) {
        self.reached.store(1, Release);
        hints::send_event();
    }

    fn run_on_entry(&'static self) {
        let job = self.on_entry.load(Acquire);
        if job != 0 {
            // SAFETY: only `set_on_entry` writes it, from a `Job`.
            let job = unsafe { core::mem::transmute::<usize, Job>(job) };
            job(self, 0);
        }
    }
}

static CPUS: [Cpu; MAX_CPUS] = [const { Cpu::new() }; MAX_CPUS];

/// The CPUs of the machine, in the order of the device tree.
#[derive(Clone, Copy)]
pub struct Cpus {
    /// All of them.
    pub all: &'static [Cpu],
    /// The one that this generation was entered on.
    pub boot: &'static Cpu,
}

impl Cpus {
    /// Sets up what the device tree says, with stacks from `stacks` on for the secondary CPUs.
    pub fn new(machine: &Machine, stacks: u64) -> Outcome<Self> {
        let count = machine.cpus.len();
        let Some(all) = CPUS.get(..count) else {
            fail!("expected at most {MAX_CPUS} CPUs, seen {count}")
        };
        for ((cpu, mpidr), n) in all.iter().zip(machine.cpus.iter()).zip(1u64..) {
            cpu.mpidr.store(*mpidr, Relaxed);
            cpu.stack_top.store(stacks + n * STACK_SIZE, Relaxed);
        }
        let own = own_mpidr();
        let Some(boot) = all.iter().find(|cpu| cpu.mpidr() == own) else {
            fail!("expected the boot CPU {own:#x} in the device tree, seen {count} others")
        };
        set_current(boot);
        Ok(Self { all, boot })
    }

    /// All CPUs but the boot CPU.
    pub fn others(&self) -> impl Iterator<Item = &'static Cpu> + Clone + use<> {
        let boot = self.boot;
        self.all
            .iter()
            .filter(move |cpu| !core::ptr::eq(*cpu, boot))
    }

    /// Turns a CPU set on and waits until all of it has come up.
    pub fn bring_up(&self, which: impl Iterator<Item = &'static Cpu> + Clone) -> Outcome {
        for cpu in which.clone() {
            cpu.entered.store(0, Relaxed);
            expect(
                format_args!("CPU_ON of CPU {:#x}", cpu.mpidr()),
                code::SUCCESS,
                cpu.turn_on(),
            )?;
        }
        wait_for(which, "to come up after CPU_ON", |cpu| {
            cpu.entered.load(Acquire) == 1
        })
    }

    /// Calls that all CPUs have made.
    pub fn calls(&self) -> u64 {
        self.all.iter().map(|cpu| cpu.calls.load(Relaxed)).sum()
    }
}

/// Waits until `condition` holds for each of some CPUs, one after another.
///
/// A condition must stay true once it is. The failure names the first CPU that it isn't true for.
pub fn wait_for(
    mut which: impl Iterator<Item = &'static Cpu>,
    what: impl Display,
    mut condition: impl FnMut(&'static Cpu) -> bool,
) -> Outcome {
    let mut waiting = which.next();
    let done = wait_until(PATIENCE, || {
        while waiting.is_some_and(&mut condition) {
            waiting = which.next();
        }
        waiting.is_none()
    });
    match waiting {
        Some(cpu) if !done => Err(Failure::new(format_args!(
            "CPU {:#x}: expected {what} within {PATIENCE} ms, seen nothing (AFFINITY_INFO {})",
            cpu.mpidr(),
            cpu.affinity_info()
        ))),
        _ => Ok(()),
    }
}

/// Where secondary CPUs come in from `start.S`, with the MMU on.
pub extern "C" fn secondary_main(this: &'static Cpu) -> ! {
    time::init_event_stream();
    v2::learn(this);
    this.done.store(this.asked.load(Acquire), Relaxed);
    this.entered.store(this.entered.load(Relaxed) + 1, Release);
    hints::send_event();
    this.run_on_entry();
    loop {
        let asked = this.asked.load(Acquire);
        if asked == this.done.load(Relaxed) {
            hints::wait_for_event();
            continue;
        }
        // SAFETY: only `start` writes it, from a `Job`, before it raises `asked`.
        let job = unsafe { core::mem::transmute::<usize, Job>(this.job.load(Relaxed)) };
        let result = job(this, this.argument.load(Relaxed));
        this.result.store(result, Relaxed);
        this.done.store(asked, Release);
        hints::send_event();
    }
}

/// The affinity fields of this CPU's `MPIDR_EL1`.
pub fn own_mpidr() -> u64 {
    read_mpidr_el1().bits() & AFFINITY_MASK
}

/// The CPU that this runs on; the boot CPU's place before it is known which one that is.
pub fn current() -> &'static Cpu {
    static NOBODY: Cpu = Cpu::new();
    try_current().unwrap_or(&NOBODY)
}

/// The CPU that this runs on, once [`Cpus::new`] has run.
pub fn try_current() -> Option<&'static Cpu> {
    let pointer: *const Cpu;
    // SAFETY: reads a register that belongs to the probe.
    unsafe {
        asm!("mrs {}, tpidr_el1", out(reg) pointer, options(nomem, nostack, preserves_flags))
    };
    // SAFETY: TPIDR_EL1 is 0 or the address of an element of `CPUS` (`start.S`, `set_current`).
    unsafe { pointer.as_ref() }
}

fn set_current(cpu: &'static Cpu) {
    // SAFETY: TPIDR_EL1 has no effect of its own.
    unsafe { asm!("msr tpidr_el1, {}", in(reg) &raw const *cpu as u64, options(nomem, nostack)) };
}
