// SPDX-License-Identifier: Apache-2.0
//! The variables of EDK2 in the second flash of QEMU's `virt`, as it finds them when it starts.
//!
//! The layout is EDK2's own: `MdePkg/Include/Pi/PiFirmwareVolume.h` (the volume) and
//! `MdeModulePkg/Include/Guid/VariableFormat.h` (the store in it).

use crate::Error;
use std::fs::{self, File};
use std::iter;
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
/// SHIM_LOCK_GUID, 605dab50-e046-4300-abb6-3dd810dd8b23: the owner of shim's variables.
const SHIM: u128 = 0x238b_dd10_d83d_b6ab_4300_e046_605d_ab50;
/// EFI_CERT_X509_GUID, a5c059a1-94e4-4aa7-87b5-ab155c2bf072 (UEFI 2.10, 32.4.1).
const X509: u128 = 0x72f0_2b5c_15ab_b587_4aa7_94e4_a5c0_59a1;
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
/// Kept where power is off, read by boot services.
const BOOT_ATTRIBUTES: u32 = 3;
/// The same, and read at run time.
const ATTRIBUTES: u32 = 7;
/// Bytes of a store's header: its GUID, size, and state. Variables follow.
const STORE_HEADER: usize = 28;
/// Offsets in a variable: the sizes of its name and of its value, its name.
const NAME_SIZE: usize = 36;
const VALUE_SIZE: usize = 40;
const NAME: usize = 60;

/// What Secure Boot goes by: the keys (UEFI 2.10, 32.3), and EDK2's own two that switch it on.
const KEYS: [&str; 6] = ["PK", "KEK", "db", "dbx", "SecureBootEnable", "CustomMode"];

/// Variables, as they are in the store.
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

    /// The keys that are enrolled in `flash`, another one's content.
    pub fn enroll(&mut self, flash: &[u8]) {
        let keys = KEYS.map(utf16);
        for variable in stored(flash) {
            if keys.iter().any(|key| variable.name == key) {
                self.push(variable.whole);
            }
        }
    }

    /// The machine owner's key is the X.509 certificate `certificate`, as MokManager writes it down for shim.
    pub fn own(&mut self, certificate: &[u8]) {
        // EFI_SIGNATURE_LIST with one EFI_SIGNATURE_DATA (UEFI 2.10, 32.4.1).
        let entry = certificate.len() as u32 + 16;
        let mut list = X509.to_le_bytes().to_vec();
        for word in [28 + entry, 0, entry] {
            list.extend(word.to_le_bytes());
        }
        list.extend(SHIM.to_le_bytes());
        list.extend(certificate);
        self.set_of(SHIM, BOOT_ATTRIBUTES, "MokList", &list);
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        self.set_of(GLOBAL, ATTRIBUTES, name, value);
    }

    fn set_of(&mut self, owner: u128, attributes: u32, name: &str, value: &[u8]) {
        let name = utf16(name);
        let mut bytes = VARIABLE.to_vec();
        bytes.extend(attributes.to_le_bytes());
        bytes.extend(UNSIGNED);
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(owner.to_le_bytes());
        bytes.extend(name);
        bytes.extend(value);
        self.push(&bytes);
    }

    fn push(&mut self, variable: &[u8]) {
        self.0.extend(variable);
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
    let mut variables = stored(flash);
    Some(variables.find(|variable| variable.name == name)?.value)
}

/// A variable in a flash.
struct Stored<'a> {
    name: &'a [u8],
    value: &'a [u8],
    whole: &'a [u8],
}

/// The variables that are there in `flash`.
fn stored(flash: &[u8]) -> impl Iterator<Item = Stored<'_>> {
    let mut rest = flash.get(usize::from(VOLUME_HEADER) + STORE_HEADER..);
    iter::from_fn(move || {
        loop {
            let variable = rest?;
            // One that is no more has another state, and is skipped.
            variable.strip_prefix(&VARIABLE[..2])?;
            let size = |at| Some(u32::from_le_bytes(*variable.get(at..)?.first_chunk()?) as usize);
            let value = NAME + size(NAME_SIZE)?;
            let end = value + size(VALUE_SIZE)?;
            let whole = variable.get(..end)?;
            rest = variable.get(end.next_multiple_of(4)..);
            if variable.starts_with(&VARIABLE[..3]) {
                return Some(Stored {
                    name: &whole[NAME..value],
                    value: &whole[value..],
                    whole,
                });
            }
        }
    })
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

    #[test]
    fn keys_are_taken_over_and_nothing_else() {
        let mut keys = Variables::default();
        keys.set("PK", &[1, 2, 3]);
        keys.set("db", &[4]);
        let mut other = Variables::default();
        other.start_at_once();
        other.set("PK", &[5]);
        // Deleted (VAR_DELETED).
        let deleted = other.0.len() - 60 - 6 - 2 + 2;
        other.0[deleted] &= 0xfd;
        other.0.extend(&keys.0);
        other.set("dbDefault", &[6]);
        let mut flash = vec![0; usize::from(VOLUME_HEADER) + STORE_HEADER];
        flash.extend(&other.0);
        flash.extend([0xff; 100]);
        let mut seen = Variables::default();
        seen.enroll(&flash);
        assert_eq!(seen.0, keys.0);
        for cut in 0..flash.len() {
            Variables::default().enroll(&flash[..cut]);
        }
    }

    #[test]
    fn the_owners_key_is_a_list_of_one() {
        let mut variables = Variables::default();
        variables.own(&[7; 5]);
        let list = &variables.0[NAME + 16..];
        assert_eq!(list[16..28], [49, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0]);
        assert_eq!(list[44..49], [7; 5]);
    }
}
