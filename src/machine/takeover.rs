// SPDX-License-Identifier: Apache-2.0
//! What the CPUs of a takeover share.

use crate::arch::{cache, time};
use crate::machine::cpu::Cpu;
use crate::machine::request::{InvalidRequest, KexecRequest};
use crate::memory::guest_ram::GuestRam;
use crate::memory::hotplug::HotPlugged;
use crate::memory::kexec_memory::{KexecMemory, Search};
use crate::memory::stage1::MmuConfig;
use alloc::boxed::Box;
use alloc::vec::Vec;
use baton_core::devicetree::blob::{self, header};
use baton_core::devicetree::next_map::{self, NextMapError};
use baton_core::devicetree::next_tree::{self, Needs, NextTreeError};
use baton_core::devicetree::uefi::Uefi;
use baton_core::linux::image::PageSize;
use baton_core::linux::kexec_plan::{NextKernel, Part, Plan, Request};
use baton_core::linux::kimage::Kimage;
use baton_core::smp::platform::Milestone;
use baton_core::smp::rendezvous::Rendezvous;
use baton_core::sync::Lock;
use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU64};

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

/// Locks for clusters. Two clusters that have the same one wait for each other.
const CLUSTERS: usize = 16;

/// What is to be done, as it was validated.
struct Validated {
    plan: Plan,
    /// The next kernel's device tree, where it is not what the kernel before has made: it is written
    /// over that after the copy.
    tree: Option<Vec<u8>>,
    /// Where the tree says that UEFI's tables are.
    uefi: Option<Uefi>,
    /// Hot-plugged memory that the plan names.
    hot: HotPlugged,
}

/// On the heap, as it is large.
struct PlanCell(Box<UnsafeCell<Validated>>);

// SAFETY: Written by whoever has the gate's `Preparation` or `Closed`, of which there is one; read
// by other CPUs only between a release and the end of phase 3, when that one does not write.
unsafe impl Sync for PlanCell {}

/// The takeover: the last one, or the one that is under way.
pub struct Takeover {
    /// Who is taken, and how they find together.
    pub rendezvous: Rendezvous,
    /// Held for a step that is not safe in parallel.
    pub serial: Lock<()>,
    /// Held for what the CPUs of a cluster share: [`cluster`](baton_core::mpidr::cluster) modulo their count.
    pub clusters: [Lock<()>; CLUSTERS],
    plan: PlanCell,
    /// A CPU could not copy its share.
    copy_failed: AtomicBool,
    /// A CPU was given up, or a step failed.
    troubled: AtomicBool,
    /// The boot CPU's index.
    pub boot_cpu: AtomicU64,
    /// [`baton_abi::SOURCE_HOOK`] or [`baton_abi::SOURCE_CALL`].
    pub source: AtomicU64,
    /// CPUs that were given up.
    pub missing: AtomicU64,
    /// When what was done.
    pub times: Milestones,
}

impl Takeover {
    /// Returns the state in which no takeover has been, on the map that `mmu` has.
    ///
    /// # Safety
    ///
    /// As [`HotPlugged::new`].
    pub unsafe fn new(mmu: &MmuConfig) -> Self {
        // SAFETY: The caller's promise.
        let hot = unsafe { HotPlugged::new(mmu) };
        Self {
            rendezvous: Rendezvous::new(),
            serial: Lock::new(()),
            clusters: [const { Lock::new(()) }; CLUSTERS],
            plan: PlanCell(Box::new(UnsafeCell::new(Validated {
                plan: Plan::new(),
                tree: None,
                uefi: None,
                hot,
            }))),
            copy_failed: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            boot_cpu: AtomicU64::new(0),
            source: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            times: Milestones::default(),
        }
    }

    /// Validates the request: the dry run, with all CPUs still in the guest.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`]; nothing has been stopped.
    ///
    /// # Safety
    ///
    /// The caller has the gate's `Preparation`.
    pub unsafe fn validate(
        &self,
        memory: &GuestRam,
        request: KexecRequest,
        needs: &Needs,
    ) -> Result<(), InvalidRequest> {
        // SAFETY: The caller is the only one that has the plan.
        let validated = unsafe { &mut *self.plan.0.get() };
        let result = validated.fill(memory, request, needs);
        if result.is_err() {
            validated.hot.clear();
        }
        result
    }

    /// Records when the takeover reached `milestone`.
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

    /// Writes the next kernel's device tree as it was completed, if that was necessary; from then on no
    /// hot-plugged memory is mapped. To be called by the boot CPU after phase 3.
    pub fn finish(&self, ram: &GuestRam) {
        // SAFETY: The other CPUs have copied their shares and do not come back to the plan; nobody
        // writes it before the gate is open again.
        let Validated {
            plan, tree, hot, ..
        } = unsafe { &mut *self.plan.0.get() };
        let memory = KexecMemory { ram, hot };
        // Taken out, so that its memory is free for the next one.
        if let Some(tree) = tree.take()
            && let Some(place) = memory.range(plan.next_kernel().x0, tree.len() as u64)
            && place.write(&tree)
        {
            cache::clean_to_poc(place.start() as usize, tree.len());
        }
        hot.clear();
    }
}

impl Validated {
    fn fill(
        &mut self,
        ram: &GuestRam,
        request: KexecRequest,
        needs: &Needs,
    ) -> Result<(), InvalidRequest> {
        let Self {
            plan,
            tree,
            uefi,
            hot,
        } = self;
        (*tree, *uefi) = (None, None);
        let pages = |size: PageSize| ram.banks().total() / size.bytes();
        // One CPU checks all of it.
        let parts = &mut [Part::new()];
        match request {
            KexecRequest::Hook {
                kimage,
                page,
                linear,
            } => {
                let memory = Search::new(ram, hot, linear);
                let kimage = Kimage::read(&memory, kimage)?;
                plan.prepare(&memory, page, pages(page), Request::Kimage(&kimage), parts)?;
            }
            KexecRequest::Call {
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
                let memory = Search::new(ram, hot, None);
                plan.prepare(&memory, page, pages(page), request, parts)?;
            }
        }
        if hot.blocks() > 0 {
            log::debug!(
                "the kexec is in {} blocks of hot-plugged memory",
                hot.blocks()
            );
        }
        (*tree, *uefi) = completed_tree(plan, &KexecMemory { ram, hot }, &request, needs)?;
        Ok(())
    }
}

/// Looks at the device tree that `plan` has for the next kernel, and at the memory map that it leads to;
/// returns what the tree is to be, if it is not that already, and where it says that UEFI's tables are.
fn completed_tree(
    plan: &Plan,
    memory: &KexecMemory<'_>,
    request: &KexecRequest,
    needs: &Needs,
) -> Result<(Option<Vec<u8>>, Option<Uefi>), InvalidRequest> {
    let Some(segment) = plan.device_tree() else {
        return Ok((None, None));
    };
    let page = plan.page_size();
    let mut tree = Vec::new();
    // How much there is, which is known once the header is.
    let mut used = header::SIZE;
    // A call's tree may begin anywhere in its first page.
    let mut skipped = segment.start % page;
    for address in plan.device_tree_pages(memory) {
        let Some(range) = memory.range(address + skipped, page - skipped) else {
            break;
        };
        skipped = 0;
        let size = used.next_multiple_of(page as usize) + page as usize + next_tree::GROWTH;
        tree.try_reserve_exact(size - tree.len())
            .map_err(|_| InvalidRequest::TreeSize(used))?;
        let had_header = tree.len() >= header::SIZE;
        range.append_to(&mut tree);
        if !had_header && tree.len() >= header::SIZE {
            used = next_tree::used(&tree).unwrap_or(0);
        }
        if tree.len() >= used {
            break;
        }
    }
    tree.truncate(used);
    let room = match request {
        KexecRequest::Hook { .. } => segment.size,
        // What is behind a call's tree may be anything.
        KexecRequest::Call { .. } => blob::size_in_header(&tree).unwrap_or(0),
    };
    let room = room as usize;
    let is_complete = next_tree::complete(&mut tree, room, needs)?;
    let uefi = next_map::find(&tree)?;
    if let Some(uefi) = &uefi {
        check_map(uefi, memory, needs)?;
    }
    match is_complete {
        true => Ok((None, uefi)),
        false => {
            if memory.range(segment.start, tree.len() as u64).is_none() {
                return Err(NextTreeError::NoRoom { room }.into());
            }
            log::info!(
                "the next kernel's device tree at {:#x} did not reserve the monitor's memory: it does now",
                segment.start
            );
            Ok((Some(tree), uefi))
        }
    }
}

/// Looks at the memory map that the next kernel is handed.
fn check_map(uefi: &Uefi, memory: &KexecMemory<'_>, needs: &Needs) -> Result<(), InvalidRequest> {
    let range = memory.range(uefi.map.start(), uefi.map.size());
    let range = range.ok_or(NextMapError::Elsewhere(uefi.map))?;
    let size = range.size() as usize;
    let mut map = Vec::new();
    map.try_reserve_exact(size)
        .map_err(|_| InvalidRequest::TreeSize(size))?;
    range.append_to(&mut map);
    Ok(next_map::check(uefi, &map, needs)?)
}
