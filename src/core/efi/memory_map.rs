// SPDX-License-Identifier: Apache-2.0
//! The memory map of UEFI (UEFI 2.10, 7.2.3, `GetMemoryMap`).
//!
//! It comes from firmware, or from a kernel that hands it on to the next one: `linux,uefi-mmap-*` in
//! the tree of a kexec. It may be malformed.

use crate::little_endian::{u32_at, u64_at};
use crate::memory::region::{Region, RegionSet};
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};
use thiserror::Error;

/// Bytes of a page, of any kernel.
pub const PAGE: u64 = 0x1000;
/// The only version of a descriptor that there is (`EFI_MEMORY_DESCRIPTOR_VERSION`).
pub const VERSION: u32 = 1;

/// Bytes of a descriptor of that version; a map may have longer ones.
const DESCRIPTOR: usize = 40;
/// The most bytes of a map that are looked at. A server has some hundred descriptors of 48.
pub const MAX_SIZE: usize = 1 << 18;

/// `EFI_MEMORY_WB`: it can be mapped as normal memory, with caches.
const WRITE_BACK: u64 = 1 << 3;
/// `EFI_MEMORY_RUNTIME`: firmware needs a mapping of it, at the descriptor's virtual address.
const RUNTIME: u64 = 1 << 63;
/// Offsets in a descriptor.
const KIND: usize = 0;
const START: usize = 8;
const VIRTUAL: usize = 16;
const PAGES: usize = 24;
const ATTRIBUTE: usize = 32;
/// `EFI_MEMORY_SP`: memory for a purpose, which a kernel may take later than the rest, or never.
const SPECIFIC_PURPOSE: u64 = 1 << 18;

/// What a range of memory is for (`EFI_MEMORY_TYPE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryType(pub u32);

impl MemoryType {
    /// `EfiReservedMemoryType`: nobody's but its owner's, for ever.
    pub const RESERVED: Self = Self(0);
    /// `EfiLoaderCode`.
    pub const LOADER_CODE: Self = Self(1);
    /// `EfiLoaderData`.
    pub const LOADER_DATA: Self = Self(2);
    /// `EfiBootServicesCode`.
    pub const BOOT_SERVICES_CODE: Self = Self(3);
    /// `EfiBootServicesData`.
    pub const BOOT_SERVICES_DATA: Self = Self(4);
    /// `EfiRuntimeServicesCode`.
    pub const RUNTIME_SERVICES_CODE: Self = Self(5);
    /// `EfiRuntimeServicesData`.
    pub const RUNTIME_SERVICES_DATA: Self = Self(6);
    /// `EfiConventionalMemory`: free.
    pub const CONVENTIONAL: Self = Self(7);
    /// `EfiUnusableMemory`: it has errors.
    pub const UNUSABLE: Self = Self(8);
    /// `EfiACPIReclaimMemory`: tables of ACPI.
    pub const ACPI_RECLAIM: Self = Self(9);
    /// `EfiACPIMemoryNVS`.
    pub const ACPI_NVS: Self = Self(10);
    /// `EfiMemoryMappedIO`.
    pub const MMIO: Self = Self(11);
    /// `EfiMemoryMappedIOPortSpace`.
    pub const MMIO_PORTS: Self = Self(12);
    /// `EfiPalCode`.
    pub const PAL_CODE: Self = Self(13);
    /// `EfiPersistentMemory`.
    pub const PERSISTENT: Self = Self(14);

    /// Returns whether it belongs to a kernel once firmware's boot services are over (7.2.3, table
    /// 7.10; Linux's efi-init.c, `is_usable_memory`).
    const fn is_usable(self) -> bool {
        matches!(
            self,
            Self::LOADER_CODE
                | Self::LOADER_DATA
                | Self::BOOT_SERVICES_CODE
                | Self::BOOT_SERVICES_DATA
                | Self::CONVENTIONAL
                | Self::ACPI_RECLAIM
                | Self::PERSISTENT
        )
    }

    /// Returns whether neither a kernel nor, for a kernel, firmware reaches for it.
    const fn is_kept_off(self) -> bool {
        matches!(
            self,
            Self::RESERVED | Self::UNUSABLE | Self::MMIO | Self::MMIO_PORTS | Self::PAL_CODE
        )
    }
}

impl Display for MemoryType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "type {}", self.0)
    }
}

/// A range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is for.
    pub kind: MemoryType,
    /// Its physical address.
    pub start: u64,
    /// How many pages of 4 KiB it has.
    pub pages: u64,
    /// Its attributes (`EFI_MEMORY_*`).
    pub attribute: u64,
}

impl Descriptor {
    /// Returns the range; `None` if it is empty, or goes beyond the last 64-bit address.
    pub fn region(&self) -> Option<Region> {
        Region::new(self.start, self.pages.checked_mul(PAGE)?).ok()
    }

    /// Returns whether Linux takes it as RAM for itself.
    pub const fn is_ram(&self) -> bool {
        self.may_be_ram() && self.attribute & SPECIFIC_PURPOSE == 0
    }

    /// Returns whether a kernel may take it as RAM: Linux with `efi=nosoftreserve` does.
    const fn may_be_ram(&self) -> bool {
        self.kind.is_usable() && self.attribute & WRITE_BACK != 0
    }
}

impl Display for Descriptor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (kind, attribute) = (self.kind, self.attribute);
        match self.region() {
            Some(region) => write!(f, "{region}, {kind}, attribute {attribute:#x}"),
            None => write!(
                f,
                "{:#x}, {:#x} pages, {kind}, attribute {attribute:#x}",
                self.start, self.pages
            ),
        }
    }
}

/// Why a memory map is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MapError {
    /// Its descriptors are of a version that is not known.
    #[error("memory map: descriptors of version {0}")]
    Version(u32),
    /// Its descriptors are too short, or it is no whole number of them, or none, or very many.
    #[error("memory map: {size} bytes of descriptors of {descriptor} bytes")]
    Size {
        /// Bytes of the map.
        size: usize,
        /// Bytes of a descriptor.
        descriptor: usize,
    },
    /// A kernel that is handed the map may take memory that is not its own.
    #[error("memory map: {monitor} is not kept off, in {descriptor}")]
    Taken {
        /// The memory.
        monitor: Region,
        /// What offers it.
        descriptor: Descriptor,
    },
}

/// A memory map.
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap<'a> {
    bytes: &'a [u8],
    descriptor: usize,
}

impl<'a> MemoryMap<'a> {
    /// Reads the bytes of a map, with the size and the version of its descriptors that came with it.
    ///
    /// # Errors
    ///
    /// [`MapError`] if it cannot be one.
    pub fn new(bytes: &'a [u8], descriptor: usize, version: u32) -> Result<Self, MapError> {
        if version != VERSION {
            return Err(MapError::Version(version));
        }
        let whole = descriptor >= DESCRIPTOR && bytes.len().is_multiple_of(descriptor);
        if !whole || bytes.is_empty() || bytes.len() > MAX_SIZE {
            return Err(MapError::Size {
                size: bytes.len(),
                descriptor,
            });
        }
        Ok(Self { bytes, descriptor })
    }

    /// Returns how many bytes a descriptor has.
    pub fn descriptor_size(&self) -> usize {
        self.descriptor
    }

    /// Returns the descriptors, in the order of the map.
    pub fn descriptors(&self) -> impl Iterator<Item = Descriptor> + use<'a> {
        self.bytes
            .chunks_exact(self.descriptor)
            .filter_map(|bytes| {
                Some(Descriptor {
                    kind: MemoryType(u32_at(bytes, KIND)?),
                    start: u64_at(bytes, START)?,
                    pages: u64_at(bytes, PAGES)?,
                    attribute: u64_at(bytes, ATTRIBUTE)?,
                })
            })
    }

    /// Returns the memory that Linux takes as RAM, with the ACPI tables in it.
    pub fn ram(&self) -> RegionSet {
        let mut ram = RegionSet::new();
        for descriptor in self.descriptors().filter(Descriptor::is_ram) {
            ram.extend(descriptor.region());
        }
        // Where two descriptors say different things, the careful one holds.
        for descriptor in self.descriptors().filter(|other| !other.is_ram()) {
            if let Some(region) = descriptor.region() {
                ram.remove(&region);
            }
        }
        ram
    }

    /// Returns all memory, whatever it is used for: what is neither a device's nor has errors.
    pub fn memory(&self) -> RegionSet {
        let none = [
            MemoryType::MMIO,
            MemoryType::MMIO_PORTS,
            MemoryType::UNUSABLE,
        ];
        self.descriptors()
            .filter(|descriptor| !none.contains(&descriptor.kind))
            .filter_map(|descriptor| descriptor.region())
            .collect()
    }

    /// Returns what a kernel leaves alone, memory or not: all that is not RAM, and the ACPI tables,
    /// which each kernel needs again.
    pub fn reserved(&self) -> RegionSet {
        self.descriptors()
            .filter(|other| !other.is_ram() || other.kind == MemoryType::ACPI_RECLAIM)
            .filter_map(|other| other.region())
            .collect()
    }

    /// Returns the memory that is nobody's: neither firmware's, nor a table's, nor what a loader left.
    pub fn free(&self) -> RegionSet {
        let is_free = |descriptor: &Descriptor| {
            descriptor.kind == MemoryType::CONVENTIONAL && descriptor.is_ram()
        };
        let regions = |free| {
            self.descriptors()
                .filter(move |descriptor| is_free(descriptor) == free)
                .filter_map(|descriptor| descriptor.region())
        };
        let mut set: RegionSet = regions(true).collect();
        regions(false).for_each(|region| set.remove(&region));
        set
    }

    /// Returns the physical address of what firmware has at `address`, which is a virtual one if a
    /// kernel has called SetVirtualAddressMap, and the map says so (UEFI 2.10, 8.4; Linux's
    /// `efi_to_phys`).
    pub fn physical(&self, address: u64) -> u64 {
        let found = self.bytes.chunks_exact(self.descriptor).find_map(|bytes| {
            let start = u64_at(bytes, VIRTUAL).filter(|start| *start != 0)?;
            let size = u64_at(bytes, PAGES)?.checked_mul(PAGE)?;
            let offset = address.checked_sub(start).filter(|offset| *offset < size)?;
            match u64_at(bytes, ATTRIBUTE)? & RUNTIME {
                0 => None,
                _ => u64_at(bytes, START)?.checked_add(offset),
            }
        });
        found.unwrap_or(address)
    }

    /// Returns the bytes of a map that says the same but for `changes`: regions, by whole pages, that
    /// are of another type there. Descriptors have the size that they have in this one.
    pub fn with(&self, changes: &[(Region, MemoryType)]) -> Vec<u8> {
        let mut map = self.bytes.to_vec();
        for (region, kind) in changes {
            map = self.with_one(&map, region, *kind);
        }
        map
    }

    fn with_one(&self, map: &[u8], change: &Region, kind: MemoryType) -> Vec<u8> {
        let mut changed = Vec::with_capacity(map.len() + 2 * self.descriptor);
        for bytes in map.chunks_exact(self.descriptor) {
            let start = u64_at(bytes, START).unwrap_or_default();
            let pages = u64_at(bytes, PAGES).unwrap_or_default();
            let whole = Region::new(start, pages.saturating_mul(PAGE)).ok();
            let Some((whole, middle)) =
                whole.and_then(|whole| Some((whole, whole.intersection(change)?)))
            else {
                changed.extend_from_slice(bytes);
                continue;
            };
            let [below, above] = whole.without(change);
            for (part, kind) in [(below, None), (Some(middle), Some(kind)), (above, None)] {
                if let Some(part) = part {
                    let at = changed.len();
                    changed.extend_from_slice(bytes);
                    rewrite(
                        changed.get_mut(at..).unwrap_or_default(),
                        &whole,
                        &part,
                        kind,
                    );
                }
            }
        }
        changed
    }

    /// Checks that a kernel which is handed this map keeps off the monitor's memory: no descriptor
    /// offers any of it as memory, or as something of firmware's that is used on. Memory that is in
    /// no descriptor does not exist for the kernel. A kernel with larger pages widens descriptors to
    /// whole ones, so `monitor` is to begin and end at multiples of 64 KiB.
    ///
    /// The part `shown` of it, which the kernel may read, may be like ACPI's tables: Linux never uses the memory
    /// of these for anything else (its efi-init.c, `reserve_regions`).
    ///
    /// # Errors
    ///
    /// [`MapError::Taken`] with the first descriptor that does.
    pub fn keeps_off(&self, monitor: &Region, shown: Option<&Region>) -> Result<(), MapError> {
        let is_shown = |descriptor: &Descriptor| {
            descriptor.kind == MemoryType::ACPI_RECLAIM
                && shown
                    .zip(descriptor.region())
                    .is_some_and(|(shown, region)| shown.encloses(&region))
        };
        let takes = |descriptor: &Descriptor| {
            !descriptor.kind.is_kept_off()
                && !is_shown(descriptor)
                && match descriptor.region() {
                    Some(region) => region.overlaps(monitor),
                    // What a kernel makes of one that wraps around, nobody knows.
                    None => descriptor.pages != 0,
                }
        };
        match self.descriptors().find(takes) {
            Some(descriptor) => Err(MapError::Taken {
                monitor: *monitor,
                descriptor,
            }),
            None => Ok(()),
        }
    }
}

/// Makes the descriptor of `whole` one of `part`, of type `kind` if it is another one.
fn rewrite(descriptor: &mut [u8], whole: &Region, part: &Region, kind: Option<MemoryType>) {
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = descriptor.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    put(START, &part.start().to_le_bytes());
    put(PAGES, &(part.size() / PAGE).to_le_bytes());
    if let Some(kind) = kind {
        put(KIND, &kind.0.to_le_bytes());
    }
    let offset = part.start() - whole.start();
    if let Some(start) = u64_at(descriptor, VIRTUAL).filter(|start| *start != 0) {
        let start = start.wrapping_add(offset);
        if let Some(place) = descriptor.get_mut(VIRTUAL..VIRTUAL + 8) {
            place.copy_from_slice(&start.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
