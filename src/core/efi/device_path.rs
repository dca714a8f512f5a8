// SPDX-License-Identifier: Apache-2.0
//! Device paths (UEFI 2.10, 10.3): of a file on a partition, read and written.

use super::text;
use alloc::string::String;
use alloc::vec::Vec;

/// Media device path.
const MEDIA: u8 = 4;
/// Its subtype for a file.
const FILE_PATH: u8 = 4;
/// The last node.
const END: u8 = 0x7f;
const END_ENTIRE: [u8; 4] = [END, 0xff, 4, 0];
/// Bytes before what a node says: type, subtype, length.
const NODE_HEADER: usize = 4;

/// Returns the nodes of `path` up to its end: type, subtype, what it says.
fn nodes(path: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    let mut rest = path;
    core::iter::from_fn(move || {
        let (&[kind, subtype, low, high], _) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let node = rest.get(NODE_HEADER..length)?;
        rest = rest.get(length..)?;
        (kind != END).then_some((kind, subtype, node))
    })
}

/// Returns the file that `path` names, with `\` between the folders; `None` if it names none.
pub fn file_path(path: &[u8]) -> Option<String> {
    let mut name = String::new();
    for (_, _, node) in nodes(path).filter(|node| (node.0, node.1) == (MEDIA, FILE_PATH)) {
        let part: String = char::decode_utf16(text::units(node))
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        if !name.ends_with('\\') && !part.starts_with('\\') {
            name.push('\\');
        }
        name.push_str(&part);
    }
    (!name.is_empty()).then_some(name)
}

/// Returns the path of the file `name` on the partition whose path is `device`.
pub fn with_file(device: &[u8], name: &str) -> Vec<u8> {
    let mut path = Vec::new();
    for (kind, subtype, node) in nodes(device) {
        push(&mut path, kind, subtype, node);
    }
    let name: Vec<u8> = name
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    push(&mut path, MEDIA, FILE_PATH, &name);
    path.extend_from_slice(&END_ENTIRE);
    path
}

fn push(path: &mut Vec<u8>, kind: u8, subtype: u8, node: &[u8]) {
    let length = (NODE_HEADER + node.len()) as u16;
    path.extend_from_slice(&[kind, subtype]);
    path.extend_from_slice(&length.to_le_bytes());
    path.extend_from_slice(node);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node of a disk, as firmware writes one before a file.
    const DISK: [u8; 8] = [1, 1, 8, 0, 0xaa, 0xbb, 0xcc, 0xdd];

    fn partition() -> Vec<u8> {
        [&DISK[..], &END_ENTIRE].concat()
    }

    #[test]
    fn a_file_is_found_where_it_was_put() {
        let path = with_file(&partition(), "\\EFI\\BATON\\BATON.EFI");
        assert_eq!(path[..8], DISK);
        assert_eq!(path[path.len() - 4..], END_ENTIRE);
        assert_eq!(file_path(&path).as_deref(), Some("\\EFI\\BATON\\BATON.EFI"));
    }

    #[test]
    fn parts_of_a_file_are_put_together() {
        let folder = with_file(&[], "\\EFI");
        let mut path = folder[..folder.len() - 4].to_vec();
        path.extend(with_file(&[], "BOOT.EFI"));
        assert_eq!(file_path(&path).as_deref(), Some("\\EFI\\BOOT.EFI"));
    }

    #[test]
    fn what_is_no_path_names_no_file() {
        assert_eq!(file_path(&[]), None);
        assert_eq!(file_path(&partition()), None);
        for length in [0, 1, 3, 200] {
            assert_eq!(
                file_path(&[4, 4, length, 0, b'a', 0]),
                None,
                "length {length}"
            );
        }
    }
}
