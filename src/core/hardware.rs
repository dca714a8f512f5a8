// SPDX-License-Identifier: Apache-2.0
//! What the monitor needs to know of a machine, whoever describes it: a device tree, or ACPI.
#![forbid(unsafe_code)]

use crate::devicetree::console::Console;
use crate::devicetree::cpus::{Cpu, Devices};
use crate::devicetree::gic::Gic;
use crate::devicetree::psci::Psci;
use alloc::vec::Vec;

/// A machine, but for its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// The CPUs, in the order of their description.
    pub cpus: Vec<Cpu>,
    /// Firmware's PSCI; `None` only if all CPUs wait in spin tables.
    pub psci: Option<Psci>,
    /// The interrupt controller.
    pub gic: Gic,
    /// Devices of the CPUs that only the description tells of.
    pub devices: Devices,
    /// The UART of the console. `None` also if it cannot be used: there is nowhere to report that.
    pub console: Option<Console>,
}
