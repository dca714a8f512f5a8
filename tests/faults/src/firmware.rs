// SPDX-License-Identifier: Apache-2.0
//! UEFI's boot services, as far as this application calls them (UEFI 2.10, 7).

use core::ffi::c_void;
use core::mem;
use core::ptr;
use core::slice;
use r_efi::efi::protocols::{device_path, loaded_image};
use r_efi::efi::{
    ALLOCATE_ADDRESS, ALLOCATE_ANY_PAGES, Boolean, BootExitBootServices, BootLoadImage,
    BootServices, Guid, Handle, LOADER_DATA, Status, SystemTable,
};

/// EFI_ACPI_20_TABLE_GUID (UEFI 2.10, 4.6.1).
const ACPI_20: Guid = Guid::from_fields(
    0x8868_e871,
    0xe4f1,
    0x11d3,
    0xbc,
    0x22,
    &[0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81],
);
/// Where the monitor is.
const MONITOR: &str = "\\EFI\\BATON\\BATON.EFI";
/// Bytes that load options and a device path may have here.
const OPTIONS_MAX: usize = 64;
const PATH_MAX: usize = 512;

/// Firmware, whose boot services are not over.
#[derive(Clone, Copy)]
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

    fn boot(&self) -> *mut BootServices {
        // SAFETY: The table is firmware's, and stays.
        unsafe { (*self.table).boot_services }
    }

    /// Writes to firmware's console.
    pub fn say(&self, text: &str) {
        let mut units = [0; 64];
        let room = units.len() - 1;
        for (unit, byte) in units[..room].iter_mut().zip(text.bytes()) {
            *unit = byte.into();
        }
        // SAFETY: The console takes a string that ends in 0.
        unsafe {
            let console = (*self.table).con_out;
            ((*console).output_string)(console, units.as_mut_ptr());
        }
    }

    /// Shows the application's load options to `read`; what is not ASCII ends them.
    pub fn with_load_options<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; OPTIONS_MAX];
        let mut used = 0;
        if let Some(own) = self.own() {
            // SAFETY: Firmware says where they are, and how many bytes.
            let units = unsafe {
                let options = (*own).load_options.cast::<u16>();
                let count = (*own).load_options_size as usize / 2;
                (0..count).map(move |at| options.add(at).read_unaligned())
            };
            for (byte, unit) in text.iter_mut().zip(units) {
                match u8::try_from(unit) {
                    Ok(ascii @ 1..128) => *byte = ascii,
                    _ => break,
                }
                used += 1;
            }
        }
        read(str::from_utf8(&text[..used]).unwrap_or(""))
    }

    /// Returns where the RSDP is.
    pub fn rsdp(&self) -> Option<*mut u8> {
        // SAFETY: The table is firmware's, and says how many there are.
        let tables = unsafe {
            let table = &*self.table;
            slice::from_raw_parts(table.configuration_table, table.number_of_table_entries)
        };
        let found = tables.iter().find(|table| table.vendor_guid == ACPI_20)?;
        Some(found.vendor_table.cast())
    }

    /// Takes the page at physical address `start`; returns false if it is not free.
    pub fn take_page(&self, start: u64) -> bool {
        let mut address = start;
        // SAFETY: The address is in- and out-parameter.
        let status = unsafe {
            ((*self.boot()).allocate_pages)(ALLOCATE_ADDRESS, LOADER_DATA, 1, &raw mut address)
        };
        !status.is_error()
    }

    /// Takes any page, for ever.
    pub fn take_any_page(&self) {
        let mut address = 0;
        // SAFETY: The address is an out-parameter.
        let _ = unsafe {
            ((*self.boot()).allocate_pages)(ALLOCATE_ANY_PAGES, LOADER_DATA, 1, &raw mut address)
        };
    }

    /// Gives a page back.
    pub fn give_page(&self, start: u64) {
        // SAFETY: `take_page` got it, and nobody uses it.
        let _ = unsafe { ((*self.boot()).free_pages)(start, 1) };
    }

    /// Loads the monitor from the partition that the application is from.
    ///
    /// # Errors
    ///
    /// [`Status`].
    pub fn load_monitor(&self) -> Result<Handle, Status> {
        let own = self.own().ok_or(Status::NOT_FOUND)?;
        // SAFETY: Firmware says where it is.
        let device = unsafe { (*own).device_handle };
        let path: *mut device_path::Protocol = self
            .protocol(device, device_path::PROTOCOL_GUID)
            .ok_or(Status::NOT_FOUND)?;
        let mut whole = [0; PATH_MAX];
        // SAFETY: It is firmware's, and nobody writes it.
        let used = unsafe { copy_nodes(path.cast(), &mut whole) };
        with_file(&mut whole, used).ok_or(Status::BUFFER_TOO_SMALL)?;
        let mut handle = ptr::null_mut();
        // SAFETY: A path is only read; without a source firmware reads the file.
        let status = unsafe {
            ((*self.boot()).load_image)(
                Boolean::FALSE,
                self.image,
                whole.as_mut_ptr().cast(),
                ptr::null_mut(),
                0,
                &raw mut handle,
            )
        };
        match status.is_error() {
            true => Err(status),
            false => Ok(handle),
        }
    }

    /// Starts an image, and returns what it returned.
    pub fn start(&self, image: Handle) -> Status {
        // SAFETY: Nothing is asked of why it returned.
        unsafe { ((*self.boot()).start_image)(image, ptr::null_mut(), ptr::null_mut()) }
    }

    /// Puts `function` in place of LoadImage, and returns what was there.
    pub fn replace_load_image(&self, function: BootLoadImage) -> BootLoadImage {
        // SAFETY: The table is firmware's, in memory that can be written; nobody else runs.
        unsafe { mem::replace(&mut (*self.boot()).load_image, function) }
    }

    /// Puts `function` in place of ExitBootServices, and returns what was there.
    pub fn replace_exit_boot_services(
        &self,
        function: BootExitBootServices,
    ) -> BootExitBootServices {
        // SAFETY: As above.
        unsafe { mem::replace(&mut (*self.boot()).exit_boot_services, function) }
    }

    fn own(&self) -> Option<*mut loaded_image::Protocol> {
        self.protocol(self.image, loaded_image::PROTOCOL_GUID)
    }

    fn protocol<T>(&self, handle: Handle, mut guid: Guid) -> Option<*mut T> {
        let mut interface: *mut c_void = ptr::null_mut();
        // SAFETY: Both are parameters; a handle that is none is refused.
        let status =
            unsafe { ((*self.boot()).handle_protocol)(handle, &raw mut guid, &raw mut interface) };
        (!status.is_error()).then_some(interface.cast())
    }
}

/// Copies the nodes of a device path but its end, and returns how many bytes those are.
///
/// # Safety
///
/// `path` is a device path.
unsafe fn copy_nodes(path: *const u8, to: &mut [u8]) -> usize {
    let mut used = 0;
    loop {
        // SAFETY: A path has a node here, as the one before was not its end.
        let [kind, _, low, high] = unsafe { path.add(used).cast::<[u8; 4]>().read() };
        let size = usize::from(u16::from_le_bytes([low, high]));
        let Some(room) = to.get_mut(used..used + size) else {
            return used;
        };
        if kind == device_path::TYPE_END {
            return used;
        }
        // SAFETY: The node has as many bytes.
        room.copy_from_slice(unsafe { slice::from_raw_parts(path.add(used), size) });
        used += size;
    }
}

/// Writes the monitor's file, and the end of the path, behind `used` bytes of it.
fn with_file(path: &mut [u8], used: usize) -> Option<()> {
    let size = 4 + 2 * (MONITOR.len() + 1);
    let (node, rest) = path.get_mut(used..)?.split_at_mut_checked(size)?;
    let [low, high] = (size as u16).to_le_bytes();
    node[..4].copy_from_slice(&[
        device_path::TYPE_MEDIA,
        device_path::Media::SUBTYPE_FILE_PATH,
        low,
        high,
    ]);
    for (at, byte) in MONITOR.bytes().enumerate() {
        node[4 + 2 * at] = byte;
    }
    let end = [
        device_path::TYPE_END,
        device_path::End::SUBTYPE_ENTIRE,
        4,
        0,
    ];
    rest.get_mut(..end.len())?.copy_from_slice(&end);
    Some(())
}
