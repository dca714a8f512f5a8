// SPDX-License-Identifier: Apache-2.0
//! What the monitor needs to know of a machine, whoever describes it: a device tree, or ACPI.
#![forbid(unsafe_code)]

use crate::devicetree::console::Console;
use crate::devicetree::cpus::{Cpu, Devices, EnableMethod, Unusable};
use crate::devicetree::gic::Gic;
use crate::devicetree::psci::Psci;
use crate::memory::region::{Region, RegionSet};
use crate::pci::Ecam;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A machine, but for its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// The CPUs, in the order of their description.
    pub cpus: Vec<Cpu>,
    /// Firmware's PSCI; `None` if no CPU comes by it.
    pub psci: Option<Psci>,
    /// The interrupt controller.
    pub gic: Gic,
    /// Devices of the CPUs that only the description tells of.
    pub devices: Devices,
    /// Registers in memory by which CPUs can be halted, where the description has them.
    pub external_debug: RegionSet,
    /// Ticks a second of the system counter, if the description has them.
    pub counter_frequency: Option<u64>,
    /// The UART of the console. `None` also if it cannot be used: there is nowhere to report that.
    pub console: Option<Console>,
    /// Where devices' DMA can be stopped.
    pub dma: Dma,
}

/// Bytes of the registers of an SMMUv3 that are used: they are in the first page (Arm IHI 0070, 6.1).
pub const SMMU_SIZE: u64 = 0x1000;

/// Where devices' accesses to memory can be stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dma {
    /// The configuration space of PCI.
    pub segments: Vec<Ecam>,
    /// The registers of each SMMUv3.
    pub smmus: Vec<Region>,
    /// All registers of each SMMUv1 and v2.
    pub smmus_v2: Vec<Region>,
    /// What there is beside that, in words: its devices are not stopped.
    pub others: Vec<String>,
    /// What may write to memory, as far as it is described, and is behind no SMMU, in words.
    pub unguarded: Vec<String>,
}

impl Dma {
    /// Returns what of it lies below `end` and not in memory: `taken`.
    pub fn within(mut self, taken: &RegionSet, end: u64) -> Self {
        let others = &mut self.others;
        let mut fits = |region: &Region, what: &str| {
            let fits = region.end() <= end && !taken.overlaps(region);
            if !fits {
                others.push(format!("{what} at {region}, which cannot be"));
            }
            fits
        };
        self.segments
            .retain(|ecam| fits(&ecam.region, "PCI configuration space"));
        for smmus in [&mut self.smmus, &mut self.smmus_v2] {
            smmus.retain(|region| fits(region, "SMMU"));
        }
        self
    }

    /// Returns where all registers are.
    pub fn registers(&self) -> impl Iterator<Item = Region> {
        let segments = self.segments.iter().map(|ecam| ecam.region);
        let smmus = self.smmus.iter().chain(&self.smmus_v2);
        segments.chain(smmus.copied())
    }
}

impl Hardware {
    /// Takes the CPUs out that cannot be started, and returns each with the reason. `boot_cpu`, by the
    /// affinity fields of its MPIDR, stays: it runs already.
    pub fn take_unusable(&mut self, boot_cpu: u64) -> Vec<(u64, Unusable)> {
        let mut taken = Vec::new();
        self.cpus.retain(|cpu| match &cpu.enable_method {
            EnableMethod::Other(why) if cpu.mpidr != boot_cpu => {
                taken.push((cpu.mpidr, why.clone()));
                false
            }
            _ => true,
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_in_memory_or_out_of_reach_are_none() {
        let region = |start| Region::new(start, SMMU_SIZE).expect("a region");
        let ecam = |start| Ecam::new(0, 0, 0, start, true).expect("a bus");
        let dma = Dma {
            segments: [0x1000_0000, 0x4000_0000, 0x100_0000_0000].map(ecam).into(),
            smmus: [0x905_0000, 0x4000_0000].map(region).into(),
            smmus_v2: [0x906_0000, 0x4001_0000].map(region).into(),
            ..Dma::default()
        };
        let mut taken = RegionSet::new();
        taken.insert(Region::new(0x4000_0000, 0x4000_0000).expect("memory"));
        let within = dma.within(&taken, 1 << 40);
        let starts: Vec<_> = within.registers().map(|region| region.start()).collect();
        assert_eq!(starts, [0x1000_0000, 0x905_0000, 0x906_0000]);
        assert_eq!(within.others.len(), 4, "{:?}", within.others);
    }
}
