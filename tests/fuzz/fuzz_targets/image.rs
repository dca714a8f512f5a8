// SPDX-License-Identifier: Apache-2.0
//! Reads the header of an Image: its fields are consistent, and bytes behind it do not matter.
#![no_main]

use baton_core::linux::image::{HEADER_SIZE, ImageHeader, MAGIC, MAGIC_OFFSET, Packing};
use libfuzzer_sys::fuzz_target;

fn check(bytes: &[u8]) {
    match ImageHeader::parse(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(header) => {
            assert_eq!(
                bytes[MAGIC_OFFSET..MAGIC_OFFSET + 4],
                MAGIC.to_le_bytes(),
                "no magic"
            );
            assert_eq!(ImageHeader::parse(&bytes[..HEADER_SIZE]), Ok(header));
            assert!((1..=1 << 52).contains(&header.image_size()));
            assert!(header.text_offset() < 2 << 20);
            // Loaded at the end of the largest physical memory, its end still fits into 64 bits.
            assert!(
                (1u64 << 52)
                    .checked_add(header.text_offset() + header.image_size())
                    .is_some()
            );
            if let Some(entry) = header.primary_entry_offset() {
                assert!(entry < header.image_size(), "entry {entry:#x}");
            }
            std::hint::black_box((header.page_size(), header.placed_anywhere()));
        }
    }
    if let Ok(header) = ImageHeader::parse_file(bytes) {
        assert!(header.image_size() >= bytes.len() as u64);
    }
}

fuzz_target!(|data: &[u8]| {
    check(data);
    std::hint::black_box(Packing::detect(data));
    // The same with the magic number in place, which is seldom there by chance.
    if data.len() >= HEADER_SIZE {
        let mut image = data.to_vec();
        image[MAGIC_OFFSET..MAGIC_OFFSET + 4].copy_from_slice(&MAGIC.to_le_bytes());
        check(&image);
    }
});
