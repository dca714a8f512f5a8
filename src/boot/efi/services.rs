// SPDX-License-Identifier: Apache-2.0
//! UEFI's boot services, as far as the monitor calls them (UEFI 2.10, 7).

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::fmt;
use core::ptr::{self, NonNull};
use r_efi::efi::{
    ALLOCATE_ADDRESS, BootServices, ConfigurationTable, Guid, Handle, MemoryType, NATIVE_INTERFACE,
    Status, SystemTable,
};
use r_efi::system::GLOBAL_VARIABLE;

/// EFI_ACPI_TABLE_PROTOCOL_GUID (UEFI 2.10, 20.2).
const ACPI_TABLE: Guid = Guid::from_fields(
    0xffe0_6bdd,
    0x6107,
    0x46a6,
    0x7b,
    0xb2,
    &[0x5a, 0x9c, 0x7e, 0xc5, 0x27, 0x5c],
);

/// EFI_ACPI_TABLE_PROTOCOL.
#[repr(C)]
struct AcpiTableProtocol {
    install: unsafe extern "efiapi" fn(
        this: *mut Self,
        table: *const c_void,
        size: usize,
        key: *mut usize,
    ) -> Status,
    uninstall: unsafe extern "efiapi" fn(this: *mut Self, key: usize) -> Status,
}

/// The memory map as firmware gave it.
#[derive(Clone, Copy, Debug)]
pub struct MapShape {
    /// Its size in bytes.
    pub size: usize,
    /// Size in bytes of each descriptor.
    pub descriptor_size: usize,
}

/// Firmware's boot services, which are not over yet.
#[derive(Clone, Copy)]
pub struct Services {
    /// The handle of the monitor's own image.
    pub image: Handle,
    table: NonNull<SystemTable>,
}

impl Services {
    /// Takes what firmware handed to the entry point; `None` if that is no system table.
    ///
    /// # Safety
    ///
    /// Firmware has handed it over, and its boot services are not over as long as the result lives.
    pub unsafe fn new(image: Handle, table: *mut SystemTable) -> Option<Self> {
        let table = NonNull::new(table)?;
        // SAFETY: The caller's promise; the table is firmware's, and stays.
        let boot = unsafe { table.as_ref().boot_services };
        (!boot.is_null()).then_some(Self { image, table })
    }

    fn boot(&self) -> &BootServices {
        // SAFETY: `new` saw that it is there, and boot services are not over.
        unsafe { &*self.table.as_ref().boot_services }
    }

    /// Returns the boot services table itself.
    pub fn boot_table(&self) -> *mut BootServices {
        // SAFETY: The table is firmware's, and stays.
        unsafe { self.table.as_ref().boot_services }
    }

    /// Returns the system table.
    pub fn system_table(&self) -> *mut SystemTable {
        self.table.as_ptr()
    }

    /// Returns the address of the configuration table `guid`.
    pub fn configuration_table(&self, guid: &Guid) -> Option<u64> {
        // SAFETY: The system table is firmware's, and says how many there are.
        let tables: &[ConfigurationTable] = unsafe {
            let table = self.table.as_ref();
            match table.configuration_table.is_null() {
                true => &[],
                false => core::slice::from_raw_parts(
                    table.configuration_table,
                    table.number_of_table_entries,
                ),
            }
        };
        let found = tables.iter().find(|table| table.vendor_guid == *guid)?;
        Some(found.vendor_table as u64)
    }

    /// Returns whether firmware starts only what has a signature that it trusts (UEFI 2.10, 3.3).
    pub fn is_secure_boot(&self) -> bool {
        let name = "SecureBoot\0".encode_utf16().collect::<Vec<_>>();
        let (mut owner, mut value, mut size) = (GLOBAL_VARIABLE, 0_u8, 1);
        // SAFETY: The tables are firmware's, the name ends in 0, and there is room for `size` bytes.
        let status = unsafe {
            ((*self.table.as_ref().runtime_services).get_variable)(
                name.as_ptr().cast_mut(),
                &raw mut owner,
                ptr::null_mut(),
                &raw mut size,
                (&raw mut value).cast(),
            )
        };
        done(status).is_ok() && value == 1
    }

    /// Writes the memory map to `buffer`.
    ///
    /// # Errors
    ///
    /// [`Status`]; `BUFFER_TOO_SMALL` if it has more bytes than that.
    pub fn memory_map(&self, buffer: &mut [u8]) -> Result<MapShape, Status> {
        let (mut size, mut key, mut descriptor_size, mut version) = (buffer.len(), 0, 0, 0);
        // SAFETY: The buffer has as many bytes as `size` says; the rest is out-parameters.
        let status = unsafe {
            (self.boot().get_memory_map)(
                &raw mut size,
                buffer.as_mut_ptr().cast(),
                &raw mut key,
                &raw mut descriptor_size,
                &raw mut version,
            )
        };
        done(status)?;
        Ok(MapShape {
            size,
            descriptor_size,
        })
    }

    /// Returns the memory map, and the size in bytes of a descriptor.
    ///
    /// # Errors
    ///
    /// [`Status`].
    pub fn whole_memory_map(&self) -> Result<(Vec<u8>, usize), Status> {
        // Beyond that something else is wrong.
        for room in (1..=8).map(|n| n * (16 << 10)) {
            let mut map = vec![0; room];
            match self.memory_map(&mut map) {
                Err(Status::BUFFER_TOO_SMALL) => {}
                Err(status) => return Err(status),
                Ok(shape) => {
                    map.truncate(shape.size);
                    return Ok((map, shape.descriptor_size));
                }
            }
        }
        Err(Status::BUFFER_TOO_SMALL)
    }

    /// Allocates `pages` pages of 4 KiB at physical address `start`.
    ///
    /// # Errors
    ///
    /// [`Status`].
    pub fn allocate_at(&self, start: u64, pages: usize, what: MemoryType) -> Result<(), Status> {
        let mut address = start;
        // SAFETY: The address is in- and out-parameter.
        done(unsafe {
            (self.boot().allocate_pages)(ALLOCATE_ADDRESS, what, pages, &raw mut address)
        })
    }

    /// Gives `pages` pages of 4 KiB at physical address `start` back.
    pub fn free(&self, start: u64, pages: usize) {
        // SAFETY: `allocate_at` got them, and they are not used any more.
        let _ = unsafe { (self.boot().free_pages)(start, pages) };
    }

    /// Returns the interface that `handle` has of the protocol `guid`.
    pub fn protocol<T>(&self, handle: Handle, guid: &Guid) -> Option<NonNull<T>> {
        let (mut guid, mut interface) = (*guid, ptr::null_mut());
        // SAFETY: Both are parameters; a handle that is none is refused.
        let status =
            unsafe { (self.boot().handle_protocol)(handle, &raw mut guid, &raw mut interface) };
        done(status).ok()?;
        NonNull::new(interface.cast())
    }

    /// Has everybody find the protocol `guid`, which has no interface, and returns the handle that has it.
    ///
    /// # Errors
    ///
    /// [`Status`].
    pub fn mark(&self, guid: &Guid) -> Result<Handle, Status> {
        let (mut guid, mut handle) = (*guid, ptr::null_mut());
        // SAFETY: All are parameters; firmware makes a handle of its own.
        done(unsafe {
            (self.boot().install_protocol_interface)(
                &raw mut handle,
                &raw mut guid,
                NATIVE_INTERFACE,
                ptr::null_mut(),
            )
        })?;
        Ok(handle)
    }

    /// Takes a mark back.
    pub fn unmark(&self, handle: Handle, guid: &Guid) {
        let mut guid = *guid;
        // SAFETY: `mark` has put it there.
        unsafe {
            (self.boot().uninstall_protocol_interface)(handle, &raw mut guid, ptr::null_mut())
        };
    }

    /// Returns whether anybody has the mark `guid`.
    pub fn is_marked(&self, guid: &Guid) -> bool {
        let (mut guid, mut interface) = (*guid, ptr::null_mut());
        // SAFETY: All are parameters.
        done(unsafe {
            (self.boot().locate_protocol)(&raw mut guid, ptr::null_mut(), &raw mut interface)
        })
        .is_ok()
    }

    fn acpi_table_protocol(&self) -> Option<NonNull<AcpiTableProtocol>> {
        let (mut guid, mut interface) = (ACPI_TABLE, ptr::null_mut());
        // SAFETY: All are parameters.
        done(unsafe {
            (self.boot().locate_protocol)(&raw mut guid, ptr::null_mut(), &raw mut interface)
        })
        .ok()?;
        NonNull::new(interface.cast())
    }

    /// Has firmware copy `table` to its ACPI tables; returns the key by which it can be taken out again.
    ///
    /// # Errors
    ///
    /// [`Status`]; `UNSUPPORTED` if firmware takes no tables.
    pub fn install_acpi_table(&self, table: &[u8]) -> Result<usize, Status> {
        let protocol = self.acpi_table_protocol();
        let protocol = protocol.ok_or(Status::UNSUPPORTED)?.as_ptr();
        let mut key = 0;
        // SAFETY: The protocol is firmware's; it reads as many bytes as the table has, and writes the key.
        done(unsafe {
            ((*protocol).install)(protocol, table.as_ptr().cast(), table.len(), &raw mut key)
        })?;
        Ok(key)
    }

    /// Takes the ACPI table of `key` out again.
    pub fn uninstall_acpi_table(&self, key: usize) {
        if let Some(protocol) = self.acpi_table_protocol() {
            // SAFETY: The protocol is firmware's, and refuses a key that is none.
            let _ = unsafe { ((*protocol.as_ptr()).uninstall)(protocol.as_ptr(), key) };
        }
    }

    /// Loads the image at the device path `path`.
    ///
    /// # Errors
    ///
    /// [`Status`]; firmware may refuse it for its signature, too.
    pub fn load_image(&self, path: &[u8]) -> Result<Handle, Status> {
        let mut handle = ptr::null_mut();
        // SAFETY: A path is only read; without a source firmware reads the file.
        done(unsafe {
            (self.boot().load_image)(
                r_efi::efi::Boolean::FALSE,
                self.image,
                path.as_ptr().cast_mut().cast(),
                ptr::null_mut(),
                0,
                &raw mut handle,
            )
        })?;
        Ok(handle)
    }

    /// Starts an image that was loaded, and returns what it returned.
    pub fn start_image(&self, image: Handle) -> Status {
        // SAFETY: Nothing is asked of why it returned.
        unsafe { (self.boot().start_image)(image, ptr::null_mut(), ptr::null_mut()) }
    }

    /// Puts `function` in place of the boot service ExitBootServices, and mends the table's checksum.
    ///
    /// # Safety
    ///
    /// It can be called as long as boot services are not over.
    pub unsafe fn replace_exit_boot_services(&self, function: r_efi::efi::BootExitBootServices) {
        let table = self.boot_table();
        // SAFETY: The table is firmware's, in memory that can be written; nobody else runs.
        unsafe {
            (*table).exit_boot_services = function;
            (*table).hdr.crc32 = 0;
            let (size, mut crc32) = ((*table).hdr.header_size as usize, 0);
            if done((self.boot().calculate_crc32)(
                table.cast(),
                size,
                &raw mut crc32,
            ))
            .is_ok()
            {
                (*table).hdr.crc32 = crc32;
            }
        }
    }
}

/// A status with its name (UEFI 2.10, appendix D), for a message.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a>(pub &'a Status);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self.0 {
            Status::SUCCESS => "EFI_SUCCESS",
            Status::LOAD_ERROR => "EFI_LOAD_ERROR",
            Status::INVALID_PARAMETER => "EFI_INVALID_PARAMETER",
            Status::UNSUPPORTED => "EFI_UNSUPPORTED",
            Status::BUFFER_TOO_SMALL => "EFI_BUFFER_TOO_SMALL",
            Status::OUT_OF_RESOURCES => "EFI_OUT_OF_RESOURCES",
            Status::NOT_FOUND => "EFI_NOT_FOUND",
            Status::ACCESS_DENIED => "EFI_ACCESS_DENIED",
            Status::NOT_STARTED => "EFI_NOT_STARTED",
            Status::ALREADY_STARTED => "EFI_ALREADY_STARTED",
            Status::ABORTED => "EFI_ABORTED",
            Status::SECURITY_VIOLATION => "EFI_SECURITY_VIOLATION",
            other => return write!(f, "EFI_STATUS {:#x}", other.as_usize()),
        })
    }
}

/// Returns what is no success as an error. Warnings are successes.
pub fn done(status: Status) -> Result<(), Status> {
    match status.is_error() {
        true => Err(status),
        false => Ok(()),
    }
}
