// SPDX-License-Identifier: Apache-2.0
//! The image put where it stays, with all that it has to know when boot services are over.

use super::handover::{Bytes, Handover};
use super::mapped::{Mapped, rsdp};
use super::services::{Named, Services};
use super::{entry_in_copy, exit, report_table};
use crate::arch::sysreg::current_mpidr;
use crate::arch::{cache, time};
use crate::boot::image;
use crate::boot::layout::{ALIGN, Layout};
use crate::firmware;
use baton_core::acpi::{Physical, Tables};
use baton_core::devicetree::blob;
use baton_core::devicetree::psci::Conduit;
use baton_core::efi::memory_map::{MapError, MemoryMap, VERSION};
use baton_core::efi::regime::has_e2h0;
use baton_core::efi::tables::TablesError;
use baton_core::firmware_tables::{FirmwareTables, FirmwareTablesError};
use baton_core::memory::addresses::{Beyond, GIB};
use baton_core::memory::region::Region;
use baton_core::report::property::About;
use baton_core::smp::barrier::MAX_CPUS;
use baton_sysreg::read_sysreg;
use r_efi::efi::{Guid, Handle, RESERVED_MEMORY_TYPE, Status};
use thiserror::Error;

/// Size in bytes of a page of UEFI's.
const PAGE: u64 = 4096;
/// Room for the memory map to grow, in bytes.
const MAP_GROWTH: u64 = 32 << 10;
/// EFI_DTB_TABLE_GUID (UEFI 2.10, 4.6.1.3).
const DEVICE_TREE: Guid = Guid::from_fields(
    0xb1b6_21d5,
    0xf19c,
    0x41a5,
    0x83,
    0x0b,
    &[0xd9, 0x15, 0x2c, 0x69, 0xaa, 0xe0],
);
/// Marks that a monitor waits for ExitBootServices: a protocol of Baton's own.
const INSTALLED: Guid = Guid::from_fields(
    0x6a1c_7a42,
    0x7c2e,
    0x4d0b,
    0x9d,
    0x53,
    &[0xba, 0x70, 0x4e, 0x1f, 0x90, 0x2b],
);

/// Why the monitor does not come between firmware and kernel: the machine boots as it would without it.
#[derive(Debug, Error)]
pub enum InstallError {
    /// Firmware does not run at EL2.
    #[error("firmware runs at EL{0}, and Baton needs EL2 (QEMU: -M virt,virtualization=on)")]
    Level(u64),
    /// A monitor waits already.
    #[error("Baton waits already")]
    Twice,
    /// EL2 cannot run without VHE.
    #[error(
        "this CPU has no HCR_EL2.E2H=0, without which Baton does not run (ID_AA64MMFR4_EL1 {0:#x})"
    )]
    NoE2h0(u64),
    /// There is memory that the guest could not have.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// EL1 could not go on with firmware's tables.
    #[error(transparent)]
    Regime(#[from] TablesError),
    /// There is neither.
    #[error("firmware offers no ACPI 2.0 tables, and no device tree of the machine")]
    NoTables,
    /// The machine is not known, or not served.
    #[error(transparent)]
    Tables(#[from] FirmwareTablesError),
    /// More CPUs than are served.
    #[error("{0} CPUs: {MAX_CPUS} are served at most")]
    Cpus(usize),
    /// PSCI is not firmware's by SMC.
    #[error("PSCI by HVC: another hypervisor owns EL2")]
    Hvc,
    /// Firmware does not answer.
    #[error("firmware does not answer PSCI_VERSION: {0}")]
    Psci(smccc::psci::Error),
    /// There is no memory map.
    #[error("no memory map: {}", Named(.0))]
    Map(Status),
    /// The memory map is none.
    #[error("memory map: {0}")]
    BadMap(#[from] MapError),
    /// There is no memory.
    #[error("no {0} KiB of free memory")]
    NoMemory(u64),
    /// Firmware does not give the memory.
    #[error("firmware does not give memory at {0:#x}: {status}", status = Named(.1))]
    Memory(u64, Status),
    /// The mark cannot be set.
    #[error("no protocol can be installed: {}", Named(.0))]
    Protocol(Status),
}

/// Prepares for ExitBootServices. `options` are the monitor's, `started` is when firmware started the
/// image, in ticks of CNTPCT_EL0.
///
/// # Errors
///
/// [`InstallError`]: nothing has changed.
pub fn install(services: &Services, options: &str, started: u64) -> Result<Waiting, InstallError> {
    // SAFETY: CurrentEL can be read at any level above EL0.
    let level = unsafe { read_sysreg!(CurrentEL) } >> 2 & 3;
    if level != 2 {
        return Err(InstallError::Level(level));
    }
    if services.is_marked(&INSTALLED) {
        return Err(InstallError::Twice);
    }
    // SAFETY: It is an ID register, and reads as zero where it has no meaning yet.
    let mmfr4 = unsafe { read_sysreg!(ID_AA64MMFR4_EL1) };
    if !has_e2h0(mmfr4) {
        return Err(InstallError::NoE2h0(mmfr4));
    }
    let (map, descriptor) = services.whole_memory_map().map_err(InstallError::Map)?;
    let memory = MemoryMap::new(&map, descriptor, VERSION)?;
    let ram = memory.ram();
    // SAFETY: It is an ID register.
    Beyond::check(unsafe { read_sysreg!(ID_AA64MMFR0_EL1) }, &ram)?;
    exit::check_tables(ram)?;
    let mapped = Mapped::new(&memory);
    let (tables, tree) = offered(services, &mapped)?;
    let (hardware, _) = tables.hardware(current_mpidr())?;
    let cpus = hardware.cpus.len();
    if cpus > MAX_CPUS {
        return Err(InstallError::Cpus(cpus));
    }
    if hardware
        .psci
        .as_ref()
        .is_some_and(|psci| psci.conduit != Conduit::Smc)
    {
        return Err(InstallError::Hvc);
    }
    firmware::version().map_err(InstallError::Psci)?;

    let by_acpi = matches!(tables, FirmwareTables::Acpi(_));
    let [madt, fadt, spcr, dbg2, srat, mcfg, iort] = match tables {
        FirmwareTables::Tree(_) => [&[] as &[u8]; 7],
        FirmwareTables::Acpi(tables) => [
            tables.madt,
            tables.fadt,
            tables.spcr.unwrap_or(&[]),
            tables.dbg2.unwrap_or(&[]),
            tables.srat.unwrap_or(&[]),
            tables.mcfg.unwrap_or(&[]),
            tables.iort.unwrap_or(&[]),
        ],
    };
    let parts = [
        tree,
        madt,
        fadt,
        spcr,
        dbg2,
        srat,
        mcfg,
        iort,
        options.as_bytes(),
    ];
    let map_room = map.len() as u64 + MAP_GROWTH;
    let given = size_of::<Handover>() as u64
        + parts.iter().map(|part| padded(part.len())).sum::<u64>()
        + map_room;
    let size = Layout::size(cpus as u64, 0, given);
    let place = memory
        .free()
        .highest_fit_within(size, ALIGN, GIB)
        .ok_or(InstallError::NoMemory(size >> 10))?;
    services
        .allocate_at(place.start(), (size / PAGE) as usize, RESERVED_MEMORY_TYPE)
        .map_err(|status| InstallError::Memory(place.start(), status))?;
    let mark = services.mark(&INSTALLED).map_err(|status| {
        services.free(place.start(), (size / PAGE) as usize);
        InstallError::Protocol(status)
    })?;
    copy_image(&place);
    let given = given.next_multiple_of(PAGE);
    let about = About { options };
    let mut pen = Pen(place.end() - given + padded(size_of::<Handover>()));
    let [tree, madt, fadt, spcr, dbg2, srat, mcfg, iort, options] =
        parts.map(|part| pen.write(part));
    // Nothing fails after this, and nothing looks at firmware's tables any more, which it may move.
    let report = match by_acpi {
        true => report_table::install(services, cpus, &about).unwrap_or_else(|error| {
            log::warn!("no ACPI table for the report: {error}");
            0
        }),
        false => 0,
    };
    let handover = Handover {
        monitor: [place.start(), size],
        size: given,
        spent: 0,
        ended: 0,
        refusals: 0,
        given_up: false,
        caller: Default::default(),
        tree,
        madt,
        fadt,
        spcr,
        dbg2,
        srat,
        mcfg,
        iort,
        devices: hardware.devices,
        options,
        memory_map: Bytes::new(pen.0, place.end() - pen.0),
        descriptor_size: descriptor as u64,
        report,
        memory_reserve: 0,
    };
    let at = (place.end() - given) as *mut Handover;
    // SAFETY: It is the monitor's memory, which firmware has just given, and nobody else uses it.
    unsafe { at.write(handover) };
    cache::clean_to_poc(at as usize, given as usize);
    // The way out of firmware's regime is executed with the MMU off.
    cache::clean_to_poc(
        image::text().start() as usize,
        image::text().size() as usize,
    );
    log::info!(
        "Baton {}: {cpus} CPUs, monitor at {place}, waits for ExitBootServices",
        env!("CARGO_PKG_VERSION"),
    );
    // SAFETY: As above.
    unsafe { (*at).spent = time::now() - started };
    // SAFETY: The copy and what it is handed are whole, and clean.
    unsafe { exit::wait(services, at, entry_in_copy(&place)) };
    Ok(Waiting { place, mark })
}

/// Returns what firmware describes the machine by, and the bytes of its tree, if it is that.
fn offered<'a>(
    services: &Services,
    mapped: &'a Mapped,
) -> Result<(FirmwareTables<'a>, &'a [u8]), InstallError> {
    let tree = services
        .configuration_table(&DEVICE_TREE)
        .filter(|at| at.is_multiple_of(8))
        .and_then(|at| {
            let size = blob::size_in_header(mapped.bytes(at, 8)?)?;
            mapped.bytes(at, size as usize)
        });
    if let Some(tree) = tree
        && let Some(tables) = FirmwareTables::of_tree(tree)
    {
        return Ok((tables, tree));
    }
    let rsdp = rsdp(services).ok_or(InstallError::NoTables)?;
    let tables = Tables::find(mapped, rsdp).map_err(FirmwareTablesError::Acpi)?;
    Ok((FirmwareTables::Acpi(tables), &[]))
}

/// A monitor that waits for ExitBootServices.
pub struct Waiting {
    place: Region,
    mark: Handle,
}

impl Waiting {
    /// Whether the loader that is started now leads to the monitor. A shim older than 16 puts ExitBootServices
    /// back to what it found when it loads and starts an image.
    pub fn is_called(&self, services: &Services) -> bool {
        exit::is_in_table(services)
    }

    /// Takes everything back: boot services go on without this image. Returns how often firmware refused to
    /// end them, and with what the last time.
    pub fn withdraw(self, services: &Services) -> (u64, Status) {
        let refused = exit::withdraw(services);
        report_table::uninstall(services);
        services.unmark(self.mark, &INSTALLED);
        services.free(self.place.start(), (self.place.size() / PAGE) as usize);
        refused
    }
}

/// Copies the image to where it stays.
fn copy_image(place: &Region) {
    let loaded = image::loaded();
    // SAFETY: The place is memory that firmware has just given, and as large.
    unsafe {
        (place.start() as *mut u8).copy_from(loaded.start() as *const u8, loaded.size() as usize);
    }
    // The copy starts with its caches off.
    cache::clean_to_poc(place.start() as usize, image::region().size() as usize);
}

fn padded(size: usize) -> u64 {
    (size as u64).next_multiple_of(16)
}

/// Writes what is handed over, part behind part, from this physical address on.
struct Pen(u64);

impl Pen {
    fn write(&mut self, part: &[u8]) -> Bytes {
        let at = self.0;
        // SAFETY: `install` has counted all parts, and the memory is the monitor's.
        unsafe { (at as *mut u8).copy_from(part.as_ptr(), part.len()) };
        self.0 += padded(part.len());
        Bytes::new(at, part.len() as u64)
    }
}
