// SPDX-License-Identifier: Apache-2.0
//! The guest's memory, as the monitor may touch it: checked once, by type.

use alloc::vec::Vec;
use baton_core::devicetree::blob;
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::memory::hotplug::Room;
use baton_core::memory::region::{Region, RegionSet};
use baton_core::tee::message::WritableMemory;
use core::slice;

/// Where the monitor maps a bank that begins at address 0 a second time: Rust has no references to
/// address 0. No machine has memory at this address itself.
pub const ZERO_ALIAS: u64 = 1 << 47;

/// The RAM that is the guest's from boot on: mapped read-write in the monitor at its own address, and with
/// nothing of the monitor in it.
pub struct GuestRam {
    banks: RegionSet,
    /// The largest bank: where nearly everything is.
    largest: Option<Region>,
    /// Where more can be, which was not there at boot: it is not mapped.
    room: Room,
}

/// [`GuestRam`] with all that can have been hot-plugged: what the guest, or the GIC for it, may use. The
/// monitor reads none of that.
#[derive(Clone, Copy)]
pub struct WithHotPlugged<'a>(&'a GuestRam);

/// A part of [`GuestRam`]: whoever has one may access that memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestRange {
    region: Region,
}

impl GuestRam {
    /// Takes `banks` for the guest's, and `room` for where memory can be hot-plugged.
    ///
    /// # Safety
    ///
    /// They are RAM, mapped read-write at EL2 at their own addresses for ever (one that begins at 0
    /// at [`ZERO_ALIAS`] too), and neither the image nor a stack nor the heap of the monitor lies
    /// in them.
    pub unsafe fn new(banks: RegionSet, room: Room) -> Self {
        let largest = banks.iter().copied().max_by_key(Region::size);
        Self {
            banks,
            largest,
            room,
        }
    }

    /// Returns where memory can be hot-plugged.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Returns this with all that can have been hot-plugged.
    pub fn with_hot_plugged(&self) -> WithHotPlugged<'_> {
        WithHotPlugged(self)
    }

    /// Returns the banks.
    pub fn banks(&self) -> &RegionSet {
        &self.banks
    }

    /// Returns the `size` bytes from physical address `start` on, or `None` if not all of them are
    /// the guest's.
    #[inline]
    pub fn range(&self, start: u64, size: u64) -> Option<GuestRange> {
        let region = Region::new(start, size).ok()?;
        self.encloses(&region).then_some(GuestRange { region })
    }

    /// Returns the memory of the device tree at physical address `tree`, as its header says its size.
    pub fn device_tree(&self, tree: u64) -> Option<GuestRange> {
        let header = self.range(tree, 8)?.copy::<8>()?;
        self.range(tree, blob::size_in_header(&header)?)
    }

    /// Returns whether all of `region` is the guest's.
    #[inline]
    pub fn encloses(&self, region: &Region) -> bool {
        self.largest.is_some_and(|bank| bank.encloses(region))
            || self.banks.contains(region.start(), region.size())
    }
}

impl GuestMemory for GuestRam {
    #[inline]
    fn read_u64(&self, address: u64) -> Option<u64> {
        self.range(address, 8)?.read_u64()
    }

    #[inline]
    fn read_pair(&self, address: u64) -> Option<[u64; 2]> {
        self.range(address, 16)?.groups().next()
    }

    #[inline(always)]
    fn read_pairs(&self, address: u64, count: u64) -> Option<impl Iterator<Item = [u64; 2]>> {
        let region = self.largest?.part(address, 16 * count)?;
        Some(GuestRange { region }.groups())
    }

    #[inline]
    fn contains(&self, start: u64, size: u64) -> bool {
        Region::new(start, size).is_ok_and(|region| self.encloses(&region))
    }
}

impl WritableMemory for GuestRam {
    fn write_u64(&self, address: u64, value: u64) {
        if let Some(range) = self.range(address, 8) {
            range.write_u64(value);
        }
    }
}

impl GuestMemory for WithHotPlugged<'_> {
    fn read_u64(&self, address: u64) -> Option<u64> {
        self.0.read_u64(address)
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        let ram = self.0;
        Region::new(start, size).is_ok_and(|region| ram.encloses(&region) || ram.room.has(&region))
    }
}

impl GuestRange {
    /// Takes `region` for a part of guest memory.
    ///
    /// # Safety
    ///
    /// It is memory of the guest's, and mapped read-write at EL2 at its own address for as long as this is
    /// used.
    pub(super) unsafe fn mapped(region: Region) -> Self {
        Self { region }
    }

    /// Returns the addresses.
    pub fn region(&self) -> Region {
        self.region
    }

    /// First physical address.
    pub fn start(&self) -> u64 {
        self.region.start()
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.region.size()
    }

    /// Returns the first byte's address.
    pub fn as_ptr(&self) -> *mut u8 {
        match self.region.start() {
            0 => ZERO_ALIAS as *mut u8,
            start => start as *mut u8,
        }
    }

    /// Reads the 64-bit word at the start, `None` if it is not aligned or not whole.
    pub fn read_u64(&self) -> Option<u64> {
        (self.start().is_multiple_of(8) && self.size() >= 8).then(|| {
            // SAFETY: The range is mapped, the word lies in it and is aligned; the guest may write
            // it meanwhile, hence volatile.
            unsafe { self.as_ptr().cast::<u64>().read_volatile() }
        })
    }

    /// Returns its 64-bit words in their order, none if it is not aligned.
    #[inline]
    pub fn words(self) -> impl Iterator<Item = u64> {
        self.groups().map(|[word]| word)
    }

    /// Returns its 64-bit words in groups of `N`, as far as those are whole; none if it is not aligned to a word.
    #[inline(always)]
    pub fn groups<const N: usize>(self) -> impl Iterator<Item = [u64; N]> {
        let count = match self.start().is_multiple_of(8) {
            true => self.size() as usize / (8 * N),
            false => 0,
        };
        let first = self.as_ptr().cast::<[u64; N]>();
        // SAFETY: The range is mapped, the words lie in it and are aligned; the guest may write them
        // meanwhile, hence volatile.
        (0..count).map(move |number| unsafe { first.add(number).read_volatile() })
    }

    /// Returns a copy of the first `N` bytes, `None` if there are not that many. The guest may write
    /// them meanwhile.
    pub fn copy<const N: usize>(&self) -> Option<[u8; N]> {
        (self.size() >= N as u64).then(|| {
            // SAFETY: The range is mapped and has that many bytes, and all values are bytes; the guest
            // may write them meanwhile, hence volatile.
            unsafe { self.as_ptr().cast::<[u8; N]>().read_volatile() }
        })
    }

    /// Copies its bytes behind those of `bytes`, which must have room for them: nothing is allocated.
    /// The guest may write them meanwhile.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        let size = self.size() as usize;
        let room = bytes.spare_capacity_mut();
        if let Some(room) = room.get_mut(..size) {
            // SAFETY: The range is mapped and has that many bytes, all values are bytes, and the room is
            // the vector's own.
            unsafe {
                room.as_mut_ptr()
                    .cast::<u8>()
                    .copy_from(self.as_ptr(), size)
            };
            // SAFETY: They have just been written.
            unsafe { bytes.set_len(bytes.len() + size) };
        }
    }

    /// Returns its bytes.
    ///
    /// # Safety
    ///
    /// Nothing writes them while the slice lives: no vCPU but the calling one's runs, and the
    /// monitor does not.
    pub unsafe fn bytes(&self) -> &'static [u8] {
        // SAFETY: The range is mapped for ever; the rest is the caller's promise.
        unsafe { slice::from_raw_parts(self.as_ptr(), self.size() as usize) }
    }

    /// Writes the 64-bit `word` to the start as a whole; returns false if it is not aligned or does not
    /// fit.
    pub fn write_u64(&self, word: u64) -> bool {
        let fits = self.start().is_multiple_of(8) && self.size() >= 8;
        if fits {
            // SAFETY: The range is mapped read-write, and the word lies in it and is aligned.
            unsafe { self.as_ptr().cast::<u64>().write_volatile(word) }
        }
        fits
    }

    /// Writes `word` to the start as a whole; returns false if it is not aligned or does not fit.
    pub fn write_u32(&self, word: u32) -> bool {
        let fits = self.start().is_multiple_of(4) && self.size() >= 4;
        if fits {
            // SAFETY: The range is mapped read-write, and the word lies in it and is aligned.
            unsafe { self.as_ptr().cast::<u32>().write_volatile(word) }
        }
        fits
    }

    /// Copies `bytes` to the start by words of 32 bits, as far as they are whole; returns false, and copies
    /// nothing, if it is not aligned or they do not fit.
    pub fn write_cells(&self, bytes: &[u8]) -> bool {
        let fits = self.start().is_multiple_of(4) && bytes.len() as u64 <= self.size();
        if fits {
            let cells = bytes.as_chunks::<4>().0;
            for (index, cell) in cells.iter().enumerate() {
                // SAFETY: The range is mapped read-write, and the word lies in it and is aligned.
                unsafe {
                    let place = self.as_ptr().cast::<u32>().add(index);
                    place.write_volatile(u32::from_ne_bytes(*cell));
                }
            }
        }
        fits
    }

    /// Copies `bytes` to the start; returns false if they do not fit.
    pub fn write(&self, bytes: &[u8]) -> bool {
        if bytes.len() as u64 > self.size() {
            return false;
        }
        // SAFETY: The range is mapped read-write and as long; no reference of the monitor's points
        // to guest memory outside `bytes()`, whose callers promise that nothing writes.
        unsafe { self.as_ptr().copy_from(bytes.as_ptr(), bytes.len()) }
        true
    }
}
