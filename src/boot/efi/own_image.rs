// SPDX-License-Identifier: Apache-2.0
//! The monitor's own image as firmware has loaded it: what it was told, and which loader comes next.

use super::files;
use super::services::{Named, Services};
use alloc::string::String;
use alloc::vec::Vec;
use baton_core::efi::config::Config;
use baton_core::efi::{device_path, next_loader};
use core::ffi::c_void;
use core::ptr::NonNull;
use core::slice;
use r_efi::efi::protocols::{device_path as dp, loaded_image};
use r_efi::efi::{BOOT_SERVICES_CODE, Handle, Status};

/// The file beside the image.
const CONFIG: &str = "baton.conf";
/// Bytes that it may have.
const CONFIG_MAX: usize = 4096;
/// Bytes that a device path may have.
const PATH_MAX: usize = 4096;

/// The monitor's own image.
pub struct OwnImage {
    device: Handle,
    /// Its path on the partition; empty if it was not loaded from one.
    path: String,
    /// It was loaded as a boot service driver, which stays when its entry point returns.
    pub is_driver: bool,
    load_options: Vec<u8>,
}

impl OwnImage {
    /// Asks firmware; `None` if that does not know the image.
    pub fn find(services: &Services) -> Option<Self> {
        let image: NonNull<loaded_image::Protocol> =
            services.protocol(services.image, &loaded_image::PROTOCOL_GUID)?;
        // SAFETY: Firmware's, and nobody writes it.
        let image = unsafe { image.as_ref() };
        let options = image.load_options.cast::<u8>();
        let load_options = match options.is_null() {
            true => &[],
            // SAFETY: Firmware says how many bytes there are.
            false => unsafe { slice::from_raw_parts(options, image.load_options_size as usize) },
        };
        // SAFETY: As above.
        let path = unsafe { path_bytes(image.file_path) };
        Some(Self {
            device: image.device_handle,
            path: device_path::file_path(path).unwrap_or_default(),
            is_driver: image.image_code_type == BOOT_SERVICES_CODE,
            load_options: load_options.to_vec(),
        })
    }

    /// Reads the file beside the image, if there is one, and the load options.
    pub fn config(&self, services: &Services) -> Config {
        let folder = self.path.rfind('\\').map_or("", |end| &self.path[..end]);
        let mut file = String::from(folder);
        file.push('\\');
        file.push_str(CONFIG);
        let text = files::read(services, self.device, &file, CONFIG_MAX).unwrap_or_default();
        let mut config = Config::default();
        config.read_file(&String::from_utf8_lossy(&text));
        config.read_load_options(&self.load_options);
        config
    }

    /// Loads the loader that comes next, if firmware trusts it.
    ///
    /// # Errors
    ///
    /// [`Status`] if there is none.
    pub fn load_next(&self, services: &Services, config: &Config) -> Result<Loader, Status> {
        if let Some(next) = &config.next {
            return self
                .load(services, next, &config.next_options)
                .inspect_err(|status| log::error!("next loader {next}: {}", Named(status)));
        }
        let folders = files::folders(services, self.device, "\\EFI");
        for path in next_loader::candidates(&self.path, &folders) {
            match self.load(services, &path, "") {
                Err(Status::NOT_FOUND) => {}
                Err(status) => log::warn!("next loader {path}: {}", Named(&status)),
                loaded => return loaded,
            }
        }
        log::error!(
            "no next loader on the partition of {}: name one in {CONFIG} (next=\\EFI\\...)",
            self.path
        );
        Err(Status::NOT_FOUND)
    }

    /// Loads the loader at `path` of the same partition, with `options` for its load options.
    fn load(&self, services: &Services, path: &str, options: &str) -> Result<Loader, Status> {
        // A shim's LoadImage has another status for it.
        if !files::is_there(services, self.device, path) {
            return Err(Status::NOT_FOUND);
        }
        let device: NonNull<dp::Protocol> = services
            .protocol(self.device, &dp::PROTOCOL_GUID)
            .ok_or(Status::NOT_FOUND)?;
        // SAFETY: Firmware's, and nobody writes it.
        let whole = device_path::with_file(unsafe { path_bytes(device.as_ptr()) }, path);
        Ok(Loader {
            image: services.load_image(&whole)?,
            options: options.encode_utf16().chain([0]).collect(),
        })
    }
}

/// A loader that does not run yet.
pub struct Loader {
    image: Handle,
    options: Vec<u16>,
}

impl Loader {
    /// Starts it, and returns what it returned.
    pub fn start(mut self, services: &Services) -> Status {
        if let Some(mut image) =
            services.protocol::<loaded_image::Protocol>(self.image, &loaded_image::PROTOCOL_GUID)
        {
            // SAFETY: The image was just loaded, and does not run yet; the options outlive it.
            unsafe {
                image.as_mut().load_options = self.options.as_mut_ptr().cast::<c_void>();
                image.as_mut().load_options_size = (self.options.len() * 2) as u32;
            }
        }
        services.start_image(self.image)
    }
}

/// Returns a device path with its end node.
///
/// # Safety
///
/// It is null, or a device path that nobody writes.
unsafe fn path_bytes<'a>(path: *mut dp::Protocol) -> &'a [u8] {
    if path.is_null() {
        return &[];
    }
    let start = path.cast::<u8>();
    let mut size = 0;
    loop {
        // SAFETY: A path has a node here, as the one before was not its end.
        let [kind, _, low, high] = unsafe { start.add(size).cast::<[u8; 4]>().read() };
        size += usize::from(u16::from_le_bytes([low, high])).max(4);
        if kind == dp::TYPE_END || size > PATH_MAX {
            // SAFETY: All nodes up to here were read.
            return unsafe { slice::from_raw_parts(start, size) };
        }
    }
}
