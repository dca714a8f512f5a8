// SPDX-License-Identifier: Apache-2.0
//! The variables of EDK2 in the second flash of QEMU's `virt`, as it finds them when it starts.
//!
//! The layout is EDK2's own: `MdePkg/Include/Pi/PiFirmwareVolume.h` (the volume) and
//! `MdeModulePkg/Include/Guid/VariableFormat.h` (the store in it).

use crate::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of the flash.
const FLASH: u64 = 64 << 20;
/// Bytes of a block; the store has one, and two more are for its reclaim.
const BLOCK: u32 = 0x4_0000;
const BLOCKS: u32 = 3;
/// EFI_SYSTEM_NV_DATA_FV_GUID, fff12b8d-7696-4c8b-a985-2747075b4f50
const VOLUME: u128 = 0x504f_5b07_4727_85a9_4c8b_7696_fff1_2b8d;
/// EFI_AUTHENTICATED_VARIABLE_GUID, aaf32c78-947b-439a-a180-2e144ec37792
const STORE: u128 = 0x9277_c34e_142e_80a1_439a_947b_aaf3_2c78;
/// EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c
const GLOBAL: u128 = 0x8c2b_0398_e000_0daa_11d2_93ca_8be4_df61;
/// The attributes of the volume: it is read and written, memory-mapped, erased to ones.
const VOLUME_ATTRIBUTES: u32 = 0xe36;
/// Bytes of the volume's header, with its map of blocks.
const VOLUME_HEADER: u16 = 72;
/// A store that is formatted, and healthy.
const FORMATTED: [u8; 2] = [0x5a, 0xfe];
/// How a variable begins: VARIABLE_DATA, and that it was added completely (VAR_ADDED).
const VARIABLE: [u8; 4] = [0xaa, 0x55, 0x3f, 0];
/// Bytes from there to its owner's GUID that are not sizes: counter, time, key.
const UNSIGNED: [u8; 28] = [0; 28];
/// Kept where power is off, read by boot services and at run time.
const ATTRIBUTES: u32 = 7;
/// Bytes of a store's header: its GUID, size, and state. Variables follow.
const STORE_HEADER: usize = 28;
/// Offsets in a variable: the sizes of its name and of its value, its name.
const NAME_SIZE: usize = 36;
const VALUE_SIZE: usize = 40;
const NAME: usize = 60;

/// Variables of EFI_GLOBAL_VARIABLE.
#[derive(Default, PartialEq, Eq)]
pub struct Variables(Vec<u8>);

impl Variables {
    /// Firmware does not wait for keys.
    pub fn start_at_once(&mut self) {
        self.set("Timeout", &0_u16.to_le_bytes());
    }

    /// The entries Boot0000, Boot0001, ..., tried in this order.
    pub fn boot(&mut self, entries: &[Vec<u8>]) {
        self.list("Boot", entries);
    }

    /// The entries Driver0000, Driver0001, ..., loaded in this order before anything is booted.
    pub fn drivers(&mut self, entries: &[Vec<u8>]) {
        self.list("Driver", entries);
    }

    fn list(&mut self, kind: &str, entries: &[Vec<u8>]) {
        let mut order = Vec::new();
        for (number, entry) in (0_u16..).zip(entries) {
            self.set(&format!("{kind}{number:04X}"), entry);
            order.extend(number.to_le_bytes());
        }
        self.set(&format!("{kind}Order"), &order);
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        let name = utf16(name);
        self.0.extend(VARIABLE);
        self.0.extend(ATTRIBUTES.to_le_bytes());
        self.0.extend(UNSIGNED);
        self.0.extend((name.len() as u32).to_le_bytes());
        self.0.extend((value.len() as u32).to_le_bytes());
        self.0.extend(GLOBAL.to_le_bytes());
        self.0.extend(name);
        self.0.extend(value);
        // What is not written of a flash is ones.
        self.0.resize(self.0.len().next_multiple_of(4), 0xff);
    }

    /// Writes a flash that has them.
    ///
    /// # Errors
    /// [`Error::File`] if `file` cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), Error> {
        let mut bytes = volume_header();
        bytes.extend(STORE.to_le_bytes());
        bytes.extend((BLOCK - u32::from(VOLUME_HEADER)).to_le_bytes());
        bytes.extend(FORMATTED);
        bytes.extend([0; 6]);
        bytes.extend(&self.0);
        bytes.resize((BLOCK * BLOCKS) as usize, 0xff);
        // Another QEMU may still have the one of before.
        let _ = fs::remove_file(file);
        File::create(file)
            .and_then(|flash| flash.set_len(FLASH).and(flash.write_all_at(&bytes, 0)))
            .map_err(|error| Error::File {
                path: file.to_owned(),
                error,
            })
    }
}

/// Returns the value of the variable `name`, of any owner, in the flash that is `file`; none if it is not there, or
/// no more.
///
/// # Errors
/// [`Error::File`] if `file` cannot be read.
pub fn read(file: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let flash = fs::read(file).map_err(|error| Error::File {
        path: file.to_owned(),
        error,
    })?;
    Ok(find(&flash, &utf16(name)).map(<[u8]>::to_vec))
}

fn find<'a>(flash: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut at = usize::from(VOLUME_HEADER) + STORE_HEADER;
    loop {
        let variable = flash.get(at..)?;
        // One that is no more has another state, and is skipped.
        variable.strip_prefix(&VARIABLE[..2])?;
        let size = |at| Some(u32::from_le_bytes(*variable.get(at..)?.first_chunk()?) as usize);
        let value = NAME + size(NAME_SIZE)?;
        let end = value + size(VALUE_SIZE)?;
        if variable.starts_with(&VARIABLE[..3]) && variable.get(NAME..value)? == name {
            return variable.get(value..end);
        }
        at += end.next_multiple_of(4);
    }
}

/// EFI_FIRMWARE_VOLUME_HEADER
fn volume_header() -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes.extend(VOLUME.to_le_bytes());
    bytes.extend(u64::from(BLOCK * BLOCKS).to_le_bytes());
    bytes.extend(b"_FVH");
    bytes.extend(VOLUME_ATTRIBUTES.to_le_bytes());
    bytes.extend(VOLUME_HEADER.to_le_bytes());
    let checksum = bytes.len();
    // Checksum, no further header, and the revision.
    bytes.extend([0, 0, 0, 0, 0, 2]);
    // The map has all blocks of the flash, not the volume's alone.
    for word in [(FLASH / u64::from(BLOCK)) as u32, BLOCK, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    let sum = bytes.chunks_exact(2).fold(0_u16, |sum, half| {
        sum.wrapping_add(u16::from_le_bytes([half[0], half[1]]))
    });
    bytes[checksum..checksum + 2].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    bytes
}

/// UEFI's strings: UCS-2, and a zero at the end.
pub fn utf16(text: &str) -> Vec<u8> {
    let words = text.encode_utf16().chain([0]);
    words.flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As EDK2 2022.11 itself formats an empty flash.
    #[test]
    fn the_volume_is_that_of_edk2() {
        let expected: Vec<u8> = [
            0,
            0,
            0x4c8b_7696_fff1_2b8d,
            0x504f_5b07_4727_85a9,
            0xc_0000,
            0x0000_0e36_4856_465f,
            0x0200_0000_f8f8_0048,
            0x0004_0000_0000_0100,
            0,
        ]
        .iter()
        .flat_map(|word: &u64| word.to_le_bytes())
        .collect();
        assert_eq!(volume_header(), expected);
    }

    #[test]
    fn finds_variables_that_are_there() {
        let mut variables = Variables::default();
        variables.set("Gone", b"old");
        variables.0[2] = 0x3d;
        variables.set("Stays", b"12345");
        let start = usize::from(VOLUME_HEADER) + STORE_HEADER;
        let mut flash = vec![0; start];
        flash.extend(variables.0);
        flash.resize(start + 0x1000, 0xff);
        assert_eq!(find(&flash, &utf16("Stays")), Some(&b"12345"[..]));
        assert_eq!(find(&flash, &utf16("Gone")), None);
        assert_eq!(find(&flash[..start + 70], &utf16("Stays")), None);
    }

    #[test]
    fn a_variable_begins_on_four_bytes() {
        let mut variables = Variables::default();
        variables.start_at_once();
        let header = 60;
        assert_eq!(variables.0.len(), header + 16 + 2 + 2);
        assert_eq!(&variables.0[header..header + 4], b"T\0i\0");
        variables.boot(&[vec![1]]);
        assert_eq!(&variables.0[header + 20..header + 22], &[0xaa, 0x55]);
    }
}
