// SPDX-License-Identifier: Apache-2.0
//! A request as it is checked, by all CPUs at once, and what is to be done for it.

use super::next_tree::NextTree;
use super::request::{InvalidRequest, KexecRequest, Way};
use crate::arch::{cache, time};
use crate::memory::guest_ram::GuestRam;
use crate::memory::hotplug::HotPlugged;
use crate::memory::kexec_memory::{KexecMemory, LinearMap, Search};
use crate::memory::stage2::Generations;
use alloc::vec::Vec;
use baton_core::devicetree::blob::{self, header};
use baton_core::devicetree::next_map::{self, NextMapError};
use baton_core::devicetree::next_tree::{self, Needs, NextTreeError};
use baton_core::devicetree::uefi::Uefi;
use baton_core::linux::image::PageSize;
use baton_core::linux::kexec_plan::{Part, Plan, PlanError, Request, Round};
use baton_core::linux::kimage::Kimage;
use baton_core::memory::guest_memory::GuestMemory;
use core::ops::Range;
use core::slice;

/// The word of a tree's header that says its size.
pub const SIZE_WORD: Range<usize> = header::TOTALSIZE..header::TOTALSIZE + 4;

/// What is asked for, and needed for it.
pub struct Asked {
    /// The request.
    pub request: KexecRequest,
    /// What the next kernel's device tree must say.
    pub needs: Needs,
    /// It is refused once it was checked (`hooks=refuse`).
    pub refuse: bool,
}

/// What is to be done, as it was validated.
pub struct Validated {
    /// What is asked for.
    pub asked: Option<Asked>,
    /// Which pages are copied where.
    pub plan: Plan,
    /// The pages that the boot CPU writes the next kernel's device tree to, and nobody else.
    pub tree_pages: Range<u64>,
    /// Where the tree says that UEFI's tables are.
    pub uefi: Option<Uefi>,
    /// How many ticks of CNTPCT_EL0 it took to look at that tree.
    pub tree_ticks: u64,
    /// Hot-plugged memory that the plan names.
    pub hot: HotPlugged,
    /// The image of the crash kernel, if it is one.
    pub crash: Option<Kimage>,
}

impl Validated {
    /// Returns that of no request; `hot` has no blocks.
    pub fn new(hot: HotPlugged) -> Self {
        Self {
            asked: None,
            plan: Plan::new(),
            tree_pages: 0..0,
            uefi: None,
            tree_ticks: 0,
            hot,
            crash: None,
        }
    }

    /// Prepares round `round` of the check, after that of `parts`, one for each CPU that checks. Returns
    /// false if all is checked: then `tree` is the next kernel's, if it is clear which that is.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`].
    pub fn begin_round<'a>(
        &mut self,
        ram: &GuestRam,
        generations: &Generations,
        round: u8,
        parts: impl Iterator<Item = &'a Part> + Clone,
        tree: &mut Option<NextTree>,
    ) -> Result<bool, InvalidRequest> {
        let Some(asked) = self.asked.take() else {
            return Ok(false);
        };
        let memory = KexecMemory {
            ram,
            hot: &self.hot,
        };
        let begun = match round {
            0 => {
                (self.tree_pages, self.uefi, self.tree_ticks) = (0..0, None, 0);
                let begin = |plan: &mut Plan, page, request: Request<'_>| {
                    plan.begin(
                        &memory,
                        page,
                        pages(ram, page),
                        request,
                        parts.clone().count(),
                    )
                };
                with_request(&mut self.plan, &memory, &asked.request, begin).map(|crash| {
                    self.crash = crash;
                    Round::More
                })
            }
            _ => self
                .plan
                .advance(&memory, parts)
                .map_err(InvalidRequest::Plan),
        };
        let begun = match (begun, asked.request.linear_map()) {
            // What the kernel has as memory may be hot-plugged: only this CPU can ask its tables.
            (Err(error), Some(linear)) if error.is_address() => {
                generations.looking(|| self.check_alone(ram, &asked.request, linear))?;
                Round::Done
            }
            (begun, _) => begun?,
        };
        if begun == Round::Done {
            self.finish(ram, &asked, tree)?;
        }
        self.asked = Some(asked);
        Ok(begun == Round::More)
    }

    /// Checks all of `request` on this CPU, which finds hot-plugged memory by the kernel's `linear` map.
    fn check_alone(
        &mut self,
        ram: &GuestRam,
        request: &KexecRequest,
        linear: LinearMap,
    ) -> Result<(), InvalidRequest> {
        let memory = Search::new(ram, &mut self.hot, Some(linear));
        let prepare = |plan: &mut Plan, page, request: Request<'_>| {
            plan.prepare(&memory, page, pages(ram, page), request, &mut [Part::new()])
        };
        self.crash = with_request(&mut self.plan, &memory, request, prepare)?;
        log::debug!(
            "the kexec is in {} blocks of hot-plugged memory",
            self.hot.blocks()
        );
        Ok(())
    }

    /// Looks at what the valid plan leads to.
    fn finish(
        &mut self,
        ram: &GuestRam,
        asked: &Asked,
        tree: &mut Option<NextTree>,
    ) -> Result<(), InvalidRequest> {
        let memory = KexecMemory {
            ram,
            hot: &self.hot,
        };
        let start = time::now();
        (*tree, self.uefi) = completed_tree(&self.plan, &memory, &asked.request, &asked.needs)?;
        self.tree_ticks = time::now() - start;
        if let Some(tree) = tree.as_ref().filter(|tree| tree.is_whole) {
            self.tree_pages = tree.start..tree.start + tree.bytes.len() as u64;
        }
        match asked.refuse {
            true => Err(InvalidRequest::ByOption),
            false => Ok(()),
        }
    }
}

/// Returns how many pages of memory a kernel with this page size has at most.
fn pages(ram: &GuestRam, page: PageSize) -> u64 {
    ram.banks().total() / page.bytes()
}

/// Has `plan` do something with `request`, of which the kimage is read from `memory`; returns it if it is a crash
/// kernel's.
fn with_request(
    plan: &mut Plan,
    memory: &impl GuestMemory,
    request: &KexecRequest,
    with: impl FnOnce(&mut Plan, PageSize, Request<'_>) -> Result<(), PlanError>,
) -> Result<Option<Kimage>, InvalidRequest> {
    if let KexecRequest::Hook {
        kimage, page, way, ..
    } = *request
    {
        let kimage = Kimage::read(memory, kimage)?;
        if way == Way::Crash {
            kimage.check_crash()?;
        }
        with(plan, page, Request::Kimage(&kimage))?;
        return Ok((way == Way::Crash).then_some(kimage));
    }
    if let Some(call) = request.as_call() {
        with(plan, PageSize::Size4K, call)?;
    }
    Ok(None)
}

/// Writes `tree` where it is to be, but for what is there already.
pub fn write_tree(memory: &KexecMemory<'_>, tree: &NextTree) {
    let all = 0..tree.bytes.len();
    let whole = slice::from_ref(&all);
    // What is there already may have been changed since it was looked at, but for the tree's own.
    let parts = match tree.is_in_place && tree.size.is_some() {
        true => &tree.report[..],
        false => whole,
    };
    for part in parts {
        let at = tree.start + part.start as u64;
        if let Some(bytes) = tree.bytes.get(part.clone())
            && let Some(place) = memory.range(at, bytes.len() as u64)
        {
            place.write(bytes);
        }
    }
    if let Some(place) = memory.range(tree.start, tree.bytes.len() as u64) {
        cache::clean_to_poc(place.start() as usize, tree.bytes.len());
    }
}

/// Looks at the device tree that `plan` has for the next kernel, and at the memory map that it leads to;
/// returns what the tree is to be, and where it says that UEFI's tables are.
fn completed_tree(
    plan: &Plan,
    memory: &KexecMemory<'_>,
    request: &KexecRequest,
    needs: &Needs,
) -> Result<(Option<NextTree>, Option<Uefi>), InvalidRequest> {
    let Some(segment) = plan.device_tree() else {
        return Ok((None, None));
    };
    let page = plan.page_size();
    // What is behind it in its last page comes along.
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
    let room = match request {
        KexecRequest::Hook { .. } => segment.size,
        // What is behind a call's tree may be anything.
        KexecRequest::Call { .. } => blob::size_in_header(&tree).unwrap_or(0),
    };
    let room = room as usize;
    let size = tree.get(SIZE_WORD).and_then(|word| word.try_into().ok());
    let seen = next_tree::complete(&mut tree, used, room, needs)?;
    let (is_complete, uefi) = (seen.was_complete, next_map::bounded(seen.uefi)?);
    if let Some(uefi) = &uefi {
        check_map(uefi, memory, needs)?;
    }
    if !is_complete {
        let size = (used + next_tree::GROWTH) as u64;
        if memory.range(segment.start, size).is_none() {
            return Err(NextTreeError::NoRoom { room }.into());
        }
        log::info!(
            "the next kernel's device tree at {:#x} did not reserve the monitor's memory: it does now",
            segment.start
        );
    }
    let whole = tree.len() as u64;
    let is_in_place = !plan.lists_device_tree();
    let is_whole = segment.start.is_multiple_of(page)
        && whole.is_multiple_of(page)
        && (is_complete || !is_in_place)
        && memory.range(segment.start, whole).is_some();
    let tree = NextTree {
        bytes: tree,
        start: segment.start,
        size: size.filter(|_| is_complete),
        is_in_place,
        is_whole,
        usage: None,
        report: [0..0, 0..0],
    };
    Ok((Some(tree), uefi))
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
