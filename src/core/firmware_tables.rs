// SPDX-License-Identifier: Apache-2.0
//! Who describes the machine, but for its memory: a device tree, or ACPI.
#![forbid(unsafe_code)]

use crate::acpi::{self, AcpiError, Tables};
use crate::devicetree::blob;
use crate::devicetree::board;
use crate::devicetree::claimed;
use crate::devicetree::console::Console;
use crate::devicetree::cpus::{EnableMethod, Unusable};
use crate::devicetree::error::BoardError;
use crate::devicetree::guest_console::MonitorUart;
use crate::devicetree::uefi;
use crate::hardware::Hardware;
use crate::memory::region::{Region, RegionSet};
use alloc::vec::Vec;
use dtoolkit::fdt::Fdt;
use thiserror::Error;

/// Who describes the machine, as Linux takes it.
#[derive(Clone, Copy, Debug)]
pub enum FirmwareTables<'a> {
    /// A device tree that has more than `/chosen`: Linux prefers it (unless told `acpi=force`).
    Tree(Fdt<'a>),
    /// ACPI's tables.
    Acpi(Tables<'a>),
}

/// Why a machine is not known, or not served.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FirmwareTablesError {
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
    /// Returns `tree`, if Linux takes the machine from it.
    pub fn of_tree(tree: &'a [u8]) -> Option<Self> {
        let fdt = blob::open(tree).ok()?;
        (!uefi::is_stub(&fdt)).then_some(Self::Tree(fdt))
    }

    /// Reads the machine.
    ///
    /// # Errors
    ///
    /// The first thing that is missing or unusable.
    pub fn read<E: From<BoardError> + From<AcpiError>>(&self) -> Result<Hardware, E> {
        match self {
            Self::Tree(fdt) => Ok(board::hardware(*fdt)?),
            Self::Acpi(tables) => Ok(acpi::hardware(tables)?),
        }
    }

    /// Reads the machine for a kernel that is handed firmware's description as it is, without the CPUs that
    /// nobody can start but `boot_cpu`, by the affinity fields of its MPIDR; and returns those beside it, as
    /// [`Hardware::take_unusable`] does.
    ///
    /// # Errors
    ///
    /// [`FirmwareTablesError`] for the first thing that is missing or unusable.
    pub fn hardware(
        &self,
        boot_cpu: u64,
    ) -> Result<(Hardware, Vec<(u64, Unusable)>), FirmwareTablesError> {
        let mut hardware = self.read::<FirmwareTablesError>()?;
        let unusable = hardware.take_unusable(boot_cpu);
        let waits = |method: &EnableMethod| matches!(method, EnableMethod::SpinTable { .. });
        match hardware.cpus.iter().find(|cpu| waits(&cpu.enable_method)) {
            Some(cpu) => Err(FirmwareTablesError::SpinTable(cpu.mpidr)),
            None => Ok((hardware, unusable)),
        }
    }

    /// Reads the console alone, if one is described that can be used.
    pub fn console(&self) -> Option<Console> {
        match self {
            Self::Tree(fdt) => board::console(*fdt).ok(),
            Self::Acpi(tables) => acpi::console::find(tables).ok(),
        }
    }

    /// Returns what is given to devices, or to others than the kernel. ACPI's tables do not say where devices
    /// are: there it is everything but where they say that memory can be plugged in.
    pub fn claimed(&self) -> RegionSet {
        match self {
            Self::Tree(fdt) => claimed::read(*fdt),
            Self::Acpi(tables) => {
                let mut claimed: RegionSet = Region::new(0, u64::MAX).into_iter().collect();
                claimed.remove_all(&tables.hot_pluggable());
                claimed
            }
        }
    }

    /// Returns what of that is memory of another kind than RAM, in which code can run.
    pub fn in_place(&self) -> RegionSet {
        match self {
            Self::Tree(fdt) => claimed::in_place(*fdt),
            Self::Acpi(_) => RegionSet::new(),
        }
    }

    /// Returns the UART of `console`, which is one of this machine's.
    pub fn uart(&self, console: Console) -> MonitorUart {
        match self {
            Self::Tree(fdt) => MonitorUart::new(*fdt, console),
            Self::Acpi(_) => MonitorUart::of_firmware(console),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, wide};

    #[test]
    fn a_tree_is_one_that_has_more_than_chosen() {
        assert!(FirmwareTables::of_tree(&Sample::virt().blob()).is_some());
        let mut stub = Sample(dtoolkit::model::DeviceTree::new());
        stub.set("/chosen", "bootargs", "quiet");
        assert!(FirmwareTables::of_tree(&stub.blob()).is_none());
        assert!(FirmwareTables::of_tree(&[]).is_none());
    }

    #[test]
    fn by_acpi_all_is_claimed_but_where_memory_can_be_plugged_in() {
        let srat = acpi::sample::srat(&[(0x1_0000_0000, 0x8000_0000, 3)]);
        let mut tables = Tables {
            madt: &[],
            fadt: &[],
            spcr: None,
            dbg2: None,
            srat: Some(&srat),
            mcfg: None,
            iort: None,
            devices: Default::default(),
        };
        let claimed = FirmwareTables::Acpi(tables).claimed();
        assert!(claimed.contains(0, 0x1_0000_0000));
        assert!(claimed.contains(0x1_8000_0000, 0x1000));
        let pluggable = Region::new(0x1_0000_0000, 0x8000_0000).expect("a region");
        assert!(!claimed.overlaps(&pluggable));
        tables.srat = None;
        assert!(FirmwareTables::Acpi(tables).claimed().overlaps(&pluggable));
    }

    #[test]
    fn cpus_of_a_spin_table_are_not_served() {
        let mut tree = Sample::virt();
        let read = |tree: &Sample| {
            let blob = tree.blob();
            let tables = FirmwareTables::of_tree(&blob).expect("a tree");
            let read = tables.hardware(0);
            read.map(|(hardware, unusable)| (hardware.cpus.len(), unusable))
        };
        assert_eq!(read(&tree), Ok((2, Vec::new())));
        tree.set("/cpus/cpu@1", "enable-method", "spin-table").set(
            "/cpus/cpu@1",
            "cpu-release-addr",
            wide(&[0xd8]),
        );
        assert_eq!(read(&tree), Err(FirmwareTablesError::SpinTable(1)));
        tree.unset("/cpus/cpu@1", "enable-method");
        assert_eq!(
            read(&tree),
            Ok((1, [(1, Unusable::NoMethod)].into())),
            "nobody can start it"
        );
    }
}
