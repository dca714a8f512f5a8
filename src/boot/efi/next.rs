// SPDX-License-Identifier: Apache-2.0
//! The loader that comes next, and the file beside the image that may name it.

use super::services::{Services, done};
use alloc::string::String;
use alloc::vec::Vec;
use baton_core::efi::config::Config;
use baton_core::efi::device_path;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use r_efi::efi::protocols::{device_path as dp, file, loaded_image, simple_file_system};
use r_efi::efi::{Handle, Status};

/// The file beside the image.
const CONFIG: &str = "baton.conf";
/// Bytes that it may have.
const CONFIG_MAX: usize = 4096;

/// The monitor's own image, as firmware has loaded it.
pub struct OwnImage {
    device: Handle,
    /// Its path on the partition; empty if it was not loaded from one.
    path: String,
}

impl OwnImage {
    /// Asks firmware.
    pub fn find(services: &Services) -> Option<Self> {
        let image: NonNull<loaded_image::Protocol> =
            services.protocol(services.image, &loaded_image::PROTOCOL_GUID)?;
        // SAFETY: Firmware's, and nobody writes it.
        let image = unsafe { image.as_ref() };
        Some(Self {
            device: image.device_handle,
            // SAFETY: As above.
            path: device_path::file_path(unsafe { path_bytes(image.file_path) })
                .unwrap_or_default(),
        })
    }

    /// Reads the file beside the image; nothing if there is none.
    pub fn config(&self, services: &Services) -> Config {
        let folder = self.path.rfind('\\').map_or("", |end| &self.path[..end]);
        let mut name = String::from(folder);
        name.push('\\');
        name.push_str(CONFIG);
        let text = read_file(services, self.device, &name).unwrap_or_default();
        Config::parse(core::str::from_utf8(&text).unwrap_or(""))
    }

    /// Starts the loader at `path` of the same partition, with `options` for its load options, and returns
    /// what it returned.
    ///
    /// # Errors
    ///
    /// [`Status`] if it cannot be loaded.
    pub fn start(&self, services: &Services, path: &str, options: &str) -> Result<Status, Status> {
        let device: NonNull<dp::Protocol> = services
            .protocol(self.device, &dp::PROTOCOL_GUID)
            .ok_or(Status::NOT_FOUND)?;
        // SAFETY: Firmware's, and nobody writes it.
        let whole = device_path::with_file(unsafe { path_bytes(device.as_ptr()) }, path);
        let handle = services.load_image(&whole)?;
        let mut units: Vec<u16> = options.encode_utf16().chain([0]).collect();
        if let Some(mut image) =
            services.protocol::<loaded_image::Protocol>(handle, &loaded_image::PROTOCOL_GUID)
        {
            // SAFETY: The image was just loaded, and does not run yet; the options outlive it.
            unsafe {
                image.as_mut().load_options = units.as_mut_ptr().cast::<c_void>();
                image.as_mut().load_options_size = (units.len() * 2) as u32;
            }
        }
        Ok(services.start_image(handle))
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
        let node: [u8; 4] = unsafe { start.add(size).cast::<[u8; 4]>().read() };
        let length = usize::from(u16::from_le_bytes([node[2], node[3]]));
        size += length.max(4);
        if node[0] == dp::TYPE_END || size > 4096 {
            // SAFETY: All nodes up to here were read.
            return unsafe { slice::from_raw_parts(start, size) };
        }
    }
}

/// Reads the file `name` of a partition.
fn read_file(services: &Services, device: Handle, name: &str) -> Option<Vec<u8>> {
    let system: NonNull<simple_file_system::Protocol> =
        services.protocol(device, &simple_file_system::PROTOCOL_GUID)?;
    let mut name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let (mut root, mut opened) = (ptr::null_mut(), ptr::null_mut());
    let mut bytes = alloc::vec![0; CONFIG_MAX];
    let mut size = bytes.len();
    // SAFETY: The protocols are firmware's; the buffer has as many bytes as `size` says.
    unsafe {
        let system = system.as_ptr();
        done(((*system).open_volume)(system, &raw mut root)).ok()?;
        let status = ((*root).open)(root, &raw mut opened, name.as_mut_ptr(), file::MODE_READ, 0);
        let read = done(status).and_then(|()| {
            let read = ((*opened).read)(opened, &raw mut size, bytes.as_mut_ptr().cast());
            ((*opened).close)(opened);
            done(read)
        });
        ((*root).close)(root);
        read.ok()?;
    }
    bytes.truncate(size);
    Some(bytes)
}
