// SPDX-License-Identifier: Apache-2.0
//! Tests with damaged trees: reading them ends, and does not panic.

use super::board::{Board, console};
use super::guest_tree::{GuestTree, guest_tree};
use super::sample::{Sample, cells, wide};
use super::survey;
use crate::memory::region::Region;
use alloc::vec::Vec;

/// Words at the limits of what lengths, offsets, tokens and numbers may be.
const EDGES: [u32; 14] = [
    0,
    1,
    2,
    3,
    4,
    8,
    9,
    16,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_fffc,
    0xffff_ffff,
    0x40,
];
const ROUNDS: usize = 8_000;

/// A generator of random numbers (xorshift64*) with a fixed seed, so that a failure can be
/// repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % bound
    }
}

/// Returns a tree that has something of everything that is read.
fn rich() -> Vec<u8> {
    let mut tree = Sample::virt();
    tree.0.memory_reservations = alloc::vec![dtoolkit::memreserve::MemoryReservation::new(1, 2)];
    tree.set("/chosen", "stdout-path", "serial0:115200n8");
    tree.set("/aliases", "serial0", "/soc/serial@1000");
    tree.set_cells("/soc", 1, 1);
    tree.set("/soc", "ranges", cells(&[0, 0, 0x900_0000, 0x1_0000]));
    tree.set("/soc/serial@1000", "compatible", "ns16550a").set(
        "/soc/serial@1000",
        "reg-shift",
        2u32,
    );
    tree.set("/soc/serial@1000", "reg", cells(&[0x1000, 0x100]));
    tree.set_cells("/reserved-memory", 2, 2);
    tree.set("/reserved-memory", "ranges", Vec::new());
    tree.set(
        "/reserved-memory/fw@50000000",
        "reg",
        wide(&[0x5000_0000, 0x1000]),
    );
    tree.set("/reserved-memory/fw@50000000", "no-map", Vec::new());
    tree.set("/cpus/cpu@1", "enable-method", "spin-table");
    tree.set("/cpus/cpu@1", "cpu-release-addr", wide(&[0x5000_0000]));
    tree.set("/intc@8000000", "msi-controller", Vec::new());
    tree.set("/intc@8000000", "mbi-ranges", cells(&[64, 32]));
    tree.blob()
}

/// Reads a tree in every way; returns whether its structure is sound.
fn read(blob: &[u8]) -> bool {
    let monitor = Region::new(0x7fe0_0000, 0x20_0000).expect("test region");
    let config = GuestTree {
        monitor,
        log: monitor,
        lpi_tables: None,
        bootargs: Some("quiet"),
        ramdisk: Some(monitor),
        cpus: &[],
        own_psci: false,
        uefi_map: None,
        report: b"no reboot yet\0",
        times: &[],
    };
    let _ = super::blob::open(blob).map(console);
    if let Err(error) = Board::read(blob) {
        assert!(!alloc::format!("{error}").is_empty());
    }
    let seen = survey::look(blob, &monitor);
    let is_sound = super::blob::open(blob).is_ok();
    assert_eq!(seen.is_ok(), is_sound, "seen {seen:?}");
    if let Ok(made) = guest_tree(blob, &config) {
        let kept = survey::look(&made, &monitor).map(|seen| seen.keeps_out);
        assert_eq!(kept, Ok(true), "a tree that was made");
    }
    is_sound
}

#[test]
fn no_damage_panics() {
    let whole = rich();
    assert!(
        Board::read(&whole).is_ok(),
        "expected a board, saw {:?}",
        Board::read(&whole)
    );
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut parsed = 0;
    for _ in 0..ROUNDS {
        let mut blob = whole.clone();
        for _ in 0..=random.below(3) {
            let word = random.below(blob.len() / 4) * 4;
            match random.below(3) {
                0 => blob[random.below(whole.len())] = random.below(256) as u8,
                1 => blob[random.below(whole.len())] ^= 1 << random.below(8),
                _ => {
                    let edge = EDGES[random.below(EDGES.len())];
                    blob[word..word + 4].copy_from_slice(&edge.to_be_bytes());
                }
            }
        }
        parsed += usize::from(read(&blob));
    }
    let expected = ROUNDS / 10..ROUNDS * 9 / 10;
    assert!(
        expected.contains(&parsed),
        "expected {expected:?} trees to parse, saw {parsed}"
    );
}

#[test]
fn no_length_panics() {
    let whole = rich();
    for length in 0..whole.len() {
        assert!(
            !read(&whole[..length]),
            "the first {length} of {} bytes parsed",
            whole.len()
        );
        let mut said = whole[..length].to_vec();
        if let Some(total) = said.get_mut(4..8) {
            total.copy_from_slice(&(length as u32).to_be_bytes());
            read(&said);
        }
    }
    let longer = [&whole[..], &[0xa5; 100]].concat();
    assert!(read(&longer), "bytes behind the tree are in the way");
}
