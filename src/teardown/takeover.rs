//! What the CPUs of a takeover share.

use super::barrier::Barrier;
use super::gate::{Gate, Pass};
use crate::abi;
use crate::arch::barrier::sev;
use crate::cpu::Cpu;
use crate::linux::image::PageSize;
use crate::linux::kexec_plan::{NextKernel, Plan, PlanError, Request};
use crate::linux::kimage::{Kimage, KimageError};
use crate::machine::Machine;
use crate::memory::heap::Relax;
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use spin::mutex::SpinMutex;
use thiserror::Error;

/// Who asked for the next kernel, and for which.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// Linux at its call of `machine_kexec()`, by the kimage at this physical address.
    Hook {
        /// Physical address of the kimage.
        kimage: u64,
        /// The kernel's page size.
        page: PageSize,
    },
    /// A guest, by [`abi::KEXEC`].
    Call {
        /// Physical address of the list.
        list: u64,
        /// Physical address of the next kernel's first instruction.
        entry: u64,
        /// Physical address of its device tree.
        device_tree: u64,
    },
}

/// Why what was asked for is refused.
#[derive(Clone, Copy, Debug, Error)]
pub enum PlanRefused {
    /// The kimage is none.
    #[error(transparent)]
    Kimage(#[from] KimageError),
    /// The list, a segment or the entry is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// When the takeover as a whole did what, in ticks of CNTPCT_EL0.
#[derive(Debug, Default)]
pub struct Milestones {
    /// The request reached the monitor.
    pub requested: AtomicU64,
    /// The list was found valid.
    pub validated: AtomicU64,
    /// The generation had ended, and all CPUs were kicked.
    pub kicked: AtomicU64,
    /// All CPUs had finished phase 1.
    pub phase1_end: AtomicU64,
    /// The boot CPU had finished phase 2.
    pub phase2_end: AtomicU64,
    /// All CPUs had finished phase 3.
    pub phase3_end: AtomicU64,
    /// The next kernel was entered.
    pub entered: AtomicU64,
}

/// On the heap, as it is large.
struct PlanCell(Box<UnsafeCell<Plan>>);

// SAFETY: Written by whoever has the gate's `Preparation` or `Closed`, of which there is one; read
// by other CPUs only between a release and the end of phase 3, when that one does not write.
unsafe impl Sync for PlanCell {}

/// The takeover: the last one, or the one that is under way.
pub struct Takeover {
    /// Keeps the set of CPUs still while they are taken.
    pub gate: Gate,
    /// The takeovers that have begun.
    epoch: AtomicU64,
    /// The last one whose phase 3 has begun.
    released: AtomicU64,
    /// All have finished phase 1.
    pub arrived: Box<Barrier>,
    /// All have finished phase 3.
    pub loaded: Box<Barrier>,
    /// Held for a step that is not safe in parallel.
    pub turn: SpinMutex<(), Relax>,
    /// How many CPUs the monitor has; held while one comes or goes.
    expected: SpinMutex<usize, Relax>,
    /// CPUs that copy, and whether these are all CPUs, so that a CPU's index is its place.
    sharers: AtomicU32,
    all_share: AtomicU32,
    plan: PlanCell,
    /// A CPU could not copy its share.
    spoilt: AtomicBool,
    /// A CPU was given up, or a step failed.
    troubled: AtomicBool,
    /// The boot CPU's index.
    pub boot_cpu: AtomicU64,
    /// [`abi::DOOR_HOOK`] or [`abi::DOOR_CALL`].
    pub door: AtomicU64,
    /// CPUs that were given up.
    pub missing: AtomicU64,
    /// When what was done.
    pub times: Milestones,
}

impl Takeover {
    /// Returns the state in which no takeover has been.
    pub fn new() -> Self {
        Self {
            gate: Gate::new(),
            epoch: AtomicU64::new(0),
            released: AtomicU64::new(0),
            arrived: Box::default(),
            loaded: Box::default(),
            turn: SpinMutex::new(()),
            expected: SpinMutex::new(0),
            sharers: AtomicU32::new(0),
            all_share: AtomicU32::new(0),
            plan: PlanCell(Box::new(UnsafeCell::new(Plan::new()))),
            spoilt: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            boot_cpu: AtomicU64::new(0),
            door: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            times: Milestones::default(),
        }
    }

    /// Returns how many takeovers have begun: a CPU whose own epoch is another one belongs to a
    /// kernel that is no more.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// The monitor will have `cpu` from now on; it belongs to the current generation.
    pub fn expect(&self, cpu: &Cpu, _: &Pass) {
        cpu.epoch.store(self.epoch(), Relaxed);
        self.add(cpu);
    }

    /// As [`Takeover::expect`], for the CPUs that are there before the first guest.
    pub fn expect_boot_cpu(&self, cpu: &Cpu) {
        self.add(cpu);
    }

    /// Firmware did not start `cpu` after all, or has it again.
    pub fn expect_no_longer(&self, cpu: &Cpu, _: &Pass) {
        self.remove(cpu);
    }

    fn add(&self, cpu: &Cpu) {
        let mut expected = self.expected.lock();
        if !cpu.started.swap(true, AcqRel) {
            *expected += 1;
            self.arrived.add(cpu.index);
            self.loaded.add(cpu.index);
        }
    }

    fn remove(&self, cpu: &Cpu) {
        let mut expected = self.expected.lock();
        if cpu.started.swap(false, AcqRel) {
            *expected -= 1;
            self.arrived.remove(cpu.index);
            self.loaded.remove(cpu.index);
        }
    }

    /// Validates what is asked for: the dry run, with all CPUs still in the guest.
    ///
    /// # Errors
    ///
    /// [`PlanRefused`]; nothing has been stopped.
    ///
    /// # Safety
    ///
    /// The caller has the gate's `Preparation`.
    pub unsafe fn validate(&self, machine: &Machine, asked: Asked) -> Result<(), PlanRefused> {
        // SAFETY: The caller is the only one that has the plan.
        let plan = unsafe { &mut *self.plan.0.get() };
        let memory = &machine.ram;
        let pages = |size: PageSize| machine.ram.banks().total() / size.bytes();
        match asked {
            Asked::Hook { kimage, page } => {
                let kimage = Kimage::read(memory, kimage)?;
                plan.prepare(memory, page, pages(page), Request::Kimage(&kimage))?;
            }
            Asked::Call {
                list,
                entry,
                device_tree,
            } => {
                let page = PageSize::Size4K;
                let request = Request::Call {
                    list,
                    entry,
                    device_tree,
                };
                plan.prepare(memory, page, pages(page), request)?;
            }
        }
        Ok(())
    }

    /// Begins the takeover, and returns its epoch. From here on every exit leads to `join`.
    pub fn begin(&self, boot_cpu: &Cpu) -> u64 {
        self.troubled.store(false, Relaxed);
        self.boot_cpu.store(boot_cpu.index as u64, Relaxed);
        self.epoch.fetch_add(1, AcqRel) + 1
    }

    /// Decides which part of the plan each CPU copies.
    pub fn share_out(&self, machine: &Machine, epoch: u64, missing: usize) {
        self.missing.store(missing as u64, Relaxed);
        if missing > 0 {
            self.note_trouble();
        }
        let sharers = *self.expected.lock() - missing;
        let all = sharers == machine.cpus.len();
        if !all {
            let arrived = machine
                .cpus
                .iter()
                .filter(|cpu| cpu.arrival.has_arrived(epoch));
            for (cpu, place) in arrived.zip(0..) {
                cpu.share.store(place, Relaxed);
            }
        }
        self.sharers.store(sharers as u32, Relaxed);
        self.all_share.store(all.into(), Relaxed);
    }

    /// Returns whether some CPUs take no part. To be called after [`Takeover::share_out`].
    pub fn has_absent(&self) -> bool {
        self.all_share.load(Relaxed) == 0
    }

    /// Lets all CPUs go on to phase 3.
    pub fn release(&self, epoch: u64) {
        self.released.store(epoch, Release);
        sev();
    }

    /// Returns whether phase 3 of `epoch` has begun.
    pub fn is_released(&self, epoch: u64) -> bool {
        self.released.load(Acquire) >= epoch
    }

    /// Returns the plan, and which part of how many is `cpu`'s.
    ///
    /// # Safety
    ///
    /// Only in phase 3.
    pub unsafe fn share_of(&self, cpu: &Cpu) -> (&Plan, usize, usize) {
        // SAFETY: In phase 3 nobody writes it.
        let plan = unsafe { &*self.plan.0.get() };
        let place = match self.all_share.load(Relaxed) {
            0 => cpu.share.load(Relaxed) as usize,
            _ => cpu.index,
        };
        (plan, place, self.sharers.load(Relaxed) as usize)
    }

    /// There is something to name in the report.
    pub fn note_trouble(&self) {
        self.troubled.store(true, Relaxed);
    }

    /// Returns whether there is something to name in the report.
    pub fn is_troubled(&self) -> bool {
        self.troubled.load(Relaxed)
    }

    /// A CPU could not copy its share: there is no next kernel.
    pub fn spoil(&self) {
        self.spoilt.store(true, Relaxed);
    }

    /// Returns whether a CPU could not copy its share. To be called after phase 3.
    pub fn is_spoilt(&self) -> bool {
        self.spoilt.load(Relaxed)
    }

    /// Returns how many bytes the plan moves. To be called by the boot CPU after phase 3.
    pub fn bytes(&self) -> u64 {
        // SAFETY: Nobody writes the plan before the gate is open again.
        let plan = unsafe { &*self.plan.0.get() };
        plan.pages() * plan.page_size()
    }

    /// Returns where the next kernel begins. To be called by the boot CPU after phase 3.
    pub fn next_kernel(&self) -> NextKernel {
        // SAFETY: Nobody writes the plan before the gate is open again.
        unsafe { (*self.plan.0.get()).next_kernel() }
    }

    /// CPUs that were given up are not expected again before they come.
    pub fn forget_missing(&self, machine: &Machine, epoch: u64, missing: usize) {
        if missing > 0 {
            let given_up = machine
                .cpus
                .iter()
                .filter(|cpu| cpu.arrival.is_missing(epoch));
            given_up.for_each(|cpu| self.remove(cpu));
        }
    }
}

impl Default for Takeover {
    fn default() -> Self {
        Self::new()
    }
}

impl Asked {
    /// Returns what the report calls it.
    pub fn door(&self) -> u64 {
        match self {
            Self::Hook { .. } => abi::DOOR_HOOK,
            Self::Call { .. } => abi::DOOR_CALL,
        }
    }
}
