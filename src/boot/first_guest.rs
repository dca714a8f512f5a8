// SPDX-License-Identifier: Apache-2.0
//! The first guest: its modules looked at, its device tree written, its entry found.

use super::early_map;
use super::layout::TREE_GROWTH;
use crate::arch::cache;
use crate::arch::sysreg::current_mpidr;
use crate::console;
use crate::gic::Gic;
use crate::memory::guest_ram::GuestRam;
use crate::memory::stage1::MemoryKind;
use crate::report;
use alloc::vec::Vec;
use baton_core::description::Description;
use baton_core::devicetree::blob;
use baton_core::devicetree::board::{Board, MemoryMap};
use baton_core::devicetree::guest_tree::{GuestTree, TreeError, guest_tree};
use baton_core::efi::memory_map::{MapError, MemoryMap as UefiMap, MemoryType, VERSION};
use baton_core::linux::image::{HEADER_SIZE, ImageError, ImageHeader};
use baton_core::memory::region::{Region, RegionSet};
use baton_core::options::Options;
use baton_core::report::times;
use baton_core::smp::power::Start;
use core::slice;
use thiserror::Error;

/// An arm64 Image lies `text_offset` bytes above a multiple of this (booting.rst).
const IMAGE_ALIGN: u64 = 2 << 20;
/// Alignment of the pending table of LPIs (Arm IHI 0069, GICR_PENDBASER).
const LPI_ALIGN: u64 = 64 << 10;
/// What each interrupt controller reaches: the GIC-600 of RK3568, R-Car Gen4 and Agilex 5 has 32 bits of
/// address.
const LPI_REACH: u64 = 1 << 32;

/// A page of a kernel is not larger.
const LARGEST_PAGE: u64 = 64 << 10;

/// Why the guest cannot be started.
#[derive(Debug, Error)]
pub enum GuestError {
    /// A module is not in the machine's memory.
    #[error("{what} at {region} is outside the guest's memory")]
    OutsideRam {
        /// Which module.
        what: &'static str,
        /// Where it is, with all it will use.
        region: Region,
    },
    /// The modules share memory.
    #[error("kernel at {kernel} and ramdisk at {ramdisk} overlap")]
    Overlap {
        /// The kernel, with its .bss.
        kernel: Region,
        /// The ramdisk.
        ramdisk: Region,
    },
    /// The kernel has an Image header that cannot be true.
    #[error("kernel at {start:#x}: {error}")]
    Image {
        /// Where the kernel is.
        start: u64,
        /// What is wrong with it.
        error: ImageError,
    },
    /// The Image is not where an Image can run, and there is no memory to move it to.
    #[error(
        "kernel at {start:#x}: an Image with text_offset {text_offset:#x} must lie that far above a multiple of 2 MiB, and no such place is free"
    )]
    Misplaced {
        /// Where the kernel is.
        start: u64,
        /// Its header's text_offset, in bytes.
        text_offset: u64,
    },
    /// The guest's tree cannot be made.
    #[error("the guest's device tree: {0}")]
    Tree(#[from] TreeError),
    /// There is no memory for the tables of LPIs.
    #[error("no memory for the tables of LPIs, {0} bytes")]
    NoLpiTables(u64),
    /// There is no memory for the guest's tree.
    #[error("no memory for the guest's device tree of {0} bytes")]
    NoRoom(usize),
    /// UEFI's memory map cannot be changed.
    #[error(transparent)]
    Map(#[from] MapError),
    /// There is no memory for UEFI's memory map.
    #[error("no memory for UEFI's memory map of {0} bytes")]
    NoRoomForMap(u64),
    /// The place that the command line names for the guest's tree cannot be had.
    #[error("tree={0:#x}: the guest has no free memory there")]
    TreePlace(u64),
}

/// A guest that can be entered.
pub struct Ready {
    /// Where, and with what in x0.
    pub at: Start,
    /// Where the kernel's file lies.
    pub kernel: Region,
}

/// A kernel as it was loaded.
struct Loaded {
    /// All that it will use.
    footprint: Region,
    /// Its header's text_offset, in bytes, if it must lie elsewhere.
    misplaced: Option<u64>,
}

/// Returns what the kernel will use, as far as its header can be believed yet.
///
/// Only on the early map, before the kernel's memory is mapped.
pub fn kernel_footprint(map: &MemoryMap) -> Option<Region> {
    let kernel = map.modules.kernel;
    let first_page = Region::new(kernel.start(), kernel.size().min(HEADER_SIZE as u64)).ok()?;
    // Rust has no references to address 0.
    if kernel.start() == 0 || !map.memory.contains(first_page.start(), first_page.size()) {
        return Some(kernel);
    }
    // SAFETY: This is the boot CPU on the early map; the page is RAM that is the kernel's.
    unsafe { early_map::add(&first_page, MemoryKind::Data) };
    // SAFETY: It has just been mapped, and nobody writes it before the guest runs.
    let bytes = unsafe {
        slice::from_raw_parts(first_page.start() as *const u8, first_page.size() as usize)
    };
    let size = ImageHeader::parse(bytes).map_or(0, |header| header.image_size());
    Region::new(kernel.start(), kernel.size().max(size))
        .ok()
        .or(Some(kernel))
}

/// Looks at the modules, and returns where the guest begins, with its device tree in x0.
///
/// # Errors
///
/// [`GuestError`], naming the value that is wrong.
pub fn prepare(
    board: &Board,
    description: &Description<'_>,
    ram: &GuestRam,
    monitor: Region,
    gic: &Gic,
    options: &Options,
) -> Result<Ready, GuestError> {
    let mut kernel = board.map.modules.kernel;
    let loaded = kernel_in_ram(kernel, ram)?;
    let footprint = loaded.footprint;
    if let Some(ramdisk) = board.map.modules.ramdisk {
        let what = "ramdisk";
        ram.range(ramdisk.start(), ramdisk.size())
            .ok_or(GuestError::OutsideRam {
                what,
                region: ramdisk,
            })?;
        if ramdisk.overlaps(&footprint) {
            return Err(GuestError::Overlap {
                kernel: footprint,
                ramdisk,
            });
        }
    }
    let mut free: RegionSet = ram.banks().iter().copied().collect();
    free.remove_all(&board.map.reserved);
    free.remove(&footprint);
    if let Some(ramdisk) = board.map.modules.ramdisk {
        free.remove(&ramdisk);
    }
    let keep = options.keep_lpis;
    let lpi_tables = match gic.lpi_tables(current_mpidr(), keep) {
        Some(size) => Some(preset_lpis(gic, keep, &mut free, size, ram)?),
        None => None,
    };
    let log = console::log_memory();
    let kinds = [
        Some((monitor, MemoryType::RESERVED)),
        // What is ACPI's is memory of the kernel's that it never uses for anything else.
        lpi_tables.map(|tables| (tables, MemoryType::ACPI_RECLAIM)),
        // With a tree, the log is a device's memory.
        description
            .is_by_acpi()
            .then_some((log, MemoryType::ACPI_RECLAIM)),
    ];
    let uefi_map = match description.map() {
        Some(map) => Some(hand_on_map(&map, [monitor, log], &kinds, &mut free, ram)?),
        None => None,
    };
    let config = GuestTree {
        monitor,
        log,
        uefi_map,
        lpi_tables,
        bootargs: board.map.modules.bootargs.as_deref(),
        ramdisk: board.map.modules.ramdisk,
        cpus: &board.hardware.cpus,
        own_psci: board.hardware.psci.is_none(),
        report: &report::text(options, None),
        times: &times::empty(board.hardware.cpus.len()),
    };
    let guest = guest_tree(description.tree(), &config)?;
    if let Some(text_offset) = loaded.misplaced {
        kernel = move_image(kernel, text_offset, footprint.size(), &mut free, ram)?;
    }
    // Linux maps the tree with a block of 2 MiB of its own.
    let room = (guest.len() as u64 + TREE_GROWTH).min(blob::MAX_SIZE);
    let (region, error) = match options.tree {
        Some(at) => (
            Region::new(at, room)
                .ok()
                .filter(|region| free.contains(region.start(), region.size())),
            GuestError::TreePlace(at),
        ),
        None => (
            free.highest_fit(room, IMAGE_ALIGN),
            GuestError::NoRoom(guest.len()),
        ),
    };
    let place = region
        .and_then(|region| ram.range(region.start(), region.size()))
        .filter(|range| range.write(&guest))
        .ok_or(error)?;
    // The loader cleaned what it loaded: it handed over with its caches off.
    cache::clean_to_poc(place.start() as usize, guest.len());
    Ok(Ready {
        at: Start {
            entry: kernel.start(),
            context: place.start(),
        },
        kernel,
    })
}

/// Writes UEFI's memory map for the guest, in which memory is of these `kinds`, and nobody has that of `monitor`,
/// of which `log` is a part. Returns where it is: Linux reserves that memory, and hands the map on to the next
/// kernel.
fn hand_on_map(
    map: &UefiMap<'_>,
    [monitor, log]: [Region; 2],
    kinds: &[Option<(Region, MemoryType)>],
    free: &mut RegionSet,
    ram: &GuestRam,
) -> Result<Region, GuestError> {
    let kinds: Vec<_> = kinds.iter().copied().flatten().collect();
    let changed = map.with(&kinds);
    UefiMap::new(&changed, map.descriptor_size(), VERSION)?.keeps_off(&monitor, Some(&log))?;
    let size = changed.len() as u64;
    let place = free
        .highest_fit(size.next_multiple_of(LARGEST_PAGE), LARGEST_PAGE)
        .ok_or(GuestError::NoRoomForMap(size))?;
    free.remove(&place);
    let range = ram
        .range(place.start(), size)
        .filter(|range| range.write(&changed))
        .ok_or(GuestError::NoRoomForMap(size))?;
    cache::clean_to_poc(range.start() as usize, changed.len());
    Ok(range.region())
}

/// Moves an Image from where it cannot run to the lowest place that is free, and returns where that
/// is. `size` is the memory that it needs in bytes.
fn move_image(
    kernel: Region,
    text_offset: u64,
    size: u64,
    free: &mut RegionSet,
    ram: &GuestRam,
) -> Result<Region, GuestError> {
    let start = kernel.start();
    let file = ram.range(start, kernel.size());
    let place = text_offset
        .checked_add(size)
        .and_then(|room| free.lowest_fit(room, IMAGE_ALIGN, 0))
        .and_then(|region| ram.range(region.start() + text_offset, size))
        // SAFETY: No guest runs, and what is free has nothing of the kernel's file.
        .filter(|range| file.is_some_and(|file| range.write(unsafe { file.bytes() })))
        .ok_or(GuestError::Misplaced { start, text_offset })?;
    cache::clean_to_poc(place.start() as usize, kernel.size() as usize);
    free.remove(&place.region());
    log::warn!(
        "kernel at {start:#x} moved to {:#x}: an Image lies {text_offset:#x} above a multiple of 2 MiB",
        place.start()
    );
    Region::new(place.start(), kernel.size()).map_err(|_| GuestError::OutsideRam {
        what: "kernel",
        region: place.region(),
    })
}

/// Takes `size` bytes of `free` for the tables of LPIs that cannot be switched off, and switches
/// them on with these tables, which every kernel from now on finds.
fn preset_lpis(
    gic: &Gic,
    keep: bool,
    free: &mut RegionSet,
    size: u64,
    ram: &GuestRam,
) -> Result<Region, GuestError> {
    // Some interrupt controllers reach no further, and no device tree says so.
    let range = free
        .highest_fit_below(LPI_REACH, size, LPI_ALIGN)
        .or_else(|| free.highest_fit(size, LPI_ALIGN))
        .and_then(|region| ram.range(region.start(), region.size()))
        .ok_or(GuestError::NoLpiTables(size))?;
    let region = range.region();
    free.remove(&region);
    // SAFETY: It is free memory of the guest, which does not run yet.
    unsafe { range.as_ptr().write_bytes(0, size as usize) };
    cache::clean_to_poc(region.start() as usize, size as usize);
    // SAFETY: It was zeroed, and the guest's tree says that it is reserved.
    match unsafe { gic.preset_lpis(current_mpidr(), region, keep) } {
        Ok(true) => log::info!("LPIs stay on, with tables at {region}"),
        Ok(false) => {}
        Err(error) => log::warn!("LPIs cannot be set up: {error}"),
    }
    Ok(region)
}

/// Returns what the kernel uses, all of it in the guest's memory.
fn kernel_in_ram(kernel: Region, ram: &GuestRam) -> Result<Loaded, GuestError> {
    let what = "kernel";
    let outside = |region| GuestError::OutsideRam { what, region };
    let range = ram
        .range(kernel.start(), kernel.size())
        .ok_or(outside(kernel))?;
    // SAFETY: The kernel was loaded before, and no guest runs yet.
    let file = unsafe { range.bytes() };
    let start = kernel.start();
    let header = match ImageHeader::parse_file(file) {
        Ok(header) => header,
        // A flat binary.
        Err(ImageError::NoMagic(_) | ImageError::TooShort(_)) => {
            return Ok(Loaded {
                footprint: kernel,
                misplaced: None,
            });
        }
        Err(error) => return Err(GuestError::Image { start, error }),
    };
    let text_offset = header.text_offset();
    let footprint = Region::new(start, header.image_size()).map_err(|_| outside(kernel))?;
    match ram.range(footprint.start(), footprint.size()) {
        Some(_) => Ok(Loaded {
            footprint,
            misplaced: (start.wrapping_sub(text_offset) % IMAGE_ALIGN != 0).then_some(text_offset),
        }),
        None => Err(outside(footprint)),
    }
}
