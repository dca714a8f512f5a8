// SPDX-License-Identifier: Apache-2.0
//! The SMMUs, as the IORT has them (Arm DEN0049E).

use crate::hardware::{Dma, SMMU_SIZE};
use crate::little_endian::{u16_at, u32_at, u64_at};
use crate::memory::region::Region;
use alloc::format;

/// Where the header says how many nodes there are, and where the first is.
const NODES: usize = 36;
const FIRST: usize = 40;
/// The most nodes that are looked at: a server has some hundred.
const MOST: u32 = 4096;
/// Types of nodes: a device that is named, PCI, SMMUv1 and v2, and SMMUv3; and where SMMUs have their address.
const NAMED: u8 = 1;
const PCI: u8 = 2;
const SMMU_V2: u8 = 3;
const SMMU_V3: u8 = 4;
const BASE: usize = 16;
/// Where an SMMUv1 or v2 has the size of its registers.
const SPAN: usize = 24;

/// Where a node says how many mappings it has, and where in it they are; bytes of one, and where in it the node is that
/// it leads to. Where PCI has its segment.
const MAPPINGS: usize = 8;
const FIRST_MAPPING: usize = 12;
const MAPPING: usize = 20;
const LEADS_TO: usize = 12;
const SEGMENT: usize = 28;

/// Returns whether the IDs of a device lead to an SMMU.
fn is_behind_smmu(iort: &[u8], node: &[u8]) -> bool {
    let count = u32_at(node, MAPPINGS).unwrap_or_default() as usize;
    let first = u32_at(node, FIRST_MAPPING).unwrap_or_default() as usize;
    let mappings = node.get(first..).unwrap_or_default().chunks_exact(MAPPING);
    let to = |mapping: &[u8]| iort.get(u32_at(mapping, LEADS_TO)? as usize).copied();
    mappings
        .take(count)
        .any(|mapping| matches!(to(mapping), Some(SMMU_V2 | SMMU_V3)))
}

/// Adds the SMMUs of an IORT, and devices behind none, up to a node that is cut off.
pub fn add(iort: &[u8], dma: &mut Dma) {
    let count = u32_at(iort, NODES).unwrap_or_default().min(MOST);
    let mut at = u32_at(iort, FIRST).unwrap_or_default() as usize;
    for _ in 0..count {
        let node = iort.get(at..).unwrap_or_default();
        let (Some(kind), Some(length @ 1..)) = (node.first(), u16_at(node, 1)) else {
            return;
        };
        let Some(node) = node.get(..length.into()) else {
            return;
        };
        let base = u64_at(node, BASE).unwrap_or_default();
        let size = match *kind {
            SMMU_V2 => u64_at(node, SPAN).unwrap_or_default(),
            _ => SMMU_SIZE,
        };
        let registers = Region::new(base, size).ok();
        match (*kind, registers.filter(|_| base != 0 && base & 0xfff == 0)) {
            (SMMU_V3, Some(registers)) => dma.smmus.push(registers),
            (SMMU_V2, Some(registers)) => dma.smmus_v2.push(registers),
            (SMMU_V2 | SMMU_V3, None) => {
                dma.others.push(format!("SMMU at {base:#x}: no such place"));
            }
            (NAMED, _) if !is_behind_smmu(iort, node) => {
                dma.unguarded.push("a device that the IORT names".into());
            }
            (PCI, _) if !is_behind_smmu(iort, node) => {
                let segment = u32_at(node, SEGMENT).unwrap_or_default();
                dma.unguarded.push(format!("PCI segment {segment}"));
            }
            _ => {}
        }
        at = at.saturating_add(length.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::sample::table;
    use alloc::vec::Vec;

    /// Of nodes with their type, their bytes, and what an SMMU has as its address.
    fn iort(nodes: &[(u8, u16, u64)]) -> Vec<u8> {
        let mut body = Vec::from((nodes.len() as u32).to_le_bytes());
        body.extend(48u32.to_le_bytes());
        body.extend([0; 4]);
        for (kind, length, base) in nodes {
            let mut node = alloc::vec![0; usize::from(*length).max(32)];
            node[0] = *kind;
            node[1..3].copy_from_slice(&length.to_le_bytes());
            node[16..24].copy_from_slice(&base.to_le_bytes());
            if *kind == SMMU_V2 {
                node[24..32].copy_from_slice(&0x8_0000u64.to_le_bytes());
            }
            node.truncate((*length).into());
            body.extend(node);
        }
        table(b"IORT", 5, &body)
    }

    fn read(table: &[u8]) -> Dma {
        let mut dma = Dma::default();
        add(table, &mut dma);
        dma
    }

    /// As QEMU has them: an ITS group, an SMMUv3, a root complex.
    #[test]
    fn smmus_are_found_between_other_nodes() {
        let dma = read(&iort(&[(0, 24, 0), (4, 88, 0x905_0000), (2, 56, 0)]));
        let expected = Dma {
            smmus: Vec::from_iter(Region::new(0x905_0000, 0x1000)),
            unguarded: Vec::from(["PCI segment 0".into()]),
            ..Dma::default()
        };
        assert_eq!(dma, expected);
    }

    #[test]
    fn those_of_v1_and_v2_have_a_size() {
        let dma = read(&iort(&[(3, 76, 0x5000_0000), (3, 30, 0x6000_0000)]));
        assert_eq!(
            dma.smmus_v2,
            Vec::from_iter(Region::new(0x5000_0000, 0x8_0000))
        );
        assert_eq!(dma.others, ["SMMU at 0x60000000: no such place"]);
    }

    #[test]
    fn devices_whose_ids_lead_to_no_smmu_are_named() {
        let mut table = iort(&[(4, 88, 0x905_0000), (2, 56, 0), (1, 84, 0)]);
        // One mapping, behind the node's own fields: to the SMMU, then to the ITS of another table.
        let pci = 48 + 88;
        table[pci + 8] = 1;
        table[pci + 12] = 36;
        table[pci + 28] = 7;
        let named = ["a device that the IORT names"];
        for (to, expected) in [(48, &named[..]), (pci, &["PCI segment 7", named[0]])] {
            table[pci + 36 + 12] = to as u8;
            assert_eq!(read(&table).unguarded, expected, "to {to}");
        }
    }

    #[test]
    fn what_is_not_served_is_named() {
        let dma = read(&iort(&[(3, 76, 0x1234), (4, 88, 0), (4, 88, 0x1234)]));
        let expected = [
            "SMMU at 0x1234: no such place",
            "SMMU at 0x0: no such place",
            "SMMU at 0x1234: no such place",
        ];
        assert_eq!(
            (dma.smmus.len(), dma.others),
            (0, expected.map(Into::into).into())
        );
    }

    #[test]
    fn reading_ends_at_a_node_that_is_cut_off_or_has_no_length() {
        let whole = iort(&[(4, 88, 0x1_0000), (4, 88, 0x2_0000)]);
        for length in 0..=whole.len() {
            let seen = read(&whole[..length]).smmus.len();
            assert_eq!(seen, length.saturating_sub(48) / 88, "{length}");
        }
        let mut endless = whole;
        endless[49..51].copy_from_slice(&[0, 0]);
        assert_eq!(read(&endless), Dma::default());
    }
}
