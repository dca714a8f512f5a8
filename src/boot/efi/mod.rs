// SPDX-License-Identifier: Apache-2.0
//! Started by UEFI firmware: the monitor prepares itself, starts the next loader, and takes EL2 when a
//! kernel's stub calls ExitBootServices.

mod exit;
pub mod handover;
mod install;
mod next;
mod resume;
mod screen;
mod services;

use super::image;
use crate::arch::time;
use crate::memory::heap::HEAP;
use baton_core::memory::region::Region;
use next::OwnImage;
use r_efi::efi::{Handle, Status, SystemTable};
use services::Services;

/// Called by `entry.S`: firmware has started the image.
#[unsafe(no_mangle)]
extern "C" fn efi_main(image: Handle, table: *mut SystemTable) -> Status {
    let started = time::now();
    HEAP.init_early();
    // SAFETY: Firmware hands its own over.
    let Some(services) = (unsafe { Services::new(image, table) }) else {
        return Status::UNSUPPORTED;
    };
    // SAFETY: As above; `exit` logs nothing when boot services are over.
    unsafe { screen::start(table) };
    let Some(own) = OwnImage::find(&services) else {
        log::error!("firmware does not say where the image was loaded from");
        return Status::UNSUPPORTED;
    };
    let config = own.config(&services);
    if let Err(error) = install::install(&services, &config.options, started) {
        log::error!("{error}; the machine boots without Baton");
    }
    let next = config
        .next
        .as_deref()
        .unwrap_or("\\EFI\\BOOT\\BOOTAA64.EFI");
    match own.start(&services, next, &config.next_options) {
        Ok(status) => status,
        Err(status) => {
            log::error!("next loader {next}: {status:?}");
            status
        }
    }
}

/// Where the copy at `place` is entered when boot services are over.
fn entry_in_copy(place: &Region) -> u64 {
    unsafe extern "C" {
        fn from_firmware();
    }
    place.start() + (from_firmware as *const () as u64 - image::region().start())
}
