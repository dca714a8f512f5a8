// SPDX-License-Identifier: Apache-2.0
//! What the CPUs of a takeover share.

use crate::arch::time;
use crate::machine::cpu::Cpu;
use crate::machine::dump::Dump;
use crate::machine::next_tree::NextTree;
use crate::machine::prepared_report::PreparedReport;
use crate::machine::request::{InvalidRequest, Way};
use crate::machine::validated::{Asked, SIZE_WORD, Validated, write_tree};
use crate::memory::guest_ram::GuestRam;
use crate::memory::hotplug::HotPlugged;
use crate::memory::kexec_memory::{KexecMemory, LinearMap};
use crate::memory::stage1::MmuConfig;
use crate::memory::stage2::Generations;
use alloc::boxed::Box;
use baton_core::devicetree::guest_console::Usage;
use baton_core::devicetree::uefi::Uefi;
use baton_core::linux::kexec_plan::{NextKernel, Part, Plan};
use baton_core::linux::kimage::Kimage;
use baton_core::smp::platform::Milestone;
use baton_core::smp::rendezvous::Rendezvous;
use baton_core::sync::Lock;
use core::cell::UnsafeCell;
use core::ops::Range;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// When the takeover as a whole did what, in ticks of CNTPCT_EL0.
#[derive(Debug, Default)]
pub struct Milestones {
    /// The request reached the monitor.
    pub requested: AtomicU64,
    /// The generation had ended, and the boot CPU began to kick the others.
    pub ended: AtomicU64,
    /// The generation had ended, and all CPUs were kicked.
    pub kicked: AtomicU64,
    /// All CPUs were in the monitor.
    pub gathered: AtomicU64,
    /// The request was found valid.
    pub validated: AtomicU64,
    /// How many ticks of the check the boot CPU worked alone (not a time).
    pub checked_alone: AtomicU64,
    /// How many ticks of these it looked at the next kernel's device tree (not a time).
    pub checked_tree: AtomicU64,
    /// The request was refused, and the boot CPU began to have all CPUs go on.
    pub refused: AtomicU64,
    /// All CPUs had finished phase 1.
    pub phase1_end: AtomicU64,
    /// The boot CPU had finished phase 2.
    pub phase2_end: AtomicU64,
    /// All CPUs had finished phase 3.
    pub phase3_end: AtomicU64,
    /// The next kernel was entered.
    pub entered: AtomicU64,
}

/// How long a crash kernel may take to be verified, in microseconds: less than CPUs have for phase 3.
pub const VERIFY_US: u64 = 50_000_000;

/// The look whether a crash kernel is as it was loaded.
pub struct Verification {
    /// The generation whose kernel was looked at last.
    ended: AtomicU64,
    /// How many bytes were found to be as they were.
    pub bytes: AtomicU64,
    /// How many ticks of CNTPCT_EL0 that took.
    pub ticks: AtomicU64,
}

impl Verification {
    /// Returns whether the kernel of `generation` was looked at.
    pub fn has_ended(&self, generation: u64) -> bool {
        self.ended.load(Acquire) == generation
    }

    /// The kernel of `generation` was looked at.
    pub fn end(&self, generation: u64) {
        self.ended.store(generation, Release);
    }
}

/// Locks for clusters. Two clusters that have the same one wait for each other.
const CLUSTERS: usize = 16;

/// On the heap, as it is large.
struct PlanCell(Box<UnsafeCell<Validated>>);

/// One CPU's part in the check.
struct PartCell(UnsafeCell<Part>);

// SAFETY: Written by the CPU that has the place among those that check, between an order to check and when
// it has; read by the boot CPU when all have.
unsafe impl Sync for PartCell {}

// SAFETY: Written by whoever has the gate's `Preparation` or `Closed`, of which there is one; read
// by other CPUs only between an order to check or copy and when they have, when that one does not write.
unsafe impl Sync for PlanCell {}

/// The next kernel's device tree.
struct TreeCell(UnsafeCell<Option<NextTree>>);

// SAFETY: Whoever has the gate's `Preparation` or `Closed` uses it, of which there is one.
unsafe impl Sync for TreeCell {}

/// The takeover: the last one, or the one that is under way.
pub struct Takeover {
    /// Who is taken, and how they find together.
    pub rendezvous: Rendezvous,
    /// Held for a step that is not safe in parallel.
    pub serial: Lock<()>,
    /// Held for what the CPUs of a cluster share: [`cluster`](baton_core::mpidr::cluster) modulo their count.
    pub clusters: [Lock<()>; CLUSTERS],
    plan: PlanCell,
    /// By the place of a CPU among those that check.
    parts: Box<[PartCell]>,
    tree: TreeCell,
    /// What of the report is written in phase 3.
    pub report: Box<PreparedReport>,
    /// What is asked for, or was last, came after a panic.
    is_crash: AtomicBool,
    /// Where the registers of all CPUs go after a panic.
    pub dump: Lock<Dump>,
    /// The look at the crash kernel.
    pub verification: Verification,
    /// A CPU could not copy its share.
    copy_failed: AtomicBool,
    /// A CPU was given up, or a step failed.
    troubled: AtomicBool,
    /// How many requests were accepted: the number of the kernel that runs, or is being loaded.
    reboots: AtomicU64,
    /// The boot CPU's index.
    pub boot_cpu: AtomicU64,
    /// [`baton_abi::ReportHeader::source`].
    pub source: AtomicU64,
    /// CPUs that were given up.
    pub missing: AtomicU64,
    /// When what was done.
    pub times: Milestones,
    /// The same of the last request, up to where it was accepted or refused.
    pub attempt: Milestones,
    /// CPUs that sleep in the monitor ([`Cpu::listens`]), or are about to.
    pub listening: AtomicU32,
}

impl Takeover {
    /// Returns the state in which no takeover of a machine with so many CPUs has been, on the map that `mmu`
    /// has.
    ///
    /// # Safety
    ///
    /// As [`HotPlugged::new`].
    pub unsafe fn new(mmu: &MmuConfig, cpus: usize) -> Self {
        // SAFETY: The caller's promise.
        let hot = unsafe { HotPlugged::new(mmu) };
        Self {
            rendezvous: Rendezvous::new(),
            serial: Lock::new(()),
            clusters: [const { Lock::new(()) }; CLUSTERS],
            plan: PlanCell(Box::new(UnsafeCell::new(Validated::new(hot)))),
            parts: (0..cpus)
                .map(|_| PartCell(UnsafeCell::new(Part::new())))
                .collect(),
            tree: TreeCell(UnsafeCell::new(None)),
            report: Box::default(),
            is_crash: AtomicBool::new(false),
            dump: Lock::new(Dump::new(cpus)),
            verification: Verification {
                ended: AtomicU64::new(u64::MAX),
                bytes: AtomicU64::new(0),
                ticks: AtomicU64::new(0),
            },
            copy_failed: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            reboots: AtomicU64::new(0),
            boot_cpu: AtomicU64::new(0),
            source: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            times: Milestones::default(),
            attempt: Milestones::default(),
            listening: AtomicU32::new(0),
        }
    }

    /// Returns how many requests were accepted, which is the number of the kernel that runs; a CPU whose
    /// generation is not over after this runs that one.
    pub fn reboots(&self) -> u64 {
        self.reboots.load(Acquire)
    }

    /// Takes in what is asked for; it came at `requested`, in ticks of CNTPCT_EL0.
    ///
    /// # Safety
    ///
    /// The caller has the gate's `Preparation`.
    pub unsafe fn ask(&self, asked: Asked, requested: u64) {
        self.attempt.requested.store(requested, Relaxed);
        let is_crash = asked.request.way() == Some(Way::Crash);
        // Whoever sees the generation end sees this too.
        self.is_crash.store(is_crash, Relaxed);
        // SAFETY: The caller is the only one that has the plan.
        unsafe { (*self.plan.0.get()).asked = Some(asked) }
    }

    /// Returns whether the takeover is one after a panic: the memory of the kernel that it ends is evidence.
    pub fn is_crash(&self) -> bool {
        self.is_crash.load(Relaxed)
    }

    /// Returns the image of the crash kernel as it was found valid, if the takeover is one after a panic. To be
    /// called by the boot CPU, once all is checked.
    pub fn crash_image(&self) -> Option<Kimage> {
        // SAFETY: Nobody writes it before the gate is open again.
        unsafe { (*self.plan.0.get()).crash }
    }

    /// Returns where the kernel that made the request says that it has memory. To be called by the boot CPU, once all is
    /// checked.
    pub fn linear_map(&self) -> Option<LinearMap> {
        // SAFETY: Nobody writes it before the gate is open again.
        let asked = unsafe { &(*self.plan.0.get()).asked };
        asked.as_ref()?.request.linear_map()
    }

    /// Prepares round `round` of the check of what is asked for. Returns false if all is checked.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`]; nothing is left of it.
    ///
    /// # Safety
    ///
    /// The caller is the boot CPU, and no other CPU checks.
    pub unsafe fn begin_round(
        &self,
        ram: &GuestRam,
        generations: &Generations,
        round: u8,
    ) -> Result<bool, InvalidRequest> {
        let start = time::now();
        // SAFETY: The caller is the only one that has the plan.
        let validated = unsafe { &mut *self.plan.0.get() };
        // SAFETY: As above.
        let tree = unsafe { &mut *self.tree.0.get() };
        if round == 0 {
            *tree = None;
        }
        // SAFETY: No other CPU writes its part.
        let part = |cell: &PartCell| unsafe { &*cell.0.get() };
        let parts = self.parts.iter().take(self.rendezvous.sharers()).map(part);
        let result = validated.begin_round(ram, generations, round, parts, tree);
        let alone = &self.attempt.checked_alone;
        let before = if round == 0 { 0 } else { alone.load(Relaxed) };
        alone.store(before + (time::now() - start), Relaxed);
        let tree_ticks = validated.tree_ticks;
        self.attempt.checked_tree.store(tree_ticks, Relaxed);
        if result.is_err() {
            validated.hot.clear();
        }
        result
    }

    /// Does the part of `cpu`, which calls this, in the round that was prepared.
    ///
    /// # Safety
    ///
    /// The boot CPU has ordered it.
    pub unsafe fn check(&self, ram: &GuestRam, cpu: &Cpu) {
        // SAFETY: The boot CPU does not write it before all have finished.
        let Validated { plan, hot, .. } = unsafe { &*self.plan.0.get() };
        let (place, _) = self.rendezvous.share_of(cpu);
        if let Some(part) = self.parts.get(place) {
            // SAFETY: The place is this CPU's alone.
            let part = unsafe { &mut *part.0.get() };
            plan.work(&KexecMemory { ram, hot }, place, part);
        }
    }

    /// Returns how many ticks of a request that was refused were work of the boot CPU, `cpu`, rather than waits;
    /// `now` is the time. Without the kick itself: an emulator's one thread goes on with those who were kicked.
    pub fn own_work(&self, cpu: &Cpu, now: u64) -> u64 {
        let attempt = &self.attempt;
        let since = |from: &AtomicU64, to: u64| to.saturating_sub(from.load(Relaxed));
        since(&attempt.requested, attempt.ended.load(Relaxed))
            + attempt.checked_alone.load(Relaxed)
            + cpu.attempt.checked()
            + since(&attempt.refused, now)
    }

    /// Records when the takeover reached `milestone`.
    pub fn reached(&self, milestone: Milestone) {
        let time = match milestone {
            Milestone::Kicked => &self.attempt.kicked,
            Milestone::Gathered => &self.attempt.gathered,
            Milestone::Checked => &self.attempt.validated,
            Milestone::Phase1 => &self.times.phase1_end,
            Milestone::Phase2 => &self.times.phase2_end,
            Milestone::Phase3 => &self.times.phase3_end,
        };
        time.store(time::now(), Relaxed);
    }

    /// The request of `boot_cpu` is accepted, without `missing` CPUs: nothing of the last one counts any
    /// more.
    pub fn accept(&self, boot_cpu: &Cpu, missing: usize) {
        self.reboots.fetch_add(1, Release);
        self.troubled.store(missing > 0, Relaxed);
        self.missing.store(missing as u64, Relaxed);
        self.boot_cpu.store(boot_cpu.index as u64, Relaxed);
        // SAFETY: The boot CPU calls this, and no other CPU checks or copies.
        if let Some(asked) = unsafe { &(*self.plan.0.get()).asked } {
            self.source.store(asked.request.source(), Relaxed);
        }
        let (to, from) = (&self.times, &self.attempt);
        for (to, from) in [
            (&to.requested, &from.requested),
            (&to.kicked, &from.kicked),
            (&to.gathered, &from.gathered),
            (&to.validated, &from.validated),
            (&to.checked_alone, &from.checked_alone),
            (&to.checked_tree, &from.checked_tree),
        ] {
            to.store(from.load(Relaxed), Relaxed);
        }
    }

    /// Returns the plan and the memory that it is for, and which part of how many is `cpu`'s.
    ///
    /// # Safety
    ///
    /// Only in phase 3.
    pub unsafe fn share_of<'a>(
        &'a self,
        ram: &'a GuestRam,
        cpu: &Cpu,
    ) -> (&'a Plan, KexecMemory<'a>, usize, usize) {
        // SAFETY: In phase 3 nobody writes it.
        let Validated { plan, hot, .. } = unsafe { &*self.plan.0.get() };
        let (place, of) = self.rendezvous.share_of(cpu);
        (plan, KexecMemory { ram, hot }, place, of)
    }

    /// Returns the addresses of pages that are no CPU's share: the boot CPU writes the next kernel's
    /// device tree there.
    ///
    /// # Safety
    ///
    /// Only in phase 3.
    pub unsafe fn tree_pages(&self) -> Range<u64> {
        // SAFETY: In phase 3 nobody writes it.
        unsafe { (*self.plan.0.get()).tree_pages.clone() }
    }

    /// Returns the next kernel's device tree, and how many bytes there are to copy and to zero.
    ///
    /// # Safety
    ///
    /// Only on the boot CPU in phase 3, and once at a time.
    #[expect(
        clippy::mut_from_ref,
        reason = "what it leads to is the caller's alone"
    )]
    pub unsafe fn next_tree(&self) -> (Option<&mut NextTree>, u64) {
        // SAFETY: In phase 3 nobody writes the plan, and the tree is the caller's.
        let (plan, tree) = unsafe { (&(*self.plan.0.get()).plan, &mut *self.tree.0.get()) };
        (tree.as_mut(), plan.listed_pages() * plan.page_size())
    }

    /// Returns whether the copy changes any of the `size` bytes from `start` on. To be called by the boot
    /// CPU in phase 3.
    pub fn overwrites(&self, start: u64, size: u64) -> bool {
        // SAFETY: In phase 3 nobody writes the plan.
        let plan = unsafe { &(*self.plan.0.get()).plan };
        let destinations = plan.destinations().iter();
        destinations
            .into_iter()
            .any(|range| range.start < start.saturating_add(size) && start < range.end)
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
    pub fn note_copy_failure(&self) {
        self.copy_failed.store(true, Relaxed);
    }

    /// Returns whether a CPU could not copy its share. To be called after phase 3.
    pub fn copy_failed(&self) -> bool {
        self.copy_failed.load(Relaxed)
    }

    /// Returns where the next kernel begins. To be called by the boot CPU after phase 3.
    pub fn next_kernel(&self) -> NextKernel {
        // SAFETY: Nobody writes the plan before the gate is open again.
        unsafe { (*self.plan.0.get()).plan.next_kernel() }
    }

    /// Returns where the next kernel's device tree says that UEFI's tables are. To be called by the boot
    /// CPU, up to the end of the takeover.
    pub fn uefi(&self) -> Option<Uefi> {
        // SAFETY: Nobody writes it before the gate is open again.
        unsafe { (*self.plan.0.get()).uefi }
    }

    /// Writes the next kernel's device tree, if that was completed and nobody has done so; from then on no
    /// hot-plugged memory is mapped. To be called by the boot CPU after phase 3.
    ///
    /// Returns how the next kernel uses the monitor's UART, if that was looked up.
    pub fn finish(&self, ram: &GuestRam) -> Option<Usage> {
        // SAFETY: The other CPUs have copied their shares and do not come back to the plan; nobody
        // writes it before the gate is open again.
        let (validated, tree) = unsafe { (&mut *self.plan.0.get(), &mut *self.tree.0.get()) };
        let hot = &mut validated.hot;
        // Taken out, so that its memory is free for the next one.
        let tree = tree.take();
        let changed = tree.as_ref().filter(|tree| tree.size.is_none());
        if let Some(tree) = changed.filter(|tree| !tree.is_whole) {
            write_tree(&KexecMemory { ram, hot }, tree);
        }
        hot.clear();
        tree.and_then(|tree| tree.usage)
    }

    /// Writes the next kernel's device tree to its pages.
    ///
    /// # Safety
    ///
    /// Only on the boot CPU in phase 3.
    pub unsafe fn write_tree(&self, ram: &GuestRam, tree: &mut NextTree) {
        if let (Some(size), Some(place)) = (tree.size, tree.bytes.get_mut(SIZE_WORD)) {
            place.copy_from_slice(&size);
        }
        // SAFETY: In phase 3 nobody writes it.
        let hot = unsafe { &(*self.plan.0.get()).hot };
        write_tree(&KexecMemory { ram, hot }, tree);
    }
}
