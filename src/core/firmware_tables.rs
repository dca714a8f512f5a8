// SPDX-License-Identifier: Apache-2.0
//! Who describes the machine where UEFI firmware starts the monitor: a device tree, or ACPI.
#![forbid(unsafe_code)]

use crate::acpi::{self, AcpiError, Tables};
use crate::devicetree::blob::{self, BlobError};
use crate::devicetree::board;
use crate::devicetree::claimed;
use crate::devicetree::cpus::EnableMethod;
use crate::devicetree::error::BoardError;
use crate::devicetree::guest_console::MonitorUart;
use crate::devicetree::uefi;
use crate::hardware::Hardware;
use crate::memory::region::{Region, RegionSet};
use thiserror::Error;

/// What firmware offers, as Linux takes it.
#[derive(Clone, Copy, Debug)]
pub enum FirmwareTables<'a> {
    /// A device tree that has more than `/chosen`: Linux prefers it (unless told `acpi=force`).
    Tree(&'a [u8]),
    /// ACPI's tables.
    Acpi(Tables<'a>),
}

/// Why a machine is not known, or not served.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FirmwareTablesError {
    /// The structure of the tree is broken.
    #[error("device tree: {0}")]
    Blob(#[from] BlobError),
    /// The tree does not describe a machine that the monitor can run on.
    #[error("device tree: {0}")]
    Board(#[from] BoardError),
    /// ACPI does not describe one.
    #[error("ACPI: {0}")]
    Acpi(#[from] AcpiError),
    /// The kernel would start a CPU around the monitor: it has firmware's tree.
    #[error(
        "device tree: the CPU with MPIDR {0:#x} waits in a spin table, which leads around Baton"
    )]
    SpinTable(u64),
}

impl<'a> FirmwareTables<'a> {
    /// Returns whether Linux takes the machine from `tree`.
    pub fn is_tree(tree: &[u8]) -> bool {
        blob::open(tree).is_ok_and(|fdt| !uefi::is_stub(&fdt))
    }

    /// Reads the machine, without the CPUs that nobody can start but `boot_cpu`, by the affinity fields of
    /// its MPIDR.
    ///
    /// # Errors
    ///
    /// [`FirmwareTablesError`] for the first thing that is missing or unusable.
    pub fn hardware(&self, boot_cpu: u64) -> Result<Hardware, FirmwareTablesError> {
        let mut hardware = match self {
            Self::Tree(tree) => board::hardware(blob::open(tree)?)?,
            Self::Acpi(tables) => acpi::hardware(tables)?,
        };
        hardware.take_unusable(boot_cpu);
        let waits = |method: &EnableMethod| matches!(method, EnableMethod::SpinTable { .. });
        match hardware.cpus.iter().find(|cpu| waits(&cpu.enable_method)) {
            Some(cpu) => Err(FirmwareTablesError::SpinTable(cpu.mpidr)),
            None => Ok(hardware),
        }
    }

    /// Returns what the tables give to devices, or to others than the kernel. ACPI's do not say where devices
    /// are: there it is everything.
    pub fn claimed(&self) -> RegionSet {
        match self {
            Self::Tree(tree) => blob::open(tree).map_or_else(|_| everything(), claimed::read),
            Self::Acpi(_) => everything(),
        }
    }

    /// Returns the UART of the console, if there is one that can be used.
    pub fn uart(&self, hardware: &Hardware) -> Option<MonitorUart> {
        let console = hardware.console?;
        match self {
            Self::Tree(tree) => Some(MonitorUart::new(blob::open(tree).ok()?, console)),
            Self::Acpi(_) => Some(MonitorUart::of_firmware(console)),
        }
    }
}

fn everything() -> RegionSet {
    Region::new(0, u64::MAX).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, wide};

    #[test]
    fn a_tree_is_one_that_has_more_than_chosen() {
        assert!(FirmwareTables::is_tree(&Sample::virt().blob()));
        let mut stub = Sample(dtoolkit::model::DeviceTree::new());
        stub.set("/chosen", "bootargs", "quiet");
        assert!(!FirmwareTables::is_tree(&stub.blob()));
        assert!(!FirmwareTables::is_tree(&[]));
    }

    #[test]
    fn cpus_of_a_spin_table_are_not_served() {
        let mut tree = Sample::virt();
        let read = |tree: &Sample| FirmwareTables::Tree(&tree.blob()).hardware(0);
        assert_eq!(read(&tree).map(|hardware| hardware.cpus.len()), Ok(2));
        tree.set("/cpus/cpu@1", "enable-method", "spin-table").set(
            "/cpus/cpu@1",
            "cpu-release-addr",
            wide(&[0xd8]),
        );
        assert_eq!(read(&tree), Err(FirmwareTablesError::SpinTable(1)));
        tree.unset("/cpus/cpu@1", "enable-method");
        assert_eq!(
            read(&tree).map(|hardware| hardware.cpus.len()),
            Ok(1),
            "nobody can start it"
        );
    }
}
