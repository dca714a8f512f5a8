// SPDX-License-Identifier: Apache-2.0
//! Nodes with their ancestors: paths, addresses as the CPU sees them, typed properties.

use crate::memory::region::{Region, RegionError};
use crate::words::has;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Cells, FdtStringListIterator, Node, Property, ToCellInt};
use thiserror::Error;

/// Why an entry of a node's `reg` is not an address that the CPU can use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RegError {
    /// The property is not there, or has no such entry.
    #[error("{node}: reg has no entry {index}")]
    Missing {
        /// Path of the node.
        node: String,
        /// Index of the entry.
        index: usize,
    },
    /// The property's length does not fit the parent's `#address-cells` and `#size-cells`, or these
    /// are more than 64 bits hold.
    #[error("{node}: reg of {length} bytes does not fit the cells of its parent")]
    Cells {
        /// Path of the node.
        node: String,
        /// Length of the property in bytes.
        length: usize,
    },
    /// The region is empty or wraps around.
    #[error("{node}: {error}")]
    Region {
        /// Path of the node.
        node: String,
        /// What is wrong with it.
        error: RegionError,
    },
    /// A bus above does not map it: it is not in its `ranges`.
    #[error("{node}: {region} is not in the ranges of {bus}")]
    Unmapped {
        /// Path of the node.
        node: String,
        /// The region as the bus addresses it.
        region: Region,
        /// Path of the bus.
        bus: String,
    },
}

/// A node and its ancestors, from the root on.
#[derive(Clone, Debug)]
pub struct Located<'a> {
    /// The node itself.
    pub node: FdtNode<'a>,
    ancestors: Vec<FdtNode<'a>>,
}

impl<'a> Located<'a> {
    /// Finds the node of a full path. Each name in the path may be without its unit address.
    pub fn find(fdt: Fdt<'a>, path: &str) -> Option<Self> {
        let mut located = Self {
            node: fdt.root(),
            ancestors: Vec::new(),
        };
        for name in path
            .strip_prefix('/')?
            .split('/')
            .filter(|name| !name.is_empty())
        {
            let child = located.node.child(name)?;
            located = located.child(child);
        }
        Some(located)
    }

    /// Finds the first node in the order of the tree that is `wanted`.
    pub fn search(fdt: Fdt<'a>, mut wanted: impl FnMut(&FdtNode<'a>) -> bool) -> Option<Self> {
        search_below(&mut Vec::new(), fdt.root(), &mut wanted)
    }

    /// Locates a child of this node.
    pub fn child(&self, child: FdtNode<'a>) -> Self {
        let ancestors = self.ancestors.iter().copied().chain([self.node]).collect();
        Self {
            node: child,
            ancestors,
        }
    }

    /// Locates the children of this node, in the order of the tree.
    pub fn children(&self) -> impl Iterator<Item = Self> + '_ {
        self.node.children().map(|child| self.child(child))
    }

    /// Returns the node's full path.
    pub fn path(&self) -> String {
        path(&self.ancestors, &self.node)
    }

    /// Says whether the node and the buses above it may be used.
    pub fn is_available(&self) -> bool {
        is_available(&self.node) && self.ancestors.iter().all(is_available)
    }

    /// Returns entry `index` of `reg`, as the CPU addresses it.
    ///
    /// # Errors
    ///
    /// Returns [`RegError`], with the path of the node.
    pub fn reg(&self, index: usize) -> Result<Region, RegError> {
        for (at, entry) in self.entries()?.enumerate() {
            let (start, size) = entry?;
            if at == index {
                return self.translate(self.region(start, size)?);
            }
        }
        Err(RegError::Missing {
            node: self.path(),
            index,
        })
    }

    /// Returns all entries of `reg` that are not empty, as the parent addresses them.
    ///
    /// # Errors
    ///
    /// Returns [`RegError`] for the first bad entry.
    pub fn regs(&self) -> Result<Vec<Region>, RegError> {
        self.entries()?
            .filter(|entry| !matches!(entry, Ok((_, 0))))
            .map(|entry| entry.and_then(|(start, size)| self.region(start, size)))
            .collect()
    }

    /// Has `each` take the entries of `reg` that the CPU addresses, as it does.
    pub fn translated_regs(&self, mut each: impl FnMut(Region)) {
        let regs = self.regs().unwrap_or_default();
        let translated = regs.into_iter().map(|region| self.translate(region));
        translated.filter_map(Result::ok).for_each(&mut each);
    }

    /// Has `each` take the entries of `ranges`: where the CPU addresses what is on this bus.
    pub fn windows(&self, mut each: impl FnMut(Region)) {
        let ranges = self.node.ranges().ok().flatten();
        for range in ranges.into_iter().flatten() {
            let (start, size) = (number(range.parent_bus_address), number(range.length));
            let region = start
                .zip(size)
                .map(|(start, size)| Region::new(start, size));
            if let Some(Ok(region)) = region
                && let Ok(translated) = self.translate(region)
            {
                each(translated);
            }
        }
    }

    /// Returns address and size of each entry of `reg`.
    fn entries(&self) -> Result<impl Iterator<Item = Result<(u64, u64), RegError>>, RegError> {
        let length = bytes(&self.node, "reg").len();
        let cells = move || RegError::Cells {
            node: self.path(),
            length,
        };
        let entries = self.node.reg().map_err(|_| cells())?.into_iter().flatten();
        Ok(entries.map(move |entry| {
            number(entry.address)
                .zip(number(entry.size))
                .ok_or_else(cells)
        }))
    }

    fn region(&self, start: u64, size: u64) -> Result<Region, RegError> {
        Region::new(start, size).map_err(|error| RegError::Region {
            node: self.path(),
            error,
        })
    }

    /// Translates `region` by the `ranges` of the buses between the node and the root (Devicetree
    /// Specification v0.4, 2.3.8).
    fn translate(&self, region: Region) -> Result<Region, RegError> {
        let mut buses = self.ancestors.iter().enumerate().skip(1).rev();
        buses.try_fold(region, |region, (depth, bus)| {
            through(bus, region).ok_or_else(|| RegError::Unmapped {
                node: self.path(),
                region,
                bus: path(self.ancestors.get(..depth).unwrap_or_default(), bus),
            })
        })
    }
}

/// What is searched for: a closure, but without what `dyn FnMut` has beside the call.
trait Wanted<'a> {
    fn is_wanted(&mut self, node: &FdtNode<'a>) -> bool;
}

impl<'a, F: FnMut(&FdtNode<'a>) -> bool> Wanted<'a> for F {
    fn is_wanted(&mut self, node: &FdtNode<'a>) -> bool {
        self(node)
    }
}

/// Finds the first node that is `wanted`, at `node` or below it.
fn search_below<'a>(
    ancestors: &mut Vec<FdtNode<'a>>,
    node: FdtNode<'a>,
    wanted: &mut dyn Wanted<'a>,
) -> Option<Located<'a>> {
    if wanted.is_wanted(&node) {
        return Some(Located {
            node,
            ancestors: ancestors.clone(),
        });
    }
    ancestors.push(node);
    let found = node
        .children()
        .find_map(|child| search_below(ancestors, child, wanted));
    ancestors.pop();
    found
}

/// Returns the full path of `node`.
fn path(ancestors: &[FdtNode<'_>], node: &FdtNode<'_>) -> String {
    let mut path = String::new();
    for part in ancestors.iter().chain([node]).skip(1) {
        path.push('/');
        path.push_str(part.name());
    }
    if path.is_empty() {
        "/".to_string()
    } else {
        path
    }
}

/// Translates `region` from the addresses below `bus` to those above it.
fn through(bus: &FdtNode<'_>, region: Region) -> Option<Region> {
    if bus.property("ranges")?.value().is_empty() {
        return Some(region);
    }
    bus.ranges().ok()??.find_map(|range| {
        let child = Region::new(number(range.child_bus_address)?, number(range.length)?).ok()?;
        let offset = region
            .start()
            .checked_sub(child.start())
            .filter(|_| child.encloses(&region))?;
        let start = number(range.parent_bus_address)?.checked_add(offset)?;
        Region::new(start, region.size()).ok()
    })
}

/// Returns the number in one or two cells; `None` if it needs more than 64 bits.
pub fn number(cells: Cells<'_>) -> Option<u64> {
    cells.to_int().ok()
}

// Not inlined, this and the next ones: they are called from everywhere.

/// Returns a property's value.
#[inline(never)]
pub fn value<'a>(node: &FdtNode<'a>, name: &str) -> Option<&'a [u8]> {
    node.property(name)?.value_as().ok()
}

/// Returns a property's value; no bytes if it is absent.
#[inline(never)]
pub fn bytes<'a>(node: &FdtNode<'a>, name: &str) -> &'a [u8] {
    value(node, name).unwrap_or_default()
}

/// Returns the number in a property of one or two cells.
#[inline(never)]
pub fn cell(node: &FdtNode<'_>, name: &str) -> Option<u64> {
    big_endian(bytes(node, name))
}

/// Returns the number in 4 or 8 big-endian bytes.
#[inline(never)]
pub fn big_endian(bytes: &[u8]) -> Option<u64> {
    match bytes.len() {
        4 => bytes
            .first_chunk()
            .map(|word| u32::from_be_bytes(*word).into()),
        8 => bytes.first_chunk().map(|word| u64::from_be_bytes(*word)),
        _ => None,
    }
}

/// Returns a property's first string.
#[inline(never)]
pub fn text<'a>(node: &FdtNode<'a>, name: &str) -> Option<&'a str> {
    node.property(name)?
        .value_as::<FdtStringListIterator<'a>>()
        .ok()?
        .next()
}

/// Returns whether the node may be used: its `status` is absent, `"okay"` or, as in Linux, `"ok"`.
#[inline(never)]
pub fn is_available(node: &FdtNode<'_>) -> bool {
    node.property("status").is_none() || matches!(text(node, "status"), Some("okay" | "ok"))
}

/// Returns the first of `names` that the node is compatible with.
pub fn first_compatible<'n>(node: &FdtNode<'_>, names: &[&'n str]) -> Option<&'n str> {
    let own = bytes(node, "compatible");
    let is_own = |name: &&str| has(own, 0, name.as_bytes());
    names.iter().copied().find(is_own)
}
