// SPDX-License-Identifier: Apache-2.0
//! What is measured: the columns of the tables.

use baton_qemu::{Disk, Guest, Machine, Task, Uefi, paths};
use std::path::Path;

/// Pages of the list of a kexec of Debian's kernel, and of one of 1.1 GB.
pub const LIST: u32 = 8700;
/// See [`LIST`].
pub const LONG_LIST: u32 = 280_000;
/// Pages that the probe has in its list at least: its image, its tree and a MiB.
const PROBE: u32 = 467;

/// One way to get from a kernel to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Linux on plain QEMU, as Debian ships it.
    Stock,
    /// The same, `kexec -l -i`.
    StockUnchecked,
    /// Linux under the monitor, which leaves it alone; `kexec -l -i`.
    HooksOff,
    /// The monitor's takeover, every step CPU by CPU.
    Serial,
    /// The monitor's takeover.
    Baton,
    /// As [`Column::StockUnchecked`], on a machine with an ITS.
    StockIts,
    /// Linux at EL2 of a machine with ACPI and an ITS, as UEFI starts it.
    StockUefi,
    /// The same, `kexec -l -i`.
    StockUefiUnchecked,
    /// The monitor's takeover on that machine, which UEFI starts by the monitor.
    BatonUefi,
    /// The monitor's takeover of Linux on a machine with a device tree and an ITS, by the count of
    /// instructions.
    TreeCount,
    /// The same on a machine with ACPI, started by UEFI.
    UefiCount,
    /// A panic of Linux, by the count of instructions.
    CrashCount,
    /// The probe guest under the monitor, by the host's clock.
    Probe,
    /// The probe guest under the monitor, by the count of instructions.
    ProbeCount,
    /// The same with a list as long as that of a kexec of Debian's kernel.
    List,
    /// The same with a list of a gigabyte.
    LongList,
    /// A kexec that is refused, by the count of instructions.
    Refusal,
    /// The start of the monitor and of its guest, by the count of instructions.
    Start,
    /// The start by UEFI: firmware's call to the kernel's return from ExitBootServices.
    StartUefi,
    /// The start by kexec from Linux at EL2, on a machine with a device tree.
    StartDoor,
    /// The same on a machine with ACPI.
    StartDoorUefi,
}

impl Column {
    /// The columns of the Linux table.
    pub const LINUX: [Self; 5] = [
        Self::Stock,
        Self::StockUnchecked,
        Self::HooksOff,
        Self::Serial,
        Self::Baton,
    ];
    /// The columns of the table of UEFI with ACPI.
    pub const UEFI: [Self; 3] = [Self::StockUefi, Self::StockUefiUnchecked, Self::BatonUefi];
    /// What starts the monitor, and its guest.
    pub const STARTS: [Self; 4] = [
        Self::Start,
        Self::StartUefi,
        Self::StartDoor,
        Self::StartDoorUefi,
    ];

    /// What it is called in the raw samples.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::StockUnchecked => "stock-i",
            Self::HooksOff => "hooks-off",
            Self::Serial => "serial",
            Self::Baton => "baton",
            Self::StockIts => "stock-its",
            Self::StockUefi => "stock-uefi",
            Self::StockUefiUnchecked => "stock-uefi-i",
            Self::BatonUefi => "baton-uefi",
            Self::TreeCount => "tree-count",
            Self::UefiCount => "uefi-count",
            Self::CrashCount => "crash-count",
            Self::Probe => "probe",
            Self::ProbeCount => "probe-count",
            Self::List => "list-count",
            Self::LongList => "long-list-count",
            Self::Refusal => "refusal-count",
            Self::Start => "start",
            Self::StartUefi => "start-uefi",
            Self::StartDoor => "start-door",
            Self::StartDoorUefi => "start-door-uefi",
        }
    }

    /// What a reader is told that it is.
    pub fn title(self) -> &'static str {
        match self {
            Self::Stock => "stock, `kexec -l`",
            Self::StockUnchecked => "stock, `kexec -l -i`",
            Self::HooksOff => "under Baton, `hooks=off`, `kexec -l -i`",
            Self::Serial => "Baton, `teardown=serial`",
            Self::Baton => "Baton",
            Self::StockIts => "stock with an ITS, `kexec -l -i`",
            Self::StockUefi => "stock at EL2, `kexec -l`",
            Self::StockUefiUnchecked => "stock at EL2, `kexec -l -i`",
            Self::BatonUefi => "Baton, started by UEFI",
            Self::TreeCount => "device tree",
            Self::UefiCount => "UEFI with ACPI",
            Self::CrashCount => "a panic, instructions",
            Self::Probe => "probe guest",
            Self::ProbeCount => "probe guest, instructions",
            Self::List => "probe guest with a list of 8,700 pages, instructions",
            Self::LongList => "probe guest with a list of 280,000 pages, instructions",
            Self::Refusal => "a refused kexec, instructions",
            Self::Start => "the monitor's entry to the guest's, as a kernel with modules",
            Self::StartUefi => {
                "by UEFI: its entry to the next loader, and ExitBootServices until the kernel is at EL1"
            }
            Self::StartDoor => "by kexec, device tree: its entry to the guest's",
            Self::StartDoorUefi => "by kexec, ACPI: its entry to the guest's",
        }
    }

    /// Whether the monitor carries the kexec, and reports it.
    pub fn is_carried(self) -> bool {
        !matches!(
            self,
            Self::Stock
                | Self::StockUnchecked
                | Self::HooksOff
                | Self::StockIts
                | Self::StockUefi
                | Self::StockUefiUnchecked
        )
    }

    /// Whether it is about the start alone.
    pub fn is_start(self) -> bool {
        Self::STARTS.contains(&self)
    }

    /// Whether the monitor is started by kexec from Linux at EL2.
    pub fn is_door(self) -> bool {
        matches!(self, Self::StartDoor | Self::StartDoorUefi)
    }

    /// Whether the guest is Linux that kexecs.
    pub fn is_linux(self) -> bool {
        !self.is_probe() && !self.is_start()
    }

    /// Whether the guest is the probe.
    fn is_probe(self) -> bool {
        matches!(
            self,
            Self::Probe | Self::ProbeCount | Self::List | Self::LongList | Self::Refusal
        )
    }

    /// Whether time is a count of instructions.
    pub fn is_counted(self) -> bool {
        let is_linux = matches!(self, Self::TreeCount | Self::UefiCount | Self::CrashCount);
        is_linux || self.is_start() || self.is_probe() && self != Self::Probe
    }

    /// Whether firmware starts it.
    pub fn is_uefi(self) -> bool {
        Self::UEFI.contains(&self)
            || matches!(
                self,
                Self::UefiCount | Self::StartUefi | Self::StartDoorUefi
            )
    }

    /// Whether the next kernel is not checked before it is entered (`kexec -i`).
    fn is_unchecked(self) -> bool {
        matches!(
            self,
            Self::StockUnchecked | Self::HooksOff | Self::StockIts | Self::StockUefiUnchecked
        )
    }

    /// The machine for it, from what the environment asks for.
    pub fn machine(self, base: &Machine, smp: u32, disk: Option<&Path>) -> Machine {
        let mut machine = Machine {
            smp,
            monitor: Some(paths::monitor()),
            baton: "report=rows".into(),
            its: self.is_uefi()
                || matches!(self, Self::StockIts | Self::TreeCount | Self::CrashCount),
            uefi: self
                .is_uefi()
                .then(|| Uefi::new(paths::target().join("bench/uefi"))),
            watched: self.is_linux(),
            preallocated: true,
            ..base.clone()
        };
        match self {
            Self::HooksOff => machine.baton = "hooks=off".into(),
            Self::Serial => machine.baton += " teardown=serial",
            _ if !self.is_carried() => machine.monitor = None,
            _ => {}
        }
        if self.is_counted() {
            machine.extra.extend(instruction_clock());
        }
        if let Some(disk) = disk.filter(|_| self.is_linux()) {
            machine.disks.push(Disk::kernels(disk.to_owned()));
        }
        machine
    }

    /// The guest that kexecs `samples` times.
    pub fn guest(self, samples: u32) -> Guest {
        let probe = |test: &str| Guest {
            kernel: paths::probe(),
            initrd: None,
            append: format!("{test} state=wfi"),
        };
        // Generation 0 leaves CPUs out; from the second reboot on all take part.
        let kexec = |pages| probe(&format!("test=kexec {pages} generations={}", samples + 1));
        match self {
            Self::Probe | Self::ProbeCount => kexec("move=16"),
            Self::List => kexec(&format!("move=1 list={}", LIST - PROBE)),
            Self::LongList => kexec(&format!("move=1 list={}", LONG_LIST - PROBE)),
            Self::CrashCount => Task::Crash { times: 1 }.guest(""),
            Self::Refusal => probe(&format!("test=refusal list={LIST} calls={samples}")),
            _ if self.is_door() => Task::Try.guest(""),
            _ if self.is_start() => Task::PowerOff.guest(""),
            // The same kernel and initrd for every kexec: they lie on the disk.
            _ => Task::Again {
                times: samples,
                checks: !self.is_unchecked(),
            }
            .guest(""),
        }
    }

    /// How many samples one machine gives. A panic is one, with the hash of its crash kernel by `kexec -p`. The third
    /// reboot of the probe would overwrite code of the first, which QEMU has translated, and takes long to forget.
    /// After a refusal the probe's CPUs wait no more, as they do not take the SGI that they were kicked by: the one
    /// thread of QEMU goes on with them, and counts what they execute for the boot CPU's own.
    pub fn in_a_row(self, samples: u32) -> u32 {
        let is_one = matches!(self, Self::Probe | Self::CrashCount | Self::Refusal);
        if is_one { 1 } else { samples }
    }

    /// Seconds that `samples` more samples may take, before anything was measured.
    pub fn guess(self, smp: u32, samples: u32) -> f64 {
        let (smp, samples) = (f64::from(smp), f64::from(samples));
        let firmware = if self.is_uefi() { 10.0 } else { 0.0 };
        let boots = firmware + (samples + 1.0) * (6.0 + 0.45 * smp);
        let offline = samples * 0.07 * smp;
        match self {
            Self::Stock | Self::StockUefi => boots + offline + samples * 14.0,
            Self::StockUnchecked | Self::HooksOff | Self::StockIts | Self::StockUefiUnchecked => {
                boots + offline
            }
            Self::Serial | Self::Baton | Self::BatonUefi => boots,
            Self::TreeCount | Self::UefiCount => 2.0 * boots,
            Self::CrashCount => 3.0 * boots,
            Self::Probe => samples * (1.0 + 0.02 * smp),
            Self::ProbeCount | Self::List | Self::Refusal => {
                1.0 + (samples + 1.0) * (0.2 + 0.025 * smp)
            }
            Self::LongList => 1.0 + (samples + 1.0) * (12.0 + 0.025 * smp),
            Self::Start | Self::StartUefi => samples * (1.5 + firmware + 0.01 * smp),
            Self::StartDoor | Self::StartDoorUefi => samples * (60.0 + firmware + 1.5 * smp),
        }
    }
}

/// QEMU's arguments that make time a count of instructions, 1 ns each.
pub fn instruction_clock() -> [String; 2] {
    ["-icount".into(), "shift=0,sleep=off".into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kexec_of_a_chain_is_alike() {
        let guest = Column::StockUnchecked.guest(3);
        for expected in ["baton.do=walk ", "baton.walk=aaa ", "baton.checks=off"] {
            let seen = format!("{} ", guest.append);
            assert!(seen.contains(expected), "expected {expected:?} in {seen:?}");
        }
    }

    #[test]
    fn columns_to_compare_are_of_machines_that_differ_in_one_thing() {
        let base = Machine::from_env(8).expect("a machine");
        let machine = |column: Column| column.machine(&base, 8, None);
        let (tree, uefi) = (machine(Column::TreeCount), machine(Column::UefiCount));
        assert_eq!((tree.its, &tree.extra), (uefi.its, &uefi.extra));
        assert!(tree.uefi.is_none() && uefi.uefi.is_some());
        let (stock, baton) = (
            machine(Column::StockUefiUnchecked),
            machine(Column::BatonUefi),
        );
        assert_eq!((stock.its, &stock.extra), (baton.its, &baton.extra));
        assert!(stock.monitor.is_none() && baton.monitor.is_some());
    }
}
