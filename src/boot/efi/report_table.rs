// SPDX-License-Identifier: Apache-2.0
//! The report's table among firmware's ACPI tables, installed while boot services are there.

use super::mapped::{Mapped, rsdp};
use super::services::{Named, Services};
use baton_abi::acpi::{SIGNATURE, size};
use baton_core::acpi::{self, AcpiError, Physical};
use baton_core::efi::memory_map::{MapError, MemoryMap, VERSION};
use baton_core::report::acpi::table;
use baton_core::report::property::{self, About};
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;
use r_efi::efi::Status;
use thiserror::Error;

/// No key, as firmware counts its own.
const NONE: usize = usize::MAX;

/// Firmware's key of the table.
static KEY: AtomicUsize = AtomicUsize::new(NONE);

/// Why there is no table: the report is on the console alone, and for the REPORT call.
#[derive(Debug, Error)]
pub enum ReportTableError {
    /// Firmware does not take it.
    #[error("firmware takes no ACPI table: {}", Named(.0))]
    Refused(Status),
    /// There is no memory map any more.
    #[error("no memory map: {}", Named(.0))]
    Map(Status),
    /// The memory map is none.
    #[error(transparent)]
    BadMap(#[from] MapError),
    /// Firmware's tables are broken now.
    #[error("ACPI: {0}")]
    Acpi(#[from] AcpiError),
    /// It is not there.
    #[error("firmware took it, and does not have it among its tables")]
    Lost,
}

/// Installs the table for so many CPUs, and returns its physical address.
///
/// # Errors
///
/// [`ReportTableError`]: nothing has changed.
pub fn install(
    services: &Services,
    cpus: usize,
    about: &About<'_>,
) -> Result<u64, ReportTableError> {
    let key = services
        .install_acpi_table(&table(cpus, &property::empty(about)))
        .map_err(ReportTableError::Refused)?;
    KEY.store(key, Relaxed);
    let found = find(services, size(cpus));
    if found.is_err() {
        uninstall(services);
    }
    found
}

/// Finds it from the start: firmware may have moved its tables for it, and got memory for that.
fn find(services: &Services, size: usize) -> Result<u64, ReportTableError> {
    let (map, descriptor) = services.whole_memory_map().map_err(ReportTableError::Map)?;
    let memory = Mapped::new(&MemoryMap::new(&map, descriptor, VERSION)?);
    let rsdp = rsdp(services).ok_or(ReportTableError::Lost)?;
    let address = acpi::find_table(&memory, rsdp, SIGNATURE)?.ok_or(ReportTableError::Lost)?;
    let whole = memory.bytes(address, size);
    whole.map(|_| address).ok_or(ReportTableError::Lost)
}

/// Takes the table out again, if it was installed.
pub fn uninstall(services: &Services) {
    match KEY.swap(NONE, Relaxed) {
        NONE => {}
        key => services.uninstall_acpi_table(key),
    }
}
