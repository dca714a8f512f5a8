// SPDX-License-Identifier: Apache-2.0
//! What the monitor needs to know of a machine, whoever describes it: a device tree, or ACPI.
#![forbid(unsafe_code)]

use crate::devicetree::console::Console;
use crate::devicetree::cpus::{Cpu, Devices, EnableMethod, Unusable};
use crate::devicetree::gic::Gic;
use crate::devicetree::psci::Psci;
use crate::memory::region::RegionSet;
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
