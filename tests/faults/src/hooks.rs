// SPDX-License-Identifier: Apache-2.0
//! Boot services that others call, with this application in front.

use crate::fault::Fault;
use crate::firmware::Firmware;
use r_efi::efi::protocols::device_path;
use r_efi::efi::{Boolean, BootExitBootServices, BootLoadImage, Handle, Status};
use spin::mutex::SpinMutex;

/// Firmware's own functions, and what is done in front of them.
struct Hooks {
    firmware: Firmware,
    load_image: Option<(BootLoadImage, Fault)>,
    exit: Option<BootExitBootServices>,
    /// How often ExitBootServices is refused from now on.
    refusals: u32,
}

// SAFETY: One CPU runs as long as there are boot services.
unsafe impl Send for Hooks {}

static HOOKS: SpinMutex<Option<Hooks>> = SpinMutex::new(None);

fn with<T>(firmware: &Firmware, act: impl FnOnce(&mut Hooks) -> T) -> T {
    act(HOOKS.lock().get_or_insert(Hooks {
        firmware: *firmware,
        load_image: None,
        exit: None,
        refusals: 0,
    }))
}

/// Has `fault` know when the next image is loaded.
pub fn watch_load_image(firmware: &Firmware, fault: Fault) {
    let firmwares = firmware.replace_load_image(load_image);
    with(firmware, |hooks| {
        hooks.load_image = Some((firmwares, fault))
    });
}

/// Has firmware refuse ExitBootServices so many times.
pub fn refuse_exit(firmware: &Firmware, refusals: u32) -> bool {
    let firmwares = firmware.replace_exit_boot_services(exit_boot_services);
    with(firmware, |hooks| {
        hooks.exit = Some(firmwares);
        hooks.refusals = refusals;
    });
    true
}

/// Has loaders call this application again, and past it firmware.
pub fn take_exit_back(firmware: &Firmware) {
    firmware.replace_exit_boot_services(exit_boot_services);
}

/// Puts firmware's own functions back.
pub fn take_out(firmware: &Firmware) {
    with(firmware, |hooks| {
        if let Some((firmwares, _)) = hooks.load_image.take() {
            firmware.replace_load_image(firmwares);
        }
        if let Some(firmwares) = hooks.exit.take() {
            firmware.replace_exit_boot_services(firmwares);
        }
    });
}

extern "efiapi" fn load_image(
    policy: Boolean,
    parent: Handle,
    path: *mut device_path::Protocol,
    source: *mut core::ffi::c_void,
    size: usize,
    image: *mut Handle,
) -> Status {
    let mut hooks = HOOKS.lock();
    let Some(hooks) = hooks.as_mut() else {
        return Status::ABORTED;
    };
    let Some((firmwares, fault)) = hooks.load_image.take() else {
        return Status::ABORTED;
    };
    let firmware = hooks.firmware;
    firmware.replace_load_image(firmwares);
    fault.next_is_loaded(&firmware);
    // SAFETY: The caller's parameters, for the function that it means to call.
    unsafe { firmwares(policy, parent, path, source, size, image) }
}

extern "efiapi" fn exit_boot_services(image: Handle, key: usize) -> Status {
    let firmwares = {
        let mut hooks = HOOKS.lock();
        let Some(hooks) = hooks.as_mut() else {
            return Status::ABORTED;
        };
        if let Some(left) = hooks.refusals.checked_sub(1) {
            hooks.refusals = left;
            // The key is an old one from now on.
            hooks.firmware.take_any_page();
        }
        match hooks.exit {
            Some(firmwares) => firmwares,
            None => return Status::ABORTED,
        }
    };
    // SAFETY: As above.
    unsafe { firmwares(image, key) }
}
