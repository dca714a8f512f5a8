// SPDX-License-Identifier: Apache-2.0
//! What firmware shall load and start: EFI_LOAD_OPTION (UEFI 2.10, 3.1.3).

use super::partition::Partition;
use super::variables::utf16;

/// LOAD_OPTION_ACTIVE
const ACTIVE: u32 = 1;
/// The type of a device path's nodes for media, and two of its sub-types (UEFI 2.10, 10.3.5).
const MEDIA: u8 = 4;
const HARD_DRIVE: u8 = 1;
const FILE_PATH: u8 = 4;
/// The last node of a device path (UEFI 2.10, 10.3.1).
const END: [u8; 4] = [0x7f, 0xff, 4, 0];
/// A partition of a GPT, and that its signature is a GUID.
const GPT: [u8; 2] = [2, 2];

/// A program on a partition.
pub struct LoadOption<'a> {
    /// What a menu calls it.
    pub name: &'a str,
    /// Where it is.
    pub partition: Partition,
    /// Its path there.
    pub file: &'a str,
    /// What it is given; none, if it is empty.
    pub options: &'a str,
}

impl LoadOption<'_> {
    /// The content of a variable Boot#### or Driver####.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut place = self.partition.number.to_le_bytes().to_vec();
        place.extend(self.partition.start.to_le_bytes());
        place.extend(self.partition.blocks.to_le_bytes());
        place.extend(self.partition.guid);
        place.extend(GPT);
        let mut path = node(HARD_DRIVE, &place);
        path.extend(node(FILE_PATH, &utf16(self.file)));
        path.extend(END);

        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        bytes.extend((path.len() as u16).to_le_bytes());
        bytes.extend(utf16(self.name));
        bytes.extend(path);
        if !self.options.is_empty() {
            bytes.extend(utf16(self.options));
        }
        bytes
    }
}

/// A node of a device path.
fn node(sub_type: u8, content: &[u8]) -> Vec<u8> {
    let [low, high] = (content.len() as u16 + 4).to_le_bytes();
    [&[MEDIA, sub_type, low, high], content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_as_efibootmgr_writes_it() {
        let option = LoadOption {
            name: "B",
            partition: Partition {
                number: 1,
                start: 0x800,
                blocks: 0x1000,
                guid: [0xaa; 16],
            },
            file: r"\F",
            options: "o",
        };
        let mut expected = vec![1, 0, 0, 0, 42 + 10 + 4, 0, b'B', 0, 0, 0];
        expected.extend([4, 1, 42, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0x10, 0, 0, 0, 0, 0, 0]);
        expected.extend([0xaa; 16]);
        expected.extend([2, 2, 4, 4, 10, 0, b'\\', 0, b'F', 0, 0, 0]);
        expected.extend([0x7f, 0xff, 4, 0, b'o', 0, 0, 0]);
        assert_eq!(option.to_bytes(), expected);
    }
}
