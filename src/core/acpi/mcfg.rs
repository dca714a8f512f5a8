// SPDX-License-Identifier: Apache-2.0
//! The configuration space of PCI, as the MCFG has it (PCI Firmware Specification 3.3, 4.1.2).

use crate::hardware::Dma;
use crate::little_endian::{u16_at, u64_at};
use crate::pci::Ecam;
use alloc::format;

/// Where the header has its maker (5.2.6), and where the entries begin.
const OEM_ID: usize = 10;
const ENTRIES: usize = 44;
/// Bytes of an entry.
const ENTRY: usize = 16;
const _: () = assert!(OEM_ID + 14 < ENTRIES);

/// Makers, and their tables, whose configuration space is not what the table says (Linux has a way of its own
/// for each, in drivers/acpi/pci_mcfg.c). Those that want accesses of 32 bits are served: there are no others.
const OTHERWISE: [&[u8]; 7] = [
    b"AMAZONGRAVITON",
    b"HISI  HIP05",
    b"HISI  HIP06",
    b"HISI  HIP07",
    b"CAVIUMTHUNDERX",
    b"NVIDIATEGRA",
    b"APM   XGENE",
];

/// Adds the segments of an MCFG, up to an entry that is cut off.
pub fn add(mcfg: &[u8], dma: &mut Dma) {
    let maker = mcfg.get(OEM_ID..).unwrap_or_default();
    let is_otherwise = OTHERWISE.iter().any(|name| maker.starts_with(name));
    let entries = mcfg.get(ENTRIES..).unwrap_or_default();
    for entry in entries.chunks_exact(ENTRY) {
        let segment = u16_at(entry, 8).unwrap_or_default();
        match ecam(entry) {
            Some(ecam) if !is_otherwise => dma.segments.push(ecam),
            _ => dma
                .others
                .push(format!("PCI segment {segment}: no ECAM that is known")),
        }
    }
}

fn ecam(entry: &[u8]) -> Option<Ecam> {
    let (first, last) = (*entry.get(10)?, *entry.get(11)?);
    // The address is that of bus 0, whether that is in the range or not.
    let start = u64_at(entry, 0)?.checked_add(u64::from(first) << 20)?;
    Ecam::new(u16_at(entry, 8)?, first, last, start, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::sample::table;
    use alloc::vec::Vec;

    fn mcfg(entries: &[(u64, u16, u8, u8)]) -> Vec<u8> {
        let mut body = alloc::vec![0; 8];
        for (base, segment, first, last) in entries {
            body.extend(base.to_le_bytes());
            body.extend(segment.to_le_bytes());
            body.extend([*first, *last, 0, 0, 0, 0]);
        }
        table(b"MCFG", 1, &body)
    }

    fn read(table: &[u8]) -> Dma {
        let mut dma = Dma::default();
        add(table, &mut dma);
        dma
    }

    #[test]
    fn the_address_is_that_of_bus_0() {
        let dma = read(&mcfg(&[
            (0x40_1000_0000, 0, 0, 0xff),
            (0x50_0000_0000, 1, 0x80, 0x8f),
        ]));
        let expected: Vec<_> = [
            Ecam::new(0, 0, 0xff, 0x40_1000_0000, false),
            Ecam::new(1, 0x80, 0x8f, 0x50_0800_0000, false),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(dma.segments, expected);
        assert!(dma.others.is_empty(), "{:?}", dma.others);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let dma = read(&mcfg(&[
            (0, 0, 0, 0xff),
            (u64::MAX, 3, 1, 2),
            (0x1000_0000, 4, 2, 1),
        ]));
        assert!(dma.segments.is_empty());
        let expected = [0, 3, 4].map(|n| format!("PCI segment {n}: no ECAM that is known"));
        assert_eq!(dma.others, expected);
    }

    #[test]
    fn makers_with_a_way_of_their_own_are_not_served() {
        for maker in OTHERWISE {
            let mut table = mcfg(&[(0x4000_0000, 0, 0, 0xff)]);
            table[OEM_ID..OEM_ID + maker.len()].copy_from_slice(maker);
            let dma = read(&table);
            assert_eq!((dma.segments.len(), dma.others.len()), (0, 1), "{maker:?}");
        }
    }

    #[test]
    fn reading_ends_at_an_entry_that_is_cut_off() {
        let whole = mcfg(&[(0x4000_0000, 0, 0, 0), (0x5000_0000, 1, 0, 0)]);
        for length in 0..=whole.len() {
            let seen = read(&whole[..length]).segments.len();
            assert_eq!(seen, length.saturating_sub(ENTRIES) / ENTRY, "{length}");
        }
    }
}
