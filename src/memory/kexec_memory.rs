// SPDX-License-Identifier: Apache-2.0
//! The guest's memory as a kexec may use it: that of the boot, and what was hot-plugged since.
//!
//! Nothing tells the monitor of memory that is plugged in. What a kexec names is taken for such if the board
//! has nothing else there, the kernel itself has it in its linear map as memory, and a load is answered.

use super::guest_ram::{GuestRam, GuestRange};
use super::hotplug::HotPlugged;
use crate::arch::probe;
use crate::arch::translate::translate_cached;
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::memory::hotplug::BLOCK;
use baton_core::memory::region::Region;
use core::cell::{Cell, RefCell};

const PAGE: u64 = 4 << 10;
/// An address of the upper half, which `TTBR1_EL1` translates.
const UPPER: u64 = 1 << 55;

/// Where a kernel has physical memory in its address space: at its physical address plus an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearMap {
    offset: u64,
}

impl LinearMap {
    /// Returns the map that has physical address `physical` at `address`.
    pub fn of(address: u64, physical: u64) -> Self {
        Self {
            offset: address.wrapping_sub(physical),
        }
    }

    /// Returns the physical address of one of the kernel's, if that is in this map, which is not looked up.
    pub fn physical(self, address: u64) -> Option<u64> {
        (address & UPPER != 0).then(|| address.wrapping_sub(self.offset))
    }

    /// Returns whether the guest's kernel has the page at `page` here, as memory that is cached.
    fn has(self, page: u64) -> bool {
        let address = page.wrapping_add(self.offset);
        address & UPPER != 0 && translate_cached(address) == Some(page)
    }
}

/// Guest memory with what was found to be hot-plugged.
#[derive(Clone, Copy)]
pub struct KexecMemory<'a> {
    /// The memory of the boot.
    pub ram: &'a GuestRam,
    /// What was found.
    pub hot: &'a HotPlugged,
}

impl KexecMemory<'_> {
    /// As [`GuestRam::range`].
    #[inline]
    pub fn range(&self, start: u64, size: u64) -> Option<GuestRange> {
        let found = self.ram.range(start, size);
        if found.is_some() {
            return found;
        }
        let region = Region::new(start, size).ok()?;
        // SAFETY: It is mapped, and was found to be memory.
        self.encloses_hot(&region)
            .then(|| unsafe { GuestRange::mapped(region) })
    }

    #[cold]
    fn encloses_hot(&self, region: &Region) -> bool {
        self.ram.room().has(region) && self.hot.encloses(region)
    }
}

impl GuestMemory for KexecMemory<'_> {
    #[inline]
    fn read_u64(&self, address: u64) -> Option<u64> {
        self.range(address, 8)?.read_u64()
    }

    #[inline]
    fn read_words(&self, address: u64, count: u64) -> impl Iterator<Item = u64> {
        let range = self.range(address, 8 * count);
        range.into_iter().flat_map(|range| range.words())
    }

    #[inline]
    fn contains(&self, start: u64, size: u64) -> bool {
        Region::new(start, size)
            .is_ok_and(|region| self.ram.encloses(&region) || self.encloses_hot(&region))
    }
}

/// Guest memory that looks, where it is asked for what it does not know, whether that was hot-plugged.
pub struct Search<'a> {
    ram: &'a GuestRam,
    hot: RefCell<&'a mut HotPlugged>,
    linear: Option<LinearMap>,
    /// The page that was found last.
    last: Cell<Option<Region>>,
    /// How many more pages are looked at.
    left: Cell<u64>,
}

impl<'a> Search<'a> {
    /// Returns the memory of a guest whose kernel, on this CPU, has the linear map `linear`; without one,
    /// nothing is hot-plugged.
    pub fn new(ram: &'a GuestRam, hot: &'a mut HotPlugged, linear: Option<LinearMap>) -> Self {
        Self {
            ram,
            hot: RefCell::new(hot),
            linear,
            last: Cell::new(None),
            left: Cell::new(ram.banks().total() / PAGE),
        }
    }

    /// Returns whether all of `region` is hot-plugged memory; it is mapped then.
    #[cold]
    fn find(&self, region: &Region) -> bool {
        if self.last.get().is_some_and(|last| last.encloses(region)) {
            return true;
        }
        let pages = region.align_outward(PAGE);
        self.ram.room().has(region)
            && pages.is_some_and(|pages| {
                let mut pages = (pages.start()..pages.end()).step_by(PAGE as usize);
                pages.all(|page| self.find_page(page))
            })
    }

    fn find_page(&self, page: u64) -> bool {
        let (Some(linear), Some(left)) = (self.linear, self.left.get().checked_sub(1)) else {
            return false;
        };
        self.left.set(left);
        if !linear.has(page) {
            return false;
        }
        let mut hot = self.hot.borrow_mut();
        // SAFETY: The block is in `room`: the board has nothing there. The page is memory for the kernel.
        match unsafe { hot.map(page & !(BLOCK - 1)) } {
            Ok(()) => {}
            Err(why) => {
                log::debug!("hot-plugged memory at {page:#x} cannot be mapped: {why:?}");
                return false;
            }
        }
        // SAFETY: It is mapped, and the board has no device there.
        let answers = unsafe { probe::answers(page) };
        self.last
            .set(Region::new(page, PAGE).ok().filter(|_| answers));
        answers
    }
}

impl GuestMemory for Search<'_> {
    #[inline]
    fn read_u64(&self, address: u64) -> Option<u64> {
        let read = self.ram.read_u64(address);
        if read.is_some() {
            return read;
        }
        let region = Region::new(address, 8).ok()?;
        // SAFETY: It is mapped, and was found to be memory.
        self.find(&region)
            .then(|| unsafe { GuestRange::mapped(region) })?
            .read_u64()
    }

    #[inline]
    fn contains(&self, start: u64, size: u64) -> bool {
        Region::new(start, size)
            .is_ok_and(|region| self.ram.encloses(&region) || self.find(&region))
    }
}

#[cfg(test)]
mod tests;
