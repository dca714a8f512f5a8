// SPDX-License-Identifier: Apache-2.0
//! Reads the interrupt controller: a GICv3 (`arm,gic-v3.yaml`), a GICv2 (`arm,gic.yaml`), or the
//! one of a Raspberry Pi 3 (`brcm,bcm2836-l1-intc.txt`).

use super::error::BoardError;
use super::node::{Located, RegError, cell, first_compatible, is_available};
use crate::memory::region::Region;
use alloc::vec::Vec;
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// The interrupt controller. Regions are physical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gic {
    /// GICv3, or a later one that is compatible with it.
    V3(GicV3),
    /// GICv2, with memory-mapped CPU interfaces.
    V2(GicV2),
    /// No GIC, but the local interrupt controller of a BCM2836 or BCM2837, with its registers here.
    Bcm2836(Region),
}

/// The memory-mapped parts of a GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicV3 {
    /// Distributor (`GICD_*`).
    pub distributor: Region,
    /// Regions of redistributors (`GICR_*`), of which each CPU has one.
    pub redistributors: Vec<Region>,
    /// Bytes from one redistributor to the next; `None` if `GICR_TYPER.VLPIS` tells.
    pub redistributor_stride: Option<u64>,
    /// Interrupt translation services (`GITS_*`).
    pub its: Vec<Region>,
    /// SPIs that devices may use for message-based interrupts.
    pub mbi_ranges: Vec<MbiRange>,
    /// Its tables in memory are seen through the caches of the CPUs (no `dma-noncoherent`, and not an RK3588).
    pub coherent: bool,
}

/// SPIs that devices may raise by a write to `GICD_SETSPI_NSR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MbiRange {
    /// Interrupt id of the first one.
    pub first: u32,
    /// How many SPIs these are.
    pub count: u32,
}

/// The memory-mapped parts of a GICv2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicV2 {
    /// Distributor (`GICD_*`).
    pub distributor: Region,
    /// CPU interface (`GICC_*`).
    pub cpu_interface: Region,
    /// Virtual interface control (`GICH_*`).
    pub hypervisor: Option<Region>,
    /// Virtual CPU interface (`GICV_*`).
    pub virtual_cpu: Option<Region>,
}

const V3: &str = "arm,gic-v3";
const GICS: [&str; 7] = [
    V3,
    "arm,gic-400",
    "arm,cortex-a15-gic",
    "arm,cortex-a9-gic",
    "arm,cortex-a7-gic",
    "arm,pl390",
    "qcom,msm-qgic2",
];

const BCM2836: &str = "brcm,bcm2836-l1-intc";

/// SoCs whose GIC-600 is not coherent, which not all of their trees say (Rockchip's erratum 3588001; Linux,
/// `irq-gic-v3-its.c`).
const NOT_COHERENT: [&str; 2] = ["rockchip,rk3588", "rockchip,rk3588s"];

/// Reads the first available GIC; if there is none, the controller of a BCM2836.
pub(super) fn read(fdt: Fdt<'_>) -> Result<Gic, BoardError> {
    let is_gic = |node: &_| first_compatible(node, &GICS).is_some() && is_available(node);
    let Some(gic) = Located::search(fdt, is_gic) else {
        let is_local =
            |node: &_| first_compatible(node, &[BCM2836]).is_some() && is_available(node);
        let local = Located::search(fdt, is_local).ok_or(BoardError::NoGic)?;
        return Ok(Gic::Bcm2836(local.reg(0)?));
    };
    let gic = if gic.node.is_compatible(V3) {
        let mut gic = v3(&gic)?;
        gic.coherent &= first_compatible(&fdt.root(), &NOT_COHERENT).is_none();
        Gic::V3(gic)
    } else {
        Gic::V2(v2(&gic)?)
    };
    Ok(gic)
}

fn v3(gic: &Located<'_>) -> Result<GicV3, RegError> {
    let count = cell(&gic.node, "#redistributor-regions").unwrap_or(1);
    let mut redistributors = Vec::new();
    for index in (1..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        redistributors.push(gic.reg(index)?);
    }
    let its = gic
        .children()
        .filter(|child| child.node.is_compatible("arm,gic-v3-its") && is_available(&child.node))
        .map(|its| its.reg(0))
        .collect::<Result<_, _>>()?;
    Ok(GicV3 {
        distributor: gic.reg(0)?,
        redistributors,
        redistributor_stride: cell(&gic.node, "redistributor-stride").filter(|s| *s != 0),
        its,
        mbi_ranges: mbi_ranges(gic),
        coherent: gic.node.property("dma-noncoherent").is_none(),
    })
}

fn mbi_ranges(gic: &Located<'_>) -> Vec<MbiRange> {
    let ranges = gic
        .node
        .property("mbi-ranges")
        .filter(|_| gic.node.property("msi-controller").is_some());
    let pairs = ranges.and_then(|ranges| ranges.as_prop_encoded_array([1, 1]).ok());
    let range = |[first, count]: [dtoolkit::Cells<'_>; 2]| {
        let number = |cells| super::node::number(cells).and_then(|n| u32::try_from(n).ok());
        Some(MbiRange {
            first: number(first)?,
            count: number(count)?,
        })
    };
    pairs.into_iter().flatten().filter_map(range).collect()
}

fn v2(gic: &Located<'_>) -> Result<GicV2, RegError> {
    Ok(GicV2 {
        distributor: gic.reg(0)?,
        cpu_interface: gic.reg(1)?,
        hypervisor: gic.reg(2).ok(),
        virtual_cpu: gic.reg(3).ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, cells, wide};

    const GIC: &str = "/intc@8000000";

    fn region(start: u64, size: u64) -> Region {
        Region::new(start, size).expect("test region")
    }

    fn virt() -> GicV3 {
        GicV3 {
            distributor: region(0x800_0000, 0x1_0000),
            redistributors: alloc::vec![region(0x80a_0000, 0xf6_0000)],
            redistributor_stride: None,
            its: alloc::vec![region(0x808_0000, 0x2_0000)],
            mbi_ranges: Vec::new(),
            coherent: true,
        }
    }

    #[test]
    fn reads_gicv3() {
        let mut tree = Sample::virt();
        assert_eq!(tree.read(read), Ok(Gic::V3(virt())));
        tree.unset(GIC, "#redistributor-regions");
        assert_eq!(
            tree.read(read),
            Ok(Gic::V3(virt())),
            "one region unless more are said"
        );
    }

    #[test]
    fn reads_regions_stride_and_mbis() {
        let mut tree = Sample::virt();
        let high = region(0x40_0000_0000, 0x400_0000);
        let reg = [
            0x800_0000,
            0x1_0000,
            0x80a_0000,
            0xf6_0000,
            high.start(),
            high.size(),
            1,
            2,
        ];
        tree.set(GIC, "reg", wide(&reg))
            .set(GIC, "#redistributor-regions", 2u32);
        tree.set(GIC, "redistributor-stride", wide(&[0x4_0000]));
        tree.set(GIC, "mbi-ranges", cells(&[64, 32, 128, 8]));
        let mut expected = virt();
        expected.redistributors.push(high);
        expected.redistributor_stride = Some(0x4_0000);
        assert_eq!(
            tree.read(read),
            Ok(Gic::V3(expected.clone())),
            "no msi-controller"
        );
        tree.set(GIC, "msi-controller", Vec::new());
        let ranges = [
            MbiRange {
                first: 64,
                count: 32,
            },
            MbiRange {
                first: 128,
                count: 8,
            },
        ];
        expected.mbi_ranges.extend(ranges);
        assert_eq!(tree.read(read), Ok(Gic::V3(expected)));
    }

    #[test]
    fn knows_a_gic_that_is_not_coherent() {
        let mut tree = Sample::virt();
        tree.set(GIC, "dma-noncoherent", Vec::new());
        let expected = GicV3 {
            coherent: false,
            ..virt()
        };
        assert_eq!(tree.read(read), Ok(Gic::V3(expected)));
    }

    #[test]
    fn knows_the_socs_whose_gic_is_not_coherent() {
        for (compatible, coherent) in [
            (["radxa,rock-5b", "rockchip,rk3588"], false),
            (["radxa,rock-5a", "rockchip,rk3588s"], false),
            (["radxa,rock-3a", "rockchip,rk3568"], true),
        ] {
            let mut tree = Sample::virt();
            tree.strings("/", "compatible", &compatible);
            let expected = GicV3 { coherent, ..virt() };
            assert_eq!(tree.read(read), Ok(Gic::V3(expected)), "{compatible:?}");
        }
    }

    #[test]
    fn leaves_out_a_disabled_its() {
        let mut tree = Sample::virt();
        tree.set("/intc@8000000/its@8080000", "status", "disabled");
        let expected = GicV3 {
            its: Vec::new(),
            ..virt()
        };
        assert_eq!(tree.read(read), Ok(Gic::V3(expected)));
    }

    #[test]
    fn reads_every_gicv2() {
        let mut tree = Sample::virt();
        let reg = [
            0x800_0000, 0x1000, 0x801_0000, 0x2000, 0x803_0000, 0x1000, 0x804_0000, 0x2000,
        ];
        let mut expected = GicV2 {
            distributor: region(0x800_0000, 0x1000),
            cpu_interface: region(0x801_0000, 0x2000),
            hypervisor: Some(region(0x803_0000, 0x1000)),
            virtual_cpu: Some(region(0x804_0000, 0x2000)),
        };
        for compatible in &GICS[1..] {
            tree.set(GIC, "compatible", *compatible)
                .set(GIC, "reg", wide(&reg));
            assert_eq!(
                tree.read(read),
                Ok(Gic::V2(expected.clone())),
                "{compatible}"
            );
        }
        tree.set(GIC, "reg", wide(&reg[..4]));
        (expected.hypervisor, expected.virtual_cpu) = (None, None);
        assert_eq!(
            tree.read(read),
            Ok(Gic::V2(expected)),
            "without virtualization"
        );
    }

    #[test]
    fn takes_a_bcm2836_where_there_is_no_gic() {
        let mut tree = Sample::virt();
        tree.set("/soc/local@100", "compatible", BCM2836)
            .set_cells("/soc", 1, 1)
            .set("/soc", "ranges", Vec::new())
            .set("/soc/local@100", "reg", cells(&[0x4000_0000, 0x100]));
        assert_eq!(tree.read(read), Ok(Gic::V3(virt())), "beside a GIC");
        tree.set(GIC, "status", "disabled");
        let local = Gic::Bcm2836(region(0x4000_0000, 0x100));
        assert_eq!(tree.read(read), Ok(local));
    }

    #[test]
    fn refuses_bad_gics() {
        let mut tree = Sample::virt();
        let missing = |index| {
            BoardError::Reg(RegError::Missing {
                node: GIC.into(),
                index,
            })
        };
        tree.set(GIC, "#redistributor-regions", u32::MAX);
        assert_eq!(
            tree.read(read),
            Err(missing(2)),
            "a region of many is not there"
        );
        tree.set(GIC, "#redistributor-regions", 1u32)
            .set(GIC, "reg", wide(&[1]));
        let cells = RegError::Cells {
            node: GIC.into(),
            length: 8,
        };
        assert_eq!(tree.read(read), Err(BoardError::Reg(cells)));
        tree.set(GIC, "compatible", GICS[1])
            .set(GIC, "reg", wide(&[0x800_0000, 0x1000]));
        assert_eq!(tree.read(read), Err(missing(1)), "no CPU interface");
        tree.set(GIC, "compatible", "arm,gic-v5");
        assert_eq!(
            tree.read(read),
            Err(BoardError::NoGic),
            "not one of those known"
        );
        tree.set(GIC, "compatible", V3)
            .set(GIC, "status", "disabled");
        assert_eq!(tree.read(read), Err(BoardError::NoGic), "not available");
    }
}
