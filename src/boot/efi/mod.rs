// SPDX-License-Identifier: Apache-2.0
//! Started by UEFI firmware: the monitor prepares itself, starts the next loader, and takes EL2 when a
//! kernel's stub calls ExitBootServices.

mod exit;
mod files;
pub mod handover;
mod install;
mod mapped;
mod own_image;
mod report_table;
mod resume;
mod sbat;
mod screen;
mod services;

use super::image;
use crate::arch::time;
use crate::memory::heap::HEAP;
use baton_core::efi::config::Config;
use baton_core::memory::region::Region;
use install::{InstallError, Waiting};
use own_image::OwnImage;
use r_efi::efi::{Handle, Status, SystemTable};
use services::{Named, Services};

/// Called by `entry.S`: firmware has started the image.
#[unsafe(no_mangle)]
extern "C" fn efi_main(image: Handle, table: *mut SystemTable) -> Status {
    let started = time::now();
    HEAP.init_early();
    // SAFETY: Firmware hands its own over.
    let Some(services) = (unsafe { Services::new(image, table) }) else {
        return Status::UNSUPPORTED;
    };
    // SAFETY: As above; nothing is logged when boot services are over.
    unsafe { screen::start(table) };
    let Some(own) = OwnImage::find(&services) else {
        log::error!("firmware does not say where the image was loaded from");
        return Status::UNSUPPORTED;
    };
    let mut config = own.config(&services);
    if services.is_secure_boot() {
        for option in config.distrust() {
            log::warn!("option \"{option}\" ignored: Secure Boot is on, and nobody has signed it");
        }
    }
    let waiting = install::install(&services, &config.options, started);
    match &waiting {
        Ok(_) => {}
        // The driver waits, and this leads on to the next loader.
        Err(InstallError::Twice) if config.next.is_some() => log::info!("Baton waits already"),
        Err(error @ InstallError::Twice) => {
            log::error!("{error}, and no next= says what comes next");
            return Status::ALREADY_STARTED;
        }
        Err(error) => log::error!("{error}; the machine boots without Baton"),
    }
    if own.is_driver {
        return match waiting {
            Ok(_) => Status::SUCCESS,
            Err(_) => Status::UNSUPPORTED,
        };
    }
    lead_on(&services, &own, &config, waiting.ok())
}

/// Starts the next loader, and returns what firmware is told if that comes back: nobody may call into this image
/// any more.
fn lead_on(
    services: &Services,
    own: &OwnImage,
    config: &Config,
    waiting: Option<Waiting>,
) -> Status {
    let next = own.load_next(services, config);
    let waiting = waiting.and_then(|waiting| {
        if waiting.is_called(services) {
            return Some(waiting);
        }
        waiting.withdraw(services);
        log::error!(
            "ExitBootServices was taken back, as a shim older than 16 does; the machine boots without Baton"
        );
        None
    });
    let returned = next.map(|next| next.start(services));
    if let Some(waiting) = waiting {
        match (waiting.withdraw(services), &returned) {
            ((0, _), Ok(status)) => {
                log::warn!(
                    "the next loader returned {}; Baton withdraws",
                    Named(status)
                );
            }
            ((0, _), Err(_)) => {}
            ((times, status), _) => log::error!(
                "firmware refused ExitBootServices {times} times, the last with {}; Baton withdraws",
                Named(&status)
            ),
        }
    }
    // Firmware goes on to its next entry, and a shim to its own loader: for a loader that is not trusted it would
    // offer to enroll keys.
    returned.unwrap_or(Status::NOT_FOUND)
}

/// Where the copy at `place` is entered when boot services are over.
fn entry_in_copy(place: &Region) -> u64 {
    unsafe extern "C" {
        fn from_firmware();
    }
    place.start() + (from_firmware as *const () as u64 - image::region().start())
}
