//! The interrupt controller: GICv3 (`arm,gic-v3.yaml`) or GICv2 (`arm,gic.yaml`).

use super::board::BoardError;
use super::node::{Located, RegError, cell, first_compatible, is_available};
use crate::memory::region::Region;
use alloc::vec::Vec;
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// The GIC that interrupts come through. Regions are physical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gic {
    /// GICv3, or a later one that is compatible with it.
    V3(GicV3),
    /// GICv2, with memory-mapped CPU interfaces.
    V2(GicV2),
}

/// The memory-mapped parts of a GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicV3 {
    /// Distributor (`GICD_*`).
    pub distributor: Region,
    /// Regions of redistributors (`GICR_*`), each with one frame set a CPU.
    pub redistributors: Vec<Region>,
    /// Bytes from one redistributor to the next; `None`: as `GICR_TYPER.VLPIS` tells.
    pub redistributor_stride: Option<u64>,
    /// Interrupt translation services (`GITS_*`).
    pub its: Vec<Region>,
    /// SPIs that are free for message-based interrupts.
    pub mbi_ranges: Vec<MbiRange>,
}

/// SPIs that devices may raise by a write to `GICD_SETSPI_NSR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MbiRange {
    /// Interrupt id of the first one.
    pub first: u32,
    /// Number of SPIs.
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
const V2: [&str; 6] = [
    "arm,gic-400",
    "arm,cortex-a15-gic",
    "arm,cortex-a9-gic",
    "arm,cortex-a7-gic",
    "arm,pl390",
    "qcom,msm-qgic2",
];

/// Reads the first GIC that is available.
pub(super) fn read(fdt: Fdt<'_>) -> Result<Gic, BoardError> {
    let is_gic = |node: &_| {
        is_available(node) && (node.is_compatible(V3) || first_compatible(node, &V2).is_some())
    };
    let gic = Located::search(fdt, is_gic).ok_or(BoardError::NoGic)?;
    let gic = if gic.node.is_compatible(V3) {
        Gic::V3(v3(&gic)?)
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
