// SPDX-License-Identifier: Apache-2.0
//! What the monitor must know of the next kernel's device tree, found in one walk: the guest stands still
//! meanwhile.

use super::blob::{self, BlobError};
use super::cpus;
use super::structure::{Node, Visitor, begins};
use super::uefi::{Uefi, UefiError};
use crate::memory::region::Region;
use crate::words::split;
use alloc::string::String;

/// Properties of a memory node that say where memory is. Linux prefers the second one.
pub(super) const MEMORY_PROPERTIES: [&str; 2] = ["reg", "linux,usable-memory"];
/// How many regions may reserve the monitor's memory together.
pub(super) const MAX_PARTS: usize = 16;
/// Bytes of an entry of the memory reservation block.
const ENTRY: usize = blob::RESERVATION_SIZE;

/// What a tree says of what the monitor needs. Nodes are those that Linux takes: the first of a name.
#[derive(Debug)]
pub struct Survey {
    /// A kernel with this tree keeps out of the monitor's memory: no memory node has any of it, unless
    /// `no-map` regions, or entries of the memory reservation block, cover all that they have.
    pub keeps_out: bool,
    /// `/psci` says that it is called by HVC.
    pub has_hvc: bool,
    /// Path of the first CPU that a kernel would start from a spin table.
    pub in_spin_table: Option<String>,
    /// What `/chosen` says of UEFI.
    pub uefi: Result<Option<Uefi>, UefiError>,
}

/// Looks at `tree`, with the monitor's memory in `monitor`.
///
/// # Errors
///
/// [`BlobError`] if the structure of the tree is broken. A node whose `reg` cannot be read counts as one
/// without any region.
pub fn look(tree: &[u8], monitor: &Region) -> Result<Survey, BlobError> {
    let mut walk = Walk {
        monitor: *monitor,
        met: Met::default(),
        parent: None,
        cells: Cells::default(),
        reserved_cells: Cells::default(),
        taken: None,
        reserved: [None; MAX_PARTS],
        survey: Survey {
            keeps_out: false,
            has_hvc: false,
            in_spin_table: None,
            uefi: Ok(None),
        },
    };
    let whole = blob::walk(tree, &mut walk)?;
    walk.survey.keeps_out = walk.taken.is_none_or(|taken| {
        walk.reserve_entries(whole);
        is_covered(&taken, &walk.reserved)
    });
    Ok(walk.survey)
}

/// Children of the root that are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Child {
    Chosen,
    Cpus,
    Psci,
    ReservedMemory,
}

/// Their names.
const CHILDREN: [(Child, &[u8]); 4] = [
    (Child::Chosen, b"chosen"),
    (Child::Cpus, b"cpus"),
    (Child::Psci, b"psci"),
    (Child::ReservedMemory, b"reserved-memory"),
];

impl Child {
    /// Returns that of the name of `node`, whatever its unit address.
    fn of(node: Node<'_>) -> Option<Self> {
        // The first cell differs nearly always, and is compared sooner than a name is found.
        let is = |name: &[u8]| {
            let first = name.first_chunk();
            first.is_some_and(|first| node.begins(*first)) && split(node.name(), b'@').0 == name
        };
        let (child, _) = CHILDREN.iter().find(|(_, name)| is(name))?;
        Some(*child)
    }
}

/// Which of them there were.
#[derive(Default)]
struct Met(u8);

impl Met {
    /// Returns true for the first `child` of its kind.
    fn is_first(&mut self, child: Child) -> bool {
        let bit = 1 << child as u8;
        let is_first = self.0 & bit == 0;
        self.0 |= bit;
        is_first
    }
}

/// How many cells addresses and sizes have.
#[derive(Clone, Copy)]
struct Cells {
    address: usize,
    size: usize,
}

impl Default for Cells {
    /// What there is without properties (Devicetree Specification v0.4, 2.3.5).
    fn default() -> Self {
        Self {
            address: 2,
            size: 1,
        }
    }
}

impl Cells {
    fn of(node: Node<'_>) -> Self {
        let default = Self::default();
        let read = |name| {
            let value = node.find(name)?.first_chunk()?;
            Some(u32::from_be_bytes(*value) as usize)
        };
        Self {
            address: read("#address-cells").unwrap_or(default.address),
            size: read("#size-cells").unwrap_or(default.size),
        }
    }

    /// Returns the regions in `value`, read as Linux does: whole entries alone, and of more than two cells
    /// the last two (`early_init_dt_scan_memory()`, `of_read_number()`).
    fn regions(self, value: &[u8]) -> impl Iterator<Item = Region> {
        let (cells, _) = value.as_chunks::<4>();
        let entry = self.address.saturating_add(self.size).max(1);
        cells.chunks_exact(entry).filter_map(move |entry| {
            let (start, size) = entry.split_at_checked(self.address)?;
            Region::new(number(start), number(size)).ok()
        })
    }
}

fn number(cells: &[[u8; 4]]) -> u64 {
    let append = |number, cell: &[u8; 4]| number << 32 | u64::from(u32::from_be_bytes(*cell));
    cells.iter().fold(0, append)
}

/// Where the walk is, and what it has found.
struct Walk {
    monitor: Region,
    met: Met,
    /// The child of the root that the walk is in, if it is the first of its name.
    parent: Option<Child>,
    cells: Cells,
    reserved_cells: Cells,
    /// From the first to the last byte of the monitor's memory that memory nodes have.
    taken: Option<Region>,
    /// What is reserved of it.
    reserved: [Option<Region>; MAX_PARTS],
    survey: Survey,
}

impl<'a> Visitor<'a> for Walk {
    #[inline]
    fn node(&mut self, depth: usize, node: Node<'a>) {
        match depth {
            1 => self.cells = Cells::of(node),
            2 => self.child(node),
            3 if self.parent == Some(Child::ReservedMemory) => self.reserved_memory(node),
            _ => {}
        }
    }

    #[inline]
    fn property(&mut self, depth: usize, node: Node<'a>, value: &'a [u32], _: usize) {
        // What is looked for is rare, and a value is compared sooner than a name is found.
        match depth {
            2 if begins(value, *b"memo") => self.memory(node),
            3 if begins(value, *b"spin") && self.parent == Some(Child::Cpus) => {
                self.spin_table(node);
            }
            _ => {}
        }
    }
}

impl Walk {
    /// A child of the root.
    fn child(&mut self, node: Node<'_>) {
        let child = Child::of(node);
        self.parent = child.filter(|child| self.met.is_first(*child));
        match self.parent {
            Some(Child::Chosen) => self.survey.uefi = Uefi::of_chosen(|name| node.find(name)),
            Some(Child::Psci) => {
                let method = node.find("method").unwrap_or_default();
                self.survey.has_hvc = split(method, 0).0 == b"hvc";
            }
            Some(Child::ReservedMemory) => self.reserved_cells = Cells::of(node),
            Some(Child::Cpus) | None => {}
        }
    }

    /// A child of the root that may be a memory node.
    #[cold]
    fn memory(&mut self, node: Node<'_>) {
        let kind = node.find("device_type").unwrap_or_default();
        if split(kind, 0).0 != b"memory" {
            return;
        }
        let values = MEMORY_PROPERTIES.map(|name| node.find(name));
        for value in values.into_iter().flatten() {
            for bank in self.cells.regions(value) {
                if let Some(part) = bank.intersection(&self.monitor) {
                    self.taken = Some(hull(&part, &self.taken.unwrap_or(part)));
                }
            }
        }
    }

    /// A child of `/reserved-memory`.
    #[cold]
    fn reserved_memory(&mut self, node: Node<'_>) {
        let status = node.find("status").map(|status| split(status, 0).0);
        if node.find("no-map").is_none() || !matches!(status, None | Some(b"okay" | b"ok")) {
            return;
        }
        let reg = node.find("reg").unwrap_or_default();
        for region in self.reserved_cells.regions(reg) {
            self.reserve(region);
        }
    }

    /// Takes the entries of the memory reservation block.
    fn reserve_entries(&mut self, tree: &[u8]) {
        let start = blob::word_at(tree, blob::header::OFF_MEM_RSVMAP).unwrap_or_default() as usize;
        let end = blob::reservations_end(tree, start).unwrap_or(start);
        for entry in tree.get(start..end).unwrap_or_default().chunks_exact(ENTRY) {
            let (cells, _) = entry.as_chunks::<4>();
            let (start, size) = cells.split_at(cells.len() / 2);
            if let Ok(region) = Region::new(number(start), number(size)) {
                self.reserve(region);
            }
        }
    }

    /// What touches nothing that is reserved, and has no place, counts as not reserved.
    fn reserve(&mut self, region: Region) {
        if !region.overlaps(&self.monitor) {
            return;
        }
        for place in &mut self.reserved {
            let other = place.unwrap_or(region);
            if region.start() <= other.end() && other.start() <= region.end() {
                *place = Some(hull(&region, &other));
                return;
            }
        }
    }

    /// A child of `/cpus` that may be a CPU that waits in a spin table.
    #[cold]
    fn spin_table(&mut self, node: Node<'_>) {
        if self.survey.in_spin_table.is_none()
            && cpus::waits_in_spin_table(node.name(), |name| node.find(name))
        {
            let name = core::str::from_utf8(node.name()).unwrap_or_default();
            self.survey.in_spin_table = Some(["/cpus/", name].concat());
        }
    }
}

/// Returns all from the first to the last byte of both.
fn hull(one: &Region, other: &Region) -> Region {
    let start = one.start().min(other.start());
    Region::from_bounds(start, one.end().max(other.end())).unwrap_or(*one)
}

/// Returns whether `reserved` cover all of `taken` together.
fn is_covered(taken: &Region, reserved: &[Option<Region>]) -> bool {
    let mut open = taken.start();
    for _ in reserved {
        let mut regions = reserved.iter().flatten();
        match regions.find(|region| region.contains(open)) {
            Some(region) if region.end() < taken.end() => open = region.end(),
            Some(_) => return true,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests;
