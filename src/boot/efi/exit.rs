// SPDX-License-Identifier: Apache-2.0
//! ExitBootServices, which a loader calls as the last of them: then EL2 is the monitor's, and the loader
//! goes on at EL1.

use super::handover::{Bytes, Caller, Handover, Saved};
use super::report_table;
use super::services::{Named, Services, done};
use crate::arch::{cache, time};
use baton_core::efi::memory_map::{MapError, MemoryMap, VERSION};
use baton_core::efi::regime::El2Regime;
use baton_core::efi::system_table::MEMORY_RESERVE;
use baton_core::efi::tables::{self, TableMemory, TablesError};
use baton_core::memory::region::RegionSet;
use baton_sysreg::read_sysreg;
use core::mem;
use core::ptr;
use core::slice;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};
use r_efi::efi::{BootExitBootServices, Guid, Handle, Status, SystemTable};
use thiserror::Error;

unsafe extern "efiapi" {
    /// `entry.S`: calls [`exit_boot_services`] with its caller's registers.
    fn efi_exit_boot_services(image: Handle, key: usize) -> Status;
}

unsafe extern "C" {
    /// `entry.S`: leaves firmware's regime for `entry` in the copy.
    fn leave_firmware(handover: *const Handover, size: u64, entry: u64) -> !;
}

const MEMORY_RESERVE_TABLE: Guid = Guid::from_bytes(&MEMORY_RESERVE);

/// What the copy is handed.
static HANDOVER: AtomicPtr<Handover> = AtomicPtr::new(ptr::null_mut());
/// Firmware's own ExitBootServices.
static FIRMWARES: AtomicU64 = AtomicU64::new(0);
/// Where the copy is entered.
static ENTRY: AtomicU64 = AtomicU64::new(0);
static TABLE: AtomicPtr<SystemTable> = AtomicPtr::new(ptr::null_mut());
/// What firmware last refused to end boot services with.
static REFUSAL: AtomicUsize = AtomicUsize::new(0);

/// Why the machine goes on without the monitor, though that waited.
#[derive(Debug, Error)]
enum ExitError {
    /// Firmware says not what memory is whose.
    #[error("no memory map from firmware: {}", Named(.0))]
    Map(Status),
    /// The memory map is none.
    #[error("memory map: {0}")]
    BadMap(#[from] MapError),
    /// EL1 cannot go on with firmware's tables.
    #[error(transparent)]
    Tables(#[from] TablesError),
}

/// Memory that a kernel is given, as firmware maps it: for a look at its tables.
struct Looked(RegionSet);

impl TableMemory for Looked {
    fn read(&self, address: u64) -> Option<u64> {
        let there = address != 0 && address.is_multiple_of(8) && self.0.contains(address, 8);
        // SAFETY: Firmware maps all memory at its own address.
        there.then(|| unsafe { (address as *const u64).read_volatile() })
    }

    fn write(&mut self, _: u64, _: u64) -> bool {
        true
    }
}

/// Waits for a loader to call: from then on `handover` and the copy's `entry` are used.
///
/// # Safety
///
/// The copy is whole and clean to the point of coherency, and nobody else uses `handover`.
pub unsafe fn wait(services: &Services, handover: *mut Handover, entry: u64) {
    HANDOVER.store(handover, Relaxed);
    ENTRY.store(entry, Relaxed);
    TABLE.store(services.system_table(), Relaxed);
    // SAFETY: Boot services are not over.
    let firmwares = unsafe { (*services.boot_table()).exit_boot_services };
    FIRMWARES.store(firmwares as usize as u64, Relaxed);
    // SAFETY: The image stays loaded until boot services are over: its entry point does not return before.
    unsafe { services.replace_exit_boot_services(efi_exit_boot_services) };
}

/// Does not wait any more, as long as nobody has put a function of its own in front. Returns how often firmware
/// refused to end boot services meanwhile, and with what the last time.
pub fn withdraw(services: &Services) -> (u64, Status) {
    let firmwares = firmwares();
    if is_in_table(services) {
        // SAFETY: It is firmware's own.
        unsafe { services.replace_exit_boot_services(firmwares) };
    }
    // SAFETY: `wait` got it from who calls this, and nobody else runs.
    let refusals = unsafe { (*HANDOVER.load(Relaxed)).refusals };
    (refusals, Status::from_usize(REFUSAL.load(Relaxed)))
}

/// Returns whether a loader that is started now calls this.
pub fn is_in_table(services: &Services) -> bool {
    // SAFETY: Boot services are not over.
    let current = unsafe { (*services.boot_table()).exit_boot_services };
    current as usize == efi_exit_boot_services as *const () as usize
}

/// Calls firmware's ExitBootServices, and leaves for the copy if that has succeeded.
#[unsafe(no_mangle)]
extern "C" fn exit_boot_services(image: Handle, key: usize, saved: &Saved) -> Status {
    let called = time::now();
    // SAFETY: Only this uses it (`wait`).
    let handover = unsafe { &mut *HANDOVER.load(Relaxed) };
    // SAFETY: Boot services are not over.
    let services = unsafe { Services::new(image, TABLE.load(Relaxed)) };
    let map = match services {
        Some(services) => look(&services, handover.memory_map),
        None => Err(ExitError::Map(Status::INVALID_PARAMETER)),
    };
    // The stub has installed it by now.
    let list = services.and_then(|services| services.configuration_table(&MEMORY_RESERVE_TABLE));
    handover.memory_reserve = list.unwrap_or(0);
    if let Err(error) = &map {
        // A loader that firmware refuses calls again.
        if !handover.given_up {
            log::error!("{error}; the machine goes on without Baton");
        }
        handover.given_up = true;
        if let Some(services) = services
            && handover.refusals == 0
        {
            // That changes firmware's memory map: the loader reads it again, and calls again.
            report_table::uninstall(&services);
            handover.report = 0;
        }
    }
    let firmwares = firmwares();
    handover.spent += time::now() - called;
    // SAFETY: It is what the loader wants to call.
    let status = unsafe { firmwares(image, key) };
    handover.ended = time::now();
    // A loader that is refused reads the map again, and calls again.
    if done(status).is_err() {
        handover.refusals += 1;
        REFUSAL.store(status.as_usize(), Relaxed);
        return status;
    }
    let Ok(map) = map else {
        return status;
    };
    handover.memory_map = map.bytes;
    handover.descriptor_size = map.descriptor_size;
    handover.caller = Caller {
        saved: *saved,
        sp: (&raw const *saved) as u64 + size_of::<Saved>() as u64,
        daif: daif(),
        regime: regime(),
    };
    let start = &raw const *handover;
    cache::clean_to_poc(start as usize, handover.size as usize);
    // SAFETY: The copy is whole, and all that it reads is clean.
    unsafe { leave_firmware(start, handover.size, ENTRY.load(Relaxed)) }
}

/// The memory map that a loader ends boot services with.
struct LastMap {
    bytes: Bytes,
    descriptor_size: u64,
}

/// Reads the memory map to where the copy has room for it, and looks whether EL1 can go on with firmware's
/// tables. Nothing is allocated from firmware: that would make the loader's key an old one.
fn look(services: &Services, room: Bytes) -> Result<LastMap, ExitError> {
    let room = room
        .region()
        .ok_or(ExitError::Map(Status::BUFFER_TOO_SMALL))?;
    // SAFETY: The room lies behind the handover, and only this uses it.
    let buffer =
        unsafe { slice::from_raw_parts_mut(room.start() as *mut u8, room.size() as usize) };
    let shape = services.memory_map(buffer).map_err(ExitError::Map)?;
    let bytes = buffer.get(..shape.size).unwrap_or_default();
    let ram = MemoryMap::new(bytes, shape.descriptor_size, VERSION)?.ram();
    check_tables(ram)?;
    Ok(LastMap {
        bytes: Bytes::new(room.start(), shape.size as u64),
        descriptor_size: shape.descriptor_size as u64,
    })
}

/// Looks whether EL1 could go on with firmware's tables, where a kernel is given the memory `ram`.
///
/// # Errors
///
/// [`TablesError`].
pub fn check_tables(ram: RegionSet) -> Result<(), TablesError> {
    tables::convert(&regime(), &mut Looked(ram)).map(|_| ())
}

fn firmwares() -> BootExitBootServices {
    // SAFETY: `wait` stored firmware's function.
    unsafe { mem::transmute::<usize, BootExitBootServices>(FIRMWARES.load(Relaxed) as usize) }
}

fn daif() -> u64 {
    // SAFETY: Reading it changes nothing.
    unsafe { read_sysreg!(DAIF) }
}

/// Reads what memory is to who runs now, at EL2.
fn regime() -> El2Regime {
    // SAFETY: The registers are there on every CPU with EL2, where this runs.
    unsafe {
        El2Regime {
            hcr: read_sysreg!(HCR_EL2),
            sctlr: read_sysreg!(SCTLR_EL2),
            tcr: read_sysreg!(TCR_EL2),
            ttbr0: read_sysreg!(TTBR0_EL2),
            mair: read_sysreg!(MAIR_EL2),
            vbar: read_sysreg!(VBAR_EL2),
        }
    }
}
