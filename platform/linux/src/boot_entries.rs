// SPDX-License-Identifier: Apache-2.0
//! Firmware's boot entries, as Linux shows its variables (UEFI 2.10, 3.1 and 3.3).

use crate::root::Root;

/// Where Linux shows firmware's variables.
pub const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// EFI_GLOBAL_VARIABLE, behind the name of each.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Bytes of attributes before the value.
const ATTRIBUTES: usize = 4;
/// The type of a device path's nodes for media, and two of its sub-types (UEFI 2.10, 10.3.5).
const MEDIA: u8 = 4;
const HARD_DRIVE: u8 = 1;
const FILE_PATH: u8 = 4;

/// What firmware can start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootEntries {
    /// In which order it tries.
    pub order: Vec<u16>,
    /// What this system was started by.
    pub current: Option<u16>,
    /// What it starts the next time, and then no more.
    pub next: Option<u16>,
    /// All entries, by number.
    pub entries: Vec<Entry>,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number in its name.
    pub number: u16,
    /// What a menu calls it.
    pub label: String,
    /// The partition: its number, and its first block.
    pub partition: Option<(u32, u64)>,
    /// The file on it, with `\` between the folders.
    pub file: Option<String>,
}

impl BootEntries {
    /// Reads them; `None` if firmware keeps none, or does not show them.
    pub fn read(root: &Root) -> Option<Self> {
        let entries: Vec<Entry> = root
            .names(VARIABLES)
            .iter()
            .filter_map(|name| {
                let number = name
                    .strip_prefix("Boot")?
                    .strip_suffix(GLOBAL)?
                    .strip_suffix('-')?;
                let number = (number.len() == 4).then_some(number)?;
                let number = u16::from_str_radix(number, 16).ok()?;
                Entry::parse(number, &variable(root, &format!("Boot{number:04X}"))?)
            })
            .collect();
        let numbers = |name: &str| {
            let value = variable(root, name).unwrap_or_default();
            let numbers = value
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            numbers.collect::<Vec<_>>()
        };
        let boot = Self {
            order: numbers("BootOrder"),
            current: numbers("BootCurrent").first().copied(),
            next: numbers("BootNext").first().copied(),
            entries,
        };
        (!boot.entries.is_empty()).then_some(boot)
    }

    /// Returns an entry.
    pub fn get(&self, number: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.number == number)
    }

    /// Returns the lowest number that no entry has, and that nothing asks firmware to start: it may be left there
    /// of an entry that is gone.
    pub fn free_number(&self) -> u16 {
        let is_free = |&number: &u16| {
            self.get(number).is_none() && !self.order.contains(&number) && self.next != Some(number)
        };
        (0..=u16::MAX).find(is_free).unwrap_or_default()
    }
}

impl Entry {
    /// Reads an EFI_LOAD_OPTION (UEFI 2.10, 3.1.3).
    fn parse(number: u16, value: &[u8]) -> Option<Self> {
        let path_size = usize::from(u16::from_le_bytes(*value.get(4..)?.first_chunk()?));
        let (label, rest) = text(value.get(6..)?);
        let mut path = rest.get(..path_size)?;
        let mut entry = Self {
            number,
            label,
            partition: None,
            file: None,
        };
        // Nodes of a type, a sub-type and a size (UEFI 2.10, 10.3.1); the end is one of another type.
        while let [kind, sub_type, low, high, ..] = *path {
            let size = usize::from(u16::from_le_bytes([low, high]));
            let (Some(content), Some(behind)) = (path.get(4..size), path.get(size..)) else {
                break;
            };
            match (kind, sub_type) {
                (MEDIA, HARD_DRIVE) => entry.partition = partition(content),
                (MEDIA, FILE_PATH) => {
                    let part = text(content).0;
                    entry.file.get_or_insert_default().push_str(&part);
                }
                _ => {}
            }
            path = behind;
        }
        Some(entry)
    }

    /// Returns whether it starts `file`.
    pub fn starts(&self, file: &str) -> bool {
        // A folder and a file may be two nodes, with or without `\` between them.
        let same = |seen: &String| seen.replace("\\\\", "\\").eq_ignore_ascii_case(file);
        self.file.as_ref().is_some_and(same)
    }
}

/// Returns a partition's number, and its first block.
fn partition(content: &[u8]) -> Option<(u32, u64)> {
    let number = u32::from_le_bytes(*content.first_chunk()?);
    let start = u64::from_le_bytes(*content.get(4..)?.first_chunk()?);
    Some((number, start))
}

/// Returns the text at the start, UTF-16 up to a 0, and what is behind that.
fn text(bytes: &[u8]) -> (String, &[u8]) {
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
    let behind = bytes.get(2 * units.len() + 2..).unwrap_or_default();
    (String::from_utf16_lossy(&units), behind)
}

/// Returns the value of a variable.
fn variable(root: &Root, name: &str) -> Option<Vec<u8>> {
    let value = root.bytes(format!("{VARIABLES}/{name}-{GLOBAL}"))?;
    value.get(ATTRIBUTES..).map(<[u8]>::to_vec)
}

/// Firmware's variables, for tests.
#[cfg(test)]
pub(crate) mod fake {
    use super::*;
    use crate::root::fake::System;

    /// Writes a variable.
    pub fn put(system: &System, name: &str, value: &[u8]) {
        let content = [&[7, 0, 0, 0], value].concat();
        system.put(&format!("{VARIABLES}/{name}-{GLOBAL}"), content);
    }

    /// Writes an entry: a file on a partition, or a whole device.
    pub fn put_entry(system: &System, entry: &Entry) {
        let utf16 = |text: &str| -> Vec<u8> {
            text.encode_utf16()
                .chain([0])
                .flat_map(u16::to_le_bytes)
                .collect()
        };
        let node = |sub_type: u8, content: &[u8]| {
            let [low, high] = (content.len() as u16 + 4).to_le_bytes();
            [&[MEDIA, sub_type, low, high], content].concat()
        };
        // A node of another kind is before them.
        let mut path = vec![1, 1, 6, 0, 0, 0];
        if let Some((number, start)) = entry.partition {
            let mut place = number.to_le_bytes().to_vec();
            place.extend(start.to_le_bytes());
            place.extend([0; 24]);
            place.extend([2, 2]);
            path.extend(node(HARD_DRIVE, &place));
        }
        if let Some(file) = &entry.file {
            path.extend(node(FILE_PATH, &utf16(file)));
        }
        path.extend([0x7f, 0xff, 4, 0]);
        let mut value = vec![1, 0, 0, 0];
        value.extend((path.len() as u16).to_le_bytes());
        value.extend(utf16(&entry.label));
        value.extend(path);
        put(system, &format!("Boot{:04X}", entry.number), &value);
    }

    /// Writes a variable that is a list of entries.
    pub fn put_numbers(system: &System, name: &str, numbers: &[u16]) {
        let value: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        put(system, name, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fake::System;

    fn debian() -> Entry {
        Entry {
            number: 3,
            label: "debian".into(),
            partition: Some((1, 2048)),
            file: Some("\\EFI\\debian\\shimaa64.efi".into()),
        }
    }

    fn disk() -> Entry {
        Entry {
            number: 0xa,
            label: "UEFI Misc Device".into(),
            partition: None,
            file: None,
        }
    }

    #[test]
    fn are_read_as_firmware_has_them() {
        let system = System::new();
        fake::put_entry(&system, &debian());
        fake::put_entry(&system, &disk());
        fake::put_numbers(&system, "BootOrder", &[3, 10]);
        fake::put_numbers(&system, "BootCurrent", &[3]);
        let expected = BootEntries {
            order: vec![3, 10],
            current: Some(3),
            next: None,
            entries: vec![debian(), disk()],
        };
        let read = BootEntries::read(&system.root()).expect("entries");
        assert_eq!(read, expected);
        assert_eq!(read.free_number(), 0);
        assert!(debian().starts("\\efi\\DEBIAN\\shimaa64.efi"));
    }

    #[test]
    fn what_is_broken_is_no_entry() {
        for value in [
            &[][..],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 200, 0, b'x', 0, 0, 0, 4, 1],
        ] {
            let system = System::new();
            fake::put(&system, "Boot0001", value);
            assert_eq!(BootEntries::read(&system.root()), None, "{value:02x?}");
        }
        // A node whose size leads nowhere ends the path.
        let entry = Entry::parse(1, &[1, 0, 0, 0, 4, 0, 0, 0, 4, 1, 2, 0]).expect("an entry");
        assert_eq!((entry.partition, entry.file), (None, None));
    }
}
