// SPDX-License-Identifier: Apache-2.0
//! Files of the partition that the image was loaded from (UEFI 2.10, 13.5).

use super::services::{Services, done};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use baton_core::efi::next_loader;
use core::ptr::{self, NonNull};
use r_efi::efi::Handle;
use r_efi::efi::protocols::{file, simple_file_system};

/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 256;
/// Bytes of an entry: EFI_FILE_INFO with a name of 255 letters.
const ENTRY_MAX: usize = 80 + 2 * 256;

/// A file or a folder that is open. It is closed when this is dropped.
struct Open(*mut file::Protocol);

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: It is open, and not used again.
        unsafe { ((*self.0).close)(self.0) };
    }
}

impl Open {
    /// Opens the root of the partition `device`.
    fn root(services: &Services, device: Handle) -> Option<Self> {
        let system: NonNull<simple_file_system::Protocol> =
            services.protocol(device, &simple_file_system::PROTOCOL_GUID)?;
        let (system, mut root) = (system.as_ptr(), ptr::null_mut());
        // SAFETY: The protocol is firmware's.
        done(unsafe { ((*system).open_volume)(system, &raw mut root) }).ok()?;
        Some(Self(root))
    }

    /// Opens what is at `path`, for reading.
    fn at(&self, path: &str) -> Option<Self> {
        let mut path: Vec<u16> = path.encode_utf16().chain([0]).collect();
        let mut opened = ptr::null_mut();
        // SAFETY: This is open, and the path ends in 0.
        done(unsafe {
            ((*self.0).open)(
                self.0,
                &raw mut opened,
                path.as_mut_ptr(),
                file::MODE_READ,
                0,
            )
        })
        .ok()?;
        Some(Self(opened))
    }

    /// Reads up to `room` bytes of a file, or one entry of a folder.
    fn read(&self, room: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; room];
        let mut size = bytes.len();
        // SAFETY: This is open, and the buffer has as many bytes as `size` says.
        done(unsafe { ((*self.0).read)(self.0, &raw mut size, bytes.as_mut_ptr().cast()) }).ok()?;
        bytes.truncate(size);
        Some(bytes)
    }
}

/// Returns the first `room` bytes of the file at `path`; `None` if there is none.
pub fn read(services: &Services, device: Handle, path: &str, room: usize) -> Option<Vec<u8>> {
    Open::root(services, device)?.at(path)?.read(room)
}

/// Returns whether there is a file at `path`.
pub fn is_there(services: &Services, device: Handle, path: &str) -> bool {
    Open::root(services, device).is_some_and(|root| root.at(path).is_some())
}

/// Returns the names of the folders in the folder at `path`.
pub fn folders(services: &Services, device: Handle, path: &str) -> Vec<String> {
    let Some(folder) = Open::root(services, device).and_then(|root| root.at(path)) else {
        return Vec::new();
    };
    (0..ENTRIES_MAX)
        .map_while(|_| folder.read(ENTRY_MAX).filter(|entry| !entry.is_empty()))
        .filter_map(|entry| next_loader::folder_name(&entry))
        .collect()
}
