// SPDX-License-Identifier: Apache-2.0
//! From firmware's entry to the monitor's, and back.

use crate::fault::Fault;
use crate::firmware::Firmware;
use crate::hooks;
use core::arch::global_asm;
use core::panic::PanicInfo;
use r_efi::efi::{Handle, Status, SystemTable};

global_asm!(include_str!("../../../src/boot/header.S"));
global_asm!(
    include_str!("../../../src/boot/relocations.S"),
    include_str!("entry.S")
);

/// Called by `entry.S`.
#[unsafe(no_mangle)]
extern "C" fn efi_main(image: Handle, table: *mut SystemTable) -> Status {
    // SAFETY: Firmware hands its own over, and its boot services are not over.
    let firmware = unsafe { Firmware::new(image, table) };
    let Some(fault) = firmware.with_load_options(Fault::named) else {
        firmware.say("faults: FAIL no such fault\r\n");
        return Status::INVALID_PARAMETER;
    };
    if fault == Fault::Return {
        firmware.say("faults: returns\r\n");
        return Status::NOT_STARTED;
    }
    let Ok(monitor) = firmware.load_monitor() else {
        firmware.say("faults: FAIL no monitor\r\n");
        return Status::NOT_FOUND;
    };
    if !fault.cause(&firmware) {
        firmware.say("faults: FAIL nothing to damage\r\n");
        return Status::NOT_FOUND;
    }
    hooks::watch_load_image(&firmware, fault);
    firmware.say("faults: the monitor is started\r\n");
    let status = firmware.start(monitor);
    // Nobody may call into this image when it is gone.
    hooks::take_out(&firmware);
    firmware.say("faults: the monitor has returned\r\n");
    status
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
