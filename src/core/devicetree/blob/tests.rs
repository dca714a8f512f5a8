// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::sample::Sample;
use crate::devicetree::structure::PROP;
use alloc::vec::Vec;
use dtoolkit::{Node, Property};

/// Puts words at offsets of a tree of one node with one property: the structure block is at 56,
/// the property at 64, its value at 76, the end of the node at 80, the end of all at 84.
fn damaged(words: &[(usize, u32)]) -> Vec<u8> {
    let mut blob = Sample::empty().set("/", "name", 7u32).blob();
    assert_eq!(blob.len(), 93, "layout of the tree to damage");
    for &(offset, word) in words {
        blob[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
    }
    blob
}

fn error(blob: &[u8]) -> Option<BlobError> {
    open(blob).err()
}

#[test]
fn opens_a_tree() {
    let blob = damaged(&[]);
    let fdt = open(&blob).expect("a whole tree");
    let property = fdt.root().property("name").expect("its property");
    assert_eq!(property.value(), [0, 0, 0, 7]);
    assert_eq!(
        error(&[&blob[..], &[1; 9]].concat()),
        None,
        "bytes behind it"
    );
}

#[test]
fn refuses_what_is_not_aligned() {
    let blob = damaged(&[]);
    let mut moved = Vec::with_capacity(blob.len() + 1);
    moved.push(0);
    moved.extend_from_slice(&blob);
    let place = moved[1..].as_ptr().addr();
    assert_eq!(error(&moved[1..]), Some(BlobError::Unaligned(place)));
}

#[test]
fn takes_names_that_linux_has() {
    let long = "snps,dis-tx-ipgap-linecheck-quirk-and-more";
    let mut tree = Sample::empty();
    tree.set(
        "/a-node-with-a-name-of-more-than-31-characters@0",
        long,
        1u32,
    );
    assert_eq!(error(&tree.blob()), None);
}

#[test]
fn refuses_bad_headers() {
    let cases = [
        (damaged(&[])[..39].to_vec(), BlobError::Short(39)),
        (Vec::new(), BlobError::Short(0)),
        (damaged(&[(0, 0xd00d_feee)]), BlobError::Magic(0xd00d_feee)),
        (
            damaged(&[(20, 16)]),
            BlobError::Version {
                version: 16,
                last_compatible: 16,
            },
        ),
        (
            damaged(&[(24, 18)]),
            BlobError::Version {
                version: 17,
                last_compatible: 18,
            },
        ),
        (
            damaged(&[(4, 94)]),
            BlobError::Truncated {
                said: 94,
                given: 93,
            },
        ),
        (
            damaged(&[(8, 58)]),
            BlobError::Block {
                block: "structure",
                offset: 58,
                size: 32,
            },
        ),
        (
            damaged(&[(8, 36)]),
            BlobError::Block {
                block: "structure",
                offset: 36,
                size: 32,
            },
        ),
        (
            damaged(&[(36, 40)]),
            BlobError::Block {
                block: "structure",
                offset: 56,
                size: 40,
            },
        ),
        (
            damaged(&[(12, u32::MAX)]),
            BlobError::Block {
                block: "strings",
                offset: u32::MAX,
                size: 5,
            },
        ),
        (
            damaged(&[(32, 6)]),
            BlobError::Block {
                block: "strings",
                offset: 88,
                size: 6,
            },
        ),
        (
            damaged(&[(16, 94)]),
            BlobError::Block {
                block: "memory reservation",
                offset: 94,
                size: 0,
            },
        ),
        (
            damaged(&[(40, 1), (16, 40)]),
            BlobError::Unterminated {
                what: "memory reservation block",
                offset: 40,
            },
        ),
    ];
    for (blob, expected) in cases {
        assert_eq!(error(&blob), Some(expected));
    }
}

#[test]
fn refuses_bad_structures() {
    let cases = [
        (
            damaged(&[(56, 2)]),
            BlobError::Token {
                token: 2,
                offset: 56,
            },
        ),
        (
            damaged(&[(56, 4)]),
            BlobError::Token {
                token: 4,
                offset: 56,
            },
        ),
        (
            damaged(&[(64, 7)]),
            BlobError::Token {
                token: 7,
                offset: 64,
            },
        ),
        (
            damaged(&[(80, 9)]),
            BlobError::Token {
                token: 9,
                offset: 80,
            },
        ),
        (
            damaged(&[(84, 2)]),
            BlobError::Token {
                token: 2,
                offset: 84,
            },
        ),
        (
            damaged(&[(84, 4)]),
            BlobError::Unterminated {
                what: "structure block",
                offset: 88,
            },
        ),
        (
            damaged(&[(68, 13)]),
            BlobError::Unterminated {
                what: "property",
                offset: 68,
            },
        ),
        (
            damaged(&[(68, u32::MAX)]),
            BlobError::Unterminated {
                what: "property",
                offset: 68,
            },
        ),
        (
            damaged(&[(72, 5)]),
            BlobError::Unterminated {
                what: "property name",
                offset: 5,
            },
        ),
        (damaged(&[(60, 0xff00_0000)]), BlobError::Name(60)),
        (
            damaged(&[(89, 0x6162_6364)]),
            BlobError::Unterminated {
                what: "property name",
                offset: 0,
            },
        ),
    ];
    for (blob, expected) in cases {
        assert_eq!(error(&blob), Some(expected));
    }
    // The property behind a child is where dtoolkit would panic.
    let mut tree = Sample::empty();
    tree.set("/child", "name", 7u32);
    let mut blob = tree.blob();
    let end = blob
        .windows(4)
        .rposition(|w| w == [0, 0, 0, 2])
        .expect("the root's end");
    blob[end..end + 4].copy_from_slice(&PROP.to_be_bytes());
    assert_eq!(
        error(&blob),
        Some(BlobError::Token {
            token: PROP,
            offset: end
        })
    );
}

#[test]
fn bounds_the_depth() {
    let path = |depth: usize| "/n".repeat(depth - 1);
    let mut tree = Sample::empty();
    tree.node(&path(MAX_DEPTH));
    assert_eq!(error(&tree.blob()), None, "{MAX_DEPTH} nodes deep");
    tree.node(&path(MAX_DEPTH + 1));
    let seen = error(&tree.blob());
    assert!(
        matches!(seen, Some(BlobError::Depth(_))),
        "one deeper: {seen:?}"
    );
}

#[test]
fn reads_the_size_of_what_begins_as_a_tree() {
    let header = |size: u32| [MAGIC.to_be_bytes(), size.to_be_bytes()].concat();
    assert_eq!(size_in_header(&header(0x1234)), Some(0x1234));
    assert_eq!(
        size_in_header(&header(u32::MAX)),
        Some(MAX_SIZE),
        "no more is looked at than a tree may have"
    );
    assert_eq!(size_in_header(&header(1)[..7]), None, "a header cut off");
    assert_eq!(size_in_header(&[0; 40]), None);
    assert_eq!(size_in_header(&[]), None);
}
