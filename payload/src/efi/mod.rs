// SPDX-License-Identifier: Apache-2.0
//! The way in by UEFI firmware: as Linux's EFI stub does, the image calls ExitBootServices, and then enters
//! itself with a device tree that has nothing but `/chosen` (Linux, Documentation/arch/arm/uefi.rst).

mod firmware;

use alloc::vec::Vec;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use firmware::{Firmware, MemoryMap};
use r_efi::efi::{Handle, Status, SystemTable};

/// Bytes of a page of firmware's.
const PAGE: usize = 4096;
/// Pages for the device tree, and behind them for the memory map.
const TREE_PAGES: usize = 4;
const MAP_PAGES: usize = 16;
/// How often firmware is asked to end its boot services: its map may change meanwhile.
const ATTEMPTS: usize = 2;

/// Called by `efi.S`: ends firmware's boot services, and returns the device tree for the image.
pub extern "C" fn leave_firmware(image: Handle, table: *mut SystemTable) -> *const u8 {
    // SAFETY: firmware hands its own over, and boot services are not over.
    let firmware = unsafe { Firmware::new(image, table) };
    match leave(&firmware) {
        Ok(tree) => tree.as_ptr(),
        Err(_) => panic!("firmware gives no memory, or does not end its boot services"),
    }
}

fn leave(firmware: &Firmware) -> Result<&'static [u8], Status> {
    let bootargs = firmware.load_options();
    let pages = firmware.take_pages(TREE_PAGES + MAP_PAGES)?;
    let (tree, map) = pages.split_at_mut(TREE_PAGES * PAGE);
    let mut status = Status::SUCCESS;
    for _ in 0..ATTEMPTS {
        let shape = firmware.memory_map(map)?;
        let bytes = stub_tree(firmware, &bootargs, map, &shape);
        let room = tree.get_mut(..bytes.len());
        room.ok_or(Status::BUFFER_TOO_SMALL)?
            .copy_from_slice(&bytes);
        status = firmware.exit_boot_services(shape.key);
        if !status.is_error() {
            return Ok(tree);
        }
    }
    Err(status)
}

/// A tree that has the command line, and where UEFI's tables are.
fn stub_tree(firmware: &Firmware, bootargs: &[u8], map: &[u8], shape: &MemoryMap) -> Vec<u8> {
    let wide = |number: u64| number.to_be_bytes().to_vec();
    let cell = |number: usize| (number as u32).to_be_bytes().to_vec();
    let mut chosen = DeviceTreeNode::new_unchecked("chosen");
    for (name, value) in [
        ("bootargs", bootargs.to_vec()),
        ("linux,uefi-system-table", wide(firmware.table_address())),
        ("linux,uefi-mmap-start", wide(map.as_ptr() as u64)),
        ("linux,uefi-mmap-size", cell(shape.size)),
        ("linux,uefi-mmap-desc-size", cell(shape.descriptor_size)),
        (
            "linux,uefi-mmap-desc-ver",
            shape.version.to_be_bytes().to_vec(),
        ),
    ] {
        chosen.add_property(DeviceTreeProperty::new_unchecked(name, value.as_slice()));
    }
    let mut tree = DeviceTree::new();
    tree.root.add_child(chosen);
    tree.to_dtb()
}
