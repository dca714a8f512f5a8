// SPDX-License-Identifier: Apache-2.0
//! What the probe knows of the machine, whoever describes it.

use crate::call::Conduit;
use crate::cpu::MAX_CPUS;
use crate::list::List;
use crate::outcome::{Failure, Outcome};
use crate::pci::Pci;

/// An address range: base and size in bytes.
pub type Range = (u64, u64);

/// A node of `/reserved-memory`, or what UEFI's memory map keeps a kernel off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserved {
    /// Where it is.
    pub range: Range,
    /// It has the property `no-map`; or it is the monitor's.
    pub no_map: bool,
}

/// A GICv3 or GICv2.
#[derive(Clone, Copy, Debug)]
pub struct Gic {
    /// Physical address of the distributor.
    pub distributor: u64,
    /// Physical address of the CPU interface of a GICv2.
    pub cpu_interface: Option<u64>,
    /// The redistributor regions.
    pub redistributors: List<Range, 8>,
    /// Physical address of the first ITS, if there is one.
    pub its: Option<u64>,
}

/// The machine.
pub struct Machine {
    /// The device tree itself.
    pub fdt: &'static [u8],
    /// The affinity fields of each CPU's `MPIDR_EL1`.
    pub cpus: List<u64, MAX_CPUS>,
    /// `/memory`.
    pub ram: List<Range, 64>,
    /// `/reserved-memory`.
    pub reserved: List<Reserved, 64>,
    /// The part of the monitor's memory that has its log, if that may be read.
    pub log: Option<Range>,
    /// Physical address of the console's PL011.
    pub uart: u64,
    /// How PSCI is called.
    pub psci: Conduit,
    /// The interrupt controller, if it is a GICv3 or GICv2.
    pub gic: Option<Gic>,
    /// The first host bridge of PCI, if the tree has one with ECAM.
    pub pci: Option<Pci>,
    /// Physical address of the first SMMUv3, if there is one.
    pub smmu: Option<u64>,
    /// The command line.
    pub bootargs: &'static str,
}

/// Adds a value to a list; fails if that is full.
pub fn keep<T: Copy + Default, const N: usize>(
    list: &mut List<T, N>,
    item: T,
    what: &str,
) -> Outcome {
    list.push(item)
        .map_err(|_| Failure::new(format_args!("expected at most {N} {what}")))
}

impl Machine {
    /// The region of RAM that an address lies in.
    pub fn ram_at(&self, address: u64) -> Option<Range> {
        self.ram
            .iter()
            .copied()
            .find(|&(base, size)| (base..base + size).contains(&address))
    }

    /// The monitor's memory: what is reserved and must not be mapped.
    pub fn monitor(&self) -> Option<Range> {
        self.reserved.iter().find(|r| r.no_map).map(|r| r.range)
    }
}
