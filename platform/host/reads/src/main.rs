// SPDX-License-Identifier: Apache-2.0
//! `baton-reads DEVICE COUNT SEED`: reads so many blocks of 4 KiB from random places of a disk, one after the other,
//! past the page cache. Each is one request to the disk, and its memory is mapped for it and unmapped after it.

use std::env;
use std::fs::OpenOptions;
use std::io::{Error, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::ExitCode;

/// `O_DIRECT` of arm64 (include/uapi/asm/fcntl.h).
const O_DIRECT: i32 = 0o20_0000;
const BLOCK: usize = 4096;

/// A page: what is read past the page cache goes to where the device can write.
#[repr(align(4096))]
struct Page([u8; BLOCK]);

/// Numbers that are the same for the same seed (Knuth's MMIX).
struct Random(u64);

impl Random {
    /// Returns the next one, below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        // Its upper half is the better one.
        ((self.0 >> 32) * end) >> 32
    }
}

fn read(device: &str, count: u64, seed: u64) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let mut disk = options.read(true).custom_flags(O_DIRECT).open(device)?;
    let blocks = disk.seek(SeekFrom::End(0))? / BLOCK as u64;
    let (mut random, mut page) = (Random(seed), Page([0; BLOCK]));
    for _ in 0..count {
        let place = random.below(blocks) * BLOCK as u64;
        disk.read_exact_at(&mut page.0, place)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place)?.parse().ok();
    let (Some(device), Some(count), Some(seed)) = (arguments.first(), number(1), number(2)) else {
        eprintln!("usage: baton-reads DEVICE COUNT SEED");
        return ExitCode::from(2);
    };
    match read(device, count, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{device}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_all_over_the_disk_and_the_same_each_time() {
        let places = |seed| {
            let mut random = Random(seed);
            [(); 1000].map(|()| random.below(16))
        };
        assert_eq!(places(1), places(1));
        assert_ne!(places(1), places(2));
        for place in 0..16 {
            assert!(places(1).contains(&place), "none at {place}");
        }
        assert!(places(1).iter().all(|place| *place < 16));
    }
}
