// SPDX-License-Identifier: Apache-2.0
//! Where a tree says that devices' DMA can be stopped: host bridges of PCI (Linux's
//! host-generic-pci.yaml), and SMMUs (arm,smmu-v3.yaml).

use super::node::{Located, RegError, bytes, cell, text};
use crate::hardware::{Dma, SMMU_SIZE};
use crate::memory::region::Region;
use crate::pci::Ecam;
use crate::words;
use alloc::format;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;

const ECAM: &[u8] = b"pci-host-ecam-generic";
const SMMU_V3: &[u8] = b"arm,smmu-v3";
/// SMMUv1 and v2 (arm,smmu.yaml). Qualcomm's are not among them: their firmware has them to itself.
const SMMU_V2: [&[u8]; 7] = [
    b"arm,smmu-v1",
    b"arm,smmu-v2",
    b"arm,mmu-400",
    b"arm,mmu-401",
    b"arm,mmu-500",
    b"cavium,smmu-v2",
    b"nvidia,smmu-500",
];
/// Those may be off.
const POWER: &str = "power-domains";

/// Returns all that the tree names, and what of it cannot be served.
pub fn read(fdt: Fdt<'_>) -> Dma {
    let mut dma = Dma::default();
    let Some(root) = Located::find(fdt, "/") else {
        return dma;
    };
    // There is no device below it, and most nodes of a large machine.
    let is_device = |child: &Located<'_>| child.node.name() != "cpus";
    let devices = root.children().filter(is_device);
    devices.for_each(|child| add(&child, &mut dma));
    dma
}

fn add(node: &Located<'_>, dma: &mut Dma) {
    if !node.is_available() {
        return;
    }
    let compatible = bytes(&node.node, "compatible");
    let is_pci = text(&node.node, "device_type") == Some("pci");
    // Linux's dma-coherent is a master's; an SMMU has it too, which goes through none.
    let has = |name| node.node.property(name).is_some();
    let is_master = is_pci || has("dma-coherent") && !has("#iommu-cells");
    if is_master && !has("iommus") && !has("iommu-map") {
        let name = node.node.name();
        let kind = name.split('@').next().unwrap_or_default();
        if !dma.unguarded.iter().any(|known| known == kind) {
            dma.unguarded.push(kind.into());
        }
    }
    if is_pci {
        // Below it are its own functions.
        return match segment(node, compatible) {
            Some(ecam) => dma.segments.push(ecam),
            None => dma.others.push(format!(
                "PCI host bridge {}: no ECAM that is known",
                node.path()
            )),
        };
    }
    if words::has(compatible, 0, SMMU_V3) {
        match registers(node) {
            Ok(region) => dma.smmus.push(region),
            Err(error) => dma.others.push(format!("SMMU {error}")),
        }
    } else if SMMU_V2.iter().any(|name| words::has(compatible, 0, name)) && is_on(node, compatible)
    {
        // Some are several with the same registers, which are to be written alike.
        for index in 0.. {
            match node.reg(index) {
                Ok(region) => dma.smmus_v2.push(region),
                Err(RegError::Missing { .. }) if index > 0 => break,
                Err(error) => {
                    dma.others.push(format!("SMMU {error}"));
                    break;
                }
            }
        }
    } else if node.node.property("#iommu-cells").is_some() {
        let path = node.path();
        dma.others.push(format!("IOMMU {path}: it is not served"));
    }
    node.children().for_each(|child| add(&child, dma));
}

/// Returns whether an SMMU has power whenever a kernel runs, and is no firmware's.
fn is_on(node: &Located<'_>, compatible: &[u8]) -> bool {
    let is_qualcomm = compatible
        .split(|byte| *byte == 0)
        .any(|name| name.starts_with(b"qcom,"));
    node.node.property(POWER).is_none() && !is_qualcomm
}

fn segment(node: &Located<'_>, compatible: &[u8]) -> Option<Ecam> {
    if !words::has(compatible, 0, ECAM) {
        return None;
    }
    let region = node.reg(0).ok()?;
    let range = bytes(&node.node, "bus-range");
    let (first, last) = match range.as_chunks::<4>().0 {
        [] => (0, 0xff),
        [first, last] => (u32::from_be_bytes(*first), u32::from_be_bytes(*last)),
        _ => return None,
    };
    let first = u8::try_from(first).ok()?;
    // Buses that do not fit are not there.
    let buses = region.size() >> 20;
    let most = u64::from(first) + buses.checked_sub(1)?;
    let last = u8::try_from(u64::from(last).min(most)).ok()?;
    let segment = cell(&node.node, "linux,pci-domain").unwrap_or(0);
    // Linux looks at no other root of such a bridge.
    Ecam::new(segment as u16, first, last, region.start(), true)
}

/// Returns the first page of an SMMU's registers.
fn registers(node: &Located<'_>) -> Result<Region, RegError> {
    let region = node.reg(0)?;
    Region::new(region.start(), SMMU_SIZE).map_err(|error| RegError::Region {
        node: node.path(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, cells, wide};
    use alloc::vec::Vec;

    const PCIE: &str = "/pcie@10000000";
    const SMMU: &str = "/smmuv3@9050000";

    /// As QEMU 10 has them with `iommu=smmuv3`.
    fn virt() -> Sample {
        let mut tree = Sample::virt();
        tree.set(PCIE, "compatible", "pci-host-ecam-generic")
            .set(PCIE, "device_type", "pci")
            .set(PCIE, "bus-range", cells(&[0, 0xff]))
            .set(PCIE, "linux,pci-domain", 2u32)
            .set(PCIE, "reg", wide(&[0x40_1000_0000, 0x1000_0000]))
            .set_cells(PCIE, 3, 2);
        tree.set(SMMU, "compatible", "arm,smmu-v3")
            .set(SMMU, "#iommu-cells", 1u32)
            .set(SMMU, "reg", wide(&[0x905_0000, 0x2_0000]));
        tree
    }

    #[test]
    fn what_qemu_has_is_found() {
        let expected = Dma {
            segments: Vec::from_iter(Ecam::new(2, 0, 0xff, 0x40_1000_0000, true)),
            smmus: Vec::from_iter(Region::new(0x905_0000, 0x1000)),
            unguarded: alloc::vec!["pcie".into()],
            ..Dma::default()
        };
        assert_eq!(virt().read(read), expected);
    }

    /// As on Arm's Juno, and as on NVIDIA's Tegra194, where one node has two.
    #[test]
    fn those_of_v1_and_v2_are_found_with_all_registers() {
        let two = [0x1200_0000, 0x80_0000, 0x1100_0000, 0x80_0000];
        for (compatible, reg, starts) in [
            (
                "arm,mmu-401",
                &[0x7fb0_0000, 0x1_0000][..],
                &[0x7fb0_0000][..],
            ),
            ("nvidia,smmu-500", &two, &[0x1200_0000, 0x1100_0000]),
        ] {
            let mut tree = virt();
            tree.set(SMMU, "compatible", compatible)
                .set(SMMU, "reg", wide(reg));
            let dma = tree.read(read);
            let seen: Vec<_> = dma.smmus_v2.iter().map(|region| region.start()).collect();
            assert_eq!(
                (seen.as_slice(), dma.smmus.len()),
                (starts, 0),
                "{compatible}"
            );
            assert!(dma.others.is_empty(), "{:?}", dma.others);
        }
    }

    #[test]
    fn those_that_may_be_off_or_are_firmwares_are_named() {
        for (name, value) in [
            ("power-domains", "x"),
            ("compatible", "qcom,sc7180-smmu-500\0arm,mmu-500"),
        ] {
            let mut tree = virt();
            tree.set(SMMU, "compatible", "arm,mmu-500")
                .set(SMMU, name, value);
            let dma = tree.read(read);
            assert_eq!((dma.smmus.len(), dma.smmus_v2.len()), (0, 0), "{name}");
            assert_eq!(dma.others, ["IOMMU /smmuv3@9050000: it is not served"]);
        }
    }

    #[test]
    fn configuration_space_begins_with_the_first_bus_and_ends_where_reg_does() {
        for (range, size, expected) in [
            (&[0x20, 0x2f][..], 0x100_0000, Some((0x20, 0x2f))),
            (&[0x20, 0xff], 0x100_0000, Some((0x20, 0x2f))),
            (&[0, 0], 0x1000_0000, Some((0, 0))),
            (&[], 0x1000_0000, Some((0, 0xff))),
            (&[0, 0xff], 0x8_0000, None),
            (&[1, 0], 0x1000_0000, None),
            (&[0x100, 0x1ff], 0x1000_0000, None),
            (&[0], 0x1000_0000, None),
        ] {
            let mut tree = virt();
            tree.set(PCIE, "reg", wide(&[0x40_1000_0000, size])).set(
                PCIE,
                "bus-range",
                cells(range),
            );
            let dma = tree.read(read);
            let seen = dma.segments.first().map(|ecam| (ecam.first, ecam.last));
            assert_eq!(seen, expected, "buses {range:x?} in {size:#x} bytes");
            let start = dma.segments.first().map(|ecam| ecam.region.start());
            assert_eq!(start, expected.map(|_| 0x40_1000_0000));
            assert_eq!(dma.others.is_empty(), expected.is_some());
        }
    }

    #[test]
    fn what_is_not_served_is_named() {
        let mut tree = virt();
        tree.set(PCIE, "compatible", "snps,dw-pcie")
            .set(SMMU, "compatible", "renesas,ipmmu-vmsa");
        let dma = tree.read(read);
        assert_eq!((dma.segments.len(), dma.smmus.len()), (0, 0));
        let expected = [
            "PCI host bridge /pcie@10000000: no ECAM that is known",
            "IOMMU /smmuv3@9050000: it is not served",
        ];
        assert_eq!(dma.others, expected);
    }

    #[test]
    fn masters_behind_no_smmu_are_named_once() {
        let mut tree = virt();
        tree.set(PCIE, "iommu-map", cells(&[0, 1, 0, 0x1_0000]))
            .set(SMMU, "dma-coherent", "");
        for path in [
            "/virtio_mmio@a000000",
            "/virtio_mmio@a000200",
            "/fw-cfg@9020000",
        ] {
            tree.set(path, "dma-coherent", "");
        }
        tree.set("/gpu@0", "dma-coherent", "")
            .set("/gpu@0", "iommus", 1u32);
        let mut seen = tree.read(read).unguarded;
        seen.sort();
        assert_eq!(seen, ["fw-cfg", "virtio_mmio"]);
    }

    #[test]
    fn what_may_not_be_used_and_what_is_below_a_host_bridge_is_none() {
        let mut tree = virt();
        tree.set(SMMU, "status", "disabled")
            .set("/pcie@10000000/pci@1,0", "device_type", "pci");
        let dma = tree.read(read);
        assert_eq!((dma.segments.len(), dma.smmus.len()), (1, 0));
        assert!(dma.others.is_empty(), "{:?}", dma.others);
    }
}
