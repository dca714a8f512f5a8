//! What the CPUs of a takeover share.

use super::hardware::Milestone;
use super::rendezvous::Rendezvous;
use crate::abi;
use crate::arch::time;
use crate::cpu::Cpu;
use crate::linux::image::PageSize;
use crate::linux::kexec_plan::{NextKernel, Plan, PlanError, Request};
use crate::linux::kimage::{Kimage, KimageError};
use crate::machine::Machine;
use crate::sync::Lock;
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU64};
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
    /// Who is taken, and how they find together.
    pub rendezvous: Rendezvous,
    /// Held for a step that is not safe in parallel.
    pub turn: Lock<()>,
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
            rendezvous: Rendezvous::new(),
            turn: Lock::new(()),
            plan: PlanCell(Box::new(UnsafeCell::new(Plan::new()))),
            spoilt: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            boot_cpu: AtomicU64::new(0),
            door: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            times: Milestones::default(),
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

    /// It is now that the takeover has come to `milestone`.
    pub fn reached(&self, milestone: Milestone) {
        let time = match milestone {
            Milestone::Kicked => &self.times.kicked,
            Milestone::Phase1 => &self.times.phase1_end,
            Milestone::Phase2 => &self.times.phase2_end,
            Milestone::Phase3 => &self.times.phase3_end,
        };
        time.store(time::now(), Relaxed);
    }

    /// `boot_cpu` asks for a takeover: nothing of the last one counts any more.
    pub fn clear(&self, boot_cpu: &Cpu) {
        self.troubled.store(false, Relaxed);
        self.missing.store(0, Relaxed);
        self.boot_cpu.store(boot_cpu.index as u64, Relaxed);
    }

    /// The takeover goes on without `missing` CPUs.
    pub fn note_missing(&self, missing: usize) {
        self.missing.store(missing as u64, Relaxed);
        self.note_trouble();
    }

    /// Returns the plan, and which part of how many is `cpu`'s.
    ///
    /// # Safety
    ///
    /// Only in phase 3.
    pub unsafe fn share_of(&self, cpu: &Cpu) -> (&Plan, usize, usize) {
        // SAFETY: In phase 3 nobody writes it.
        let plan = unsafe { &*self.plan.0.get() };
        let (place, of) = self.rendezvous.share_of(cpu);
        (plan, place, of)
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
