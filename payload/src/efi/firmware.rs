// SPDX-License-Identifier: Apache-2.0
//! UEFI's boot services, as far as the probe calls them (UEFI 2.10, 7).

use super::PAGE;
use alloc::vec::Vec;
use core::ptr;
use core::slice;
use r_efi::efi::protocols::loaded_image;
use r_efi::efi::{ALLOCATE_ANY_PAGES, BootServices, Handle, LOADER_DATA, Status, SystemTable};

/// A memory map, as firmware tells of it.
pub struct MemoryMap {
    /// Its size in bytes.
    pub size: usize,
    /// What it is known by when boot services end.
    pub key: usize,
    /// Bytes of a descriptor.
    pub descriptor_size: usize,
    /// The version of its descriptors.
    pub version: u32,
}

/// Firmware, whose boot services are not over.
pub struct Firmware {
    image: Handle,
    table: *mut SystemTable,
}

impl Firmware {
    /// Takes what firmware handed to the entry point.
    ///
    /// # Safety
    ///
    /// It did, and the result is not used when boot services are over.
    pub unsafe fn new(image: Handle, table: *mut SystemTable) -> Self {
        Self { image, table }
    }

    /// Where the system table is.
    pub fn table_address(&self) -> u64 {
        self.table as u64
    }

    fn boot(&self) -> &BootServices {
        // SAFETY: `new` was promised that the table is firmware's, and boot services are not over.
        unsafe { &*(*self.table).boot_services }
    }

    /// The image's load options, as a string of ASCII that ends in 0.
    pub fn load_options(&self) -> Vec<u8> {
        let mut guid = loaded_image::PROTOCOL_GUID;
        let mut own: *mut loaded_image::Protocol = ptr::null_mut();
        // SAFETY: the handle is the image's own, and `own` an out-parameter.
        let status = unsafe {
            (self.boot().handle_protocol)(self.image, &raw mut guid, (&raw mut own).cast())
        };
        let mut line = Vec::new();
        if !status.is_error() {
            // SAFETY: firmware says where they are, and how many bytes.
            let (options, size) = unsafe { ((*own).load_options, (*own).load_options_size) };
            let units = options.cast::<u16>();
            for at in 0..size as usize / 2 {
                // SAFETY: as above.
                match unsafe { units.add(at).read_unaligned() } {
                    unit @ 1..128 => line.push(unit as u8),
                    _ => break,
                }
            }
        }
        line.push(0);
        line
    }

    /// Takes pages that no later kernel takes for free memory.
    ///
    /// # Errors
    ///
    /// Firmware's [`Status`].
    pub fn take_pages(&self, count: usize) -> Result<&'static mut [u8], Status> {
        let mut address = 0;
        // SAFETY: the address is an out-parameter.
        let status = unsafe {
            (self.boot().allocate_pages)(ALLOCATE_ANY_PAGES, LOADER_DATA, count, &raw mut address)
        };
        match status.is_error() {
            true => Err(status),
            // SAFETY: they are this image's now, for ever.
            false => Ok(unsafe { slice::from_raw_parts_mut(address as *mut u8, count * PAGE) }),
        }
    }

    /// Writes the memory map to `buffer`.
    ///
    /// # Errors
    ///
    /// Firmware's [`Status`]; `BUFFER_TOO_SMALL` if it has more bytes than that.
    pub fn memory_map(&self, buffer: &mut [u8]) -> Result<MemoryMap, Status> {
        let mut map = MemoryMap {
            size: buffer.len(),
            key: 0,
            descriptor_size: 0,
            version: 0,
        };
        // SAFETY: the buffer has as many bytes as `size` says; the rest is out-parameters.
        let status = unsafe {
            (self.boot().get_memory_map)(
                &raw mut map.size,
                buffer.as_mut_ptr().cast(),
                &raw mut map.key,
                &raw mut map.descriptor_size,
                &raw mut map.version,
            )
        };
        match status.is_error() {
            true => Err(status),
            false => Ok(map),
        }
    }

    /// Ends boot services, if the memory map is still the one that `key` came with.
    pub fn exit_boot_services(&self, key: usize) -> Status {
        // SAFETY: the image was loaded by these boot services, and uses none of them if they end.
        unsafe { (self.boot().exit_boot_services)(self.image, key) }
    }
}
