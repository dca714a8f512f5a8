// SPDX-License-Identifier: Apache-2.0
//! ExitBootServices, which a loader calls as the last of them: then EL2 is the monitor's, and the loader
//! goes on at EL1.

use super::handover::{Bytes, Caller, Handover, Saved};
use super::services::{Services, done};
use crate::arch::cache;
use baton_core::efi::regime::El2Regime;
use baton_sysreg::read_sysreg;
use core::mem;
use core::ptr;
use core::slice;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicU64};
use r_efi::efi::{BootExitBootServices, Handle, Status, SystemTable};

unsafe extern "efiapi" {
    /// `entry.S`: calls [`exit_boot_services`] with its caller's registers.
    fn efi_exit_boot_services(image: Handle, key: usize) -> Status;
}

unsafe extern "C" {
    /// `entry.S`: leaves firmware's regime for `entry` in the copy.
    fn leave_firmware(handover: *const Handover, entry: u64) -> !;
}

/// What is done when a loader calls.
static HANDOVER: AtomicPtr<Handover> = AtomicPtr::new(ptr::null_mut());
/// Firmware's own ExitBootServices.
static FIRMWARES: AtomicU64 = AtomicU64::new(0);
/// Where the copy is entered.
static ENTRY: AtomicU64 = AtomicU64::new(0);
static TABLE: AtomicPtr<SystemTable> = AtomicPtr::new(ptr::null_mut());

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

/// Calls firmware's ExitBootServices, and leaves for the copy if that has succeeded.
#[unsafe(no_mangle)]
extern "C" fn exit_boot_services(image: Handle, key: usize, saved: &Saved) -> Status {
    let handover = HANDOVER.load(Relaxed);
    // SAFETY: `wait` stored firmware's function.
    let firmwares: BootExitBootServices =
        unsafe { mem::transmute(FIRMWARES.load(Relaxed) as usize) };
    // SAFETY: Only this uses it (`wait`).
    let handover = unsafe { &mut *handover };
    let room = handover.memory_map;
    // SAFETY: Boot services are not over.
    let services = unsafe { Services::new(image, TABLE.load(Relaxed)) };
    let shape = services.and_then(|services| {
        let room = room.region()?;
        // SAFETY: The room lies behind the handover, and only this uses it.
        let buffer =
            unsafe { slice::from_raw_parts_mut(room.start() as *mut u8, room.size() as usize) };
        services.memory_map(buffer).ok()
    });
    if shape.is_none() {
        log::error!("no memory map from firmware: the machine goes on without Baton");
    }
    // SAFETY: It is what the loader wants to call.
    let status = unsafe { firmwares(image, key) };
    let (Some(shape), Some(room)) = (shape, room.region()) else {
        return status;
    };
    if done(status).is_err() {
        // The loader reads the map again, and calls again.
        return status;
    }
    handover.memory_map = Bytes::new(room.start(), shape.size as u64);
    handover.descriptor_size = shape.descriptor_size as u64;
    handover.caller = Caller {
        saved: *saved,
        sp: (&raw const *saved) as u64 + size_of::<Saved>() as u64,
        daif: daif(),
        regime: regime(),
    };
    let size = handover.size as usize;
    let start = &raw const *handover;
    cache::clean_to_poc(start as usize, size);
    // SAFETY: The copy is whole, and all that it reads is clean.
    unsafe { leave_firmware(start, ENTRY.load(Relaxed)) }
}

fn daif() -> u64 {
    // SAFETY: Reading it changes nothing.
    unsafe { read_sysreg!(DAIF) }
}

/// Reads what memory is to who runs now, at EL2.
pub fn regime() -> El2Regime {
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
