// SPDX-License-Identifier: Apache-2.0
//! The interrupt controller, from the MADT.
//!
//! The tables have addresses and, of redistributors in a row alone, a length. The other sizes are
//! those of the architecture.

use super::error::AcpiError;
use super::madt::{self, Entry, Gicc};
use crate::devicetree::gic::{Gic, GicV2, GicV3};
use crate::memory::region::Region;
use alloc::vec::Vec;

/// Bytes of a GICv3's distributor, of an ITS (IHI 0069, 12.1), and of a redistributor without and
/// with virtual LPIs.
const DISTRIBUTOR: u64 = 0x1_0000;
const ITS: u64 = 0x2_0000;
const TWO_PAGES: u64 = 0x2_0000;
const FOUR_PAGES: u64 = 0x4_0000;
/// Bytes of a GICv2's distributor, CPU interface, virtual interface control and virtual CPU
/// interface (IHI 0048, 4.1 and 5.1).
const GICV2: [u64; 4] = [0x1000, 0x2000, 0x1000, 0x2000];

/// What the MADT has of it.
#[derive(Default)]
struct Parts {
    /// Address and version.
    distributor: Option<(u64, u8)>,
    cpus: Vec<Gicc>,
    redistributors: Vec<Region>,
    its: Vec<Region>,
    incoherent: bool,
}

/// Reads the interrupt controller.
///
/// # Errors
///
/// [`AcpiError`] for the first thing that is missing or unusable.
pub fn read(table: &[u8]) -> Result<Gic, AcpiError> {
    let parts = Parts::collect(table)?;
    let (base, version) = parts.distributor.ok_or(AcpiError::NoDistributor)?;
    match version {
        // The hardware is to be asked, but firmware has been: only a GICv3 has redistributors.
        0 if parts.has_redistributors() => v3(base, parts),
        0 | 2 => v2(base, &parts.cpus),
        3 | 4 => v3(base, parts),
        version => Err(AcpiError::GicVersion(version)),
    }
}

impl Parts {
    fn collect(table: &[u8]) -> Result<Self, AcpiError> {
        let mut parts = Self::default();
        for entry in madt::entries(table) {
            match entry? {
                Entry::Gicc(gicc) if gicc.is_cpu() => parts.cpus.push(gicc),
                Entry::Gicd { base, version } => {
                    if let Some((first, _)) = parts.distributor.replace((base, version)) {
                        return Err(AcpiError::SecondDistributor {
                            first,
                            second: base,
                        });
                    }
                }
                Entry::Gicr {
                    base,
                    length,
                    coherent,
                } => {
                    parts.incoherent |= !coherent;
                    let region = Region::new(base, length.into())?;
                    parts.redistributors.push(region);
                }
                Entry::Its { base, coherent } => {
                    parts.incoherent |= !coherent;
                    parts.its.push(Region::new(base, ITS)?);
                }
                Entry::Gicc(_) | Entry::Other => {}
            }
        }
        Ok(parts)
    }

    fn has_redistributors(&self) -> bool {
        !self.redistributors.is_empty() || self.cpus.iter().any(|cpu| cpu.redistributor != 0)
    }
}

fn v3(base: u64, parts: Parts) -> Result<Gic, AcpiError> {
    let mut gic = GicV3 {
        distributor: Region::new(base, DISTRIBUTOR)?,
        redistributors: parts.redistributors,
        redistributor_stride: None,
        its: parts.its,
        // ACPI tells kernels of none.
        mbi_ranges: Vec::new(),
        coherent: !parts.incoherent,
    };
    if gic.redistributors.is_empty() {
        gic.redistributors = single(&parts.cpus)?;
        // One in each region, of which nobody knows whether it says that it is the last.
        gic.redistributor_stride = Some(FOUR_PAGES);
        gic.coherent &= parts.cpus.iter().all(|cpu| cpu.coherent);
    }
    Ok(Gic::V3(gic))
}

/// Returns the redistributors that the CPUs name, each in a region of its own, in ascending order.
///
/// All have the size that the least distance between two leaves, up to that of one with virtual
/// LPIs: `GICR_TYPER.VLPIS` tells what there is.
fn single(cpus: &[Gicc]) -> Result<Vec<Region>, AcpiError> {
    let mut bases = Vec::new();
    for cpu in cpus {
        match cpu.redistributor {
            0 => return Err(AcpiError::NoRedistributor { mpidr: cpu.mpidr }),
            base => bases.push(base),
        }
    }
    bases.sort_unstable();
    let mut size = FOUR_PAGES;
    for (&first, &second) in bases.iter().zip(bases.iter().skip(1)) {
        size = size.min(second - first);
        if size < TWO_PAGES {
            return Err(AcpiError::Redistributors { first, second });
        }
    }
    let regions = bases.iter().map(|base| Region::new(*base, size));
    Ok(regions.collect::<Result<_, _>>()?)
}

fn v2(base: u64, cpus: &[Gicc]) -> Result<Gic, AcpiError> {
    let first = cpus.first().ok_or(AcpiError::NoCpus)?;
    // It is banked: each CPU sees its own at the same address.
    let other = |cpu: &&Gicc| cpu.cpu_interface == 0 || cpu.cpu_interface != first.cpu_interface;
    if let Some(cpu) = cpus.iter().find(other) {
        return Err(AcpiError::CpuInterface {
            mpidr: cpu.mpidr,
            address: cpu.cpu_interface,
            first: first.cpu_interface,
        });
    }
    let [distributor, cpu_interface, hypervisor, virtual_cpu] = GICV2;
    let optional = |base, size| match base {
        0 => Ok(None),
        base => Region::new(base, size).map(Some),
    };
    Ok(Gic::V2(GicV2 {
        distributor: Region::new(base, distributor)?,
        cpu_interface: Region::new(first.cpu_interface, cpu_interface)?,
        hypervisor: optional(first.hypervisor, hypervisor)?,
        virtual_cpu: optional(first.virtual_cpu, virtual_cpu)?,
    }))
}

#[cfg(test)]
mod tests;
