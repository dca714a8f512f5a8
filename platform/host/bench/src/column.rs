// SPDX-License-Identifier: Apache-2.0
//! What is measured: the columns of the tables.

use baton_qemu::{Guest, Machine, Task, paths};
use std::path::Path;

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
    /// The probe guest under the monitor, by the host's clock.
    Probe,
    /// The probe guest under the monitor, by the count of instructions.
    ProbeCount,
    /// The start of the monitor and of its guest, by the count of instructions.
    Start,
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

    /// What it is called in the raw samples.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::StockUnchecked => "stock-i",
            Self::HooksOff => "hooks-off",
            Self::Serial => "serial",
            Self::Baton => "baton",
            Self::StockIts => "stock-its",
            Self::Probe => "probe",
            Self::ProbeCount => "probe-count",
            Self::Start => "start",
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
            Self::Probe => "probe guest",
            Self::ProbeCount => "probe guest, instructions",
            Self::Start => "start, instructions",
        }
    }

    /// Whether the monitor carries the kexec, and reports it.
    pub fn is_carried(self) -> bool {
        !matches!(
            self,
            Self::Stock | Self::StockUnchecked | Self::HooksOff | Self::StockIts
        )
    }

    /// Whether the guest is Linux that kexecs.
    pub fn is_linux(self) -> bool {
        !matches!(self, Self::Probe | Self::ProbeCount | Self::Start)
    }

    /// The machine for it, from what the environment asks for.
    pub fn machine(self, base: &Machine, smp: u32, disk: Option<&Path>) -> Machine {
        let mut machine = Machine {
            smp,
            monitor: Some(paths::monitor()),
            baton: "report=rows".into(),
            its: self == Self::StockIts,
            watched: self.is_linux(),
            ..base.clone()
        };
        match self {
            Self::Stock | Self::StockUnchecked | Self::StockIts => machine.monitor = None,
            Self::HooksOff => machine.baton = "hooks=off".into(),
            Self::Serial => machine.baton += " teardown=serial",
            Self::Baton | Self::Probe => {}
            Self::ProbeCount | Self::Start => machine.extra.extend(instruction_clock()),
        }
        // The host finds memory when it is first touched: that is not the guest's time.
        machine.extra.push("-mem-prealloc".into());
        if let Some(disk) = disk.filter(|_| self.is_linux()) {
            let file = disk.display().to_string().replace(',', ",,");
            let drive = format!("file={file},if=none,id=kernels,format=raw,read-only=on");
            machine.extra.extend(["-drive".into(), drive]);
            let device = "virtio-blk-pci,drive=kernels,serial=kernels";
            machine.extra.extend(["-device".into(), device.into()]);
        }
        machine
    }

    /// The guest that kexecs `samples` times.
    pub fn guest(self, samples: u32) -> Guest {
        match self {
            Self::Probe | Self::ProbeCount => Guest {
                kernel: paths::probe(),
                initrd: None,
                // Generation 0 leaves CPUs out; from the second reboot on all take part.
                append: format!("test=kexec state=wfi move=16 generations={}", samples + 1),
            },
            Self::Start => Task::PowerOff.guest(""),
            _ => {
                let checks =
                    if matches!(self, Self::StockUnchecked | Self::HooksOff | Self::StockIts) {
                        "off"
                    } else {
                        "on"
                    };
                // The same kernel and initrd for every kexec: they lie on the disk.
                let mut guest = Task::PowerOff.guest("");
                let walk = "a".repeat(samples as usize);
                guest.append = guest.append.replace(
                    "baton.do=poweroff",
                    &format!(
                        "baton.do=walk baton.walk={walk} baton.apart=on baton.checks={checks}"
                    ),
                );
                guest
            }
        }
    }

    /// How many samples one machine gives. The third reboot of the probe would overwrite code of the
    /// first, which QEMU has translated, and takes long to forget.
    pub fn in_a_row(self, samples: u32) -> u32 {
        if self == Self::Probe { 1 } else { samples }
    }

    /// Seconds that `samples` more samples may take, before anything was measured.
    pub fn guess(self, smp: u32, samples: u32) -> f64 {
        let (smp, samples) = (f64::from(smp), f64::from(samples));
        let boots = (samples + 1.0) * (6.0 + 0.45 * smp);
        let offline = samples * 0.07 * smp;
        match self {
            Self::Stock => boots + offline + samples * 14.0,
            Self::StockUnchecked | Self::HooksOff | Self::StockIts => boots + offline,
            Self::Serial | Self::Baton => boots,
            Self::Probe => samples * (1.0 + 0.02 * smp),
            Self::ProbeCount => 1.0 + (samples + 1.0) * (0.2 + 0.025 * smp),
            Self::Start => samples * (1.5 + 0.01 * smp),
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
}
