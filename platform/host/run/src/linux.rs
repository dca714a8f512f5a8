// SPDX-License-Identifier: Apache-2.0
//! The Linux guest: what its initramfs is asked to do, and the lines in which it answers.
//!
//! The other side is `guest/init`.

use crate::machine::{Disk, Guest};
use crate::{Console, paths};
use std::path::PathBuf;

/// The serial of the disk that every generation writes a block of.
pub const SCRATCH: &str = "scratch";
/// The serial of the disk that has kernels.
pub const KERNELS: &str = "kernels";

impl Disk {
    /// The disk [`KERNELS`] of this content, which the guest may only read.
    pub fn kernels(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            serial: KERNELS,
            writable: false,
        }
    }
}

/// What the guest shall do (`baton.do=`).
#[derive(Clone, Debug)]
pub enum Task {
    /// Switch off.
    PowerOff,
    /// Reset the machine.
    Reset,
    /// Work of several kinds, each between two lines, then switch off.
    Loads,
    /// Have each CPU read so many blocks of the disk [`SCRATCH`] by the program that the disk [`KERNELS`] is, between
    /// two lines, then switch off.
    Reads {
        /// How many.
        each: u32,
    },
    /// A shell on the console.
    Shell,
    /// kexec so many times, then switch off.
    Kexec {
        /// How many times.
        times: u32,
        /// Whether the purgatory checks the next kernel (without `kexec -i`).
        checks: bool,
    },
    /// kexec the first kernel on the disk [`KERNELS`] so many times, each time to where no kernel has been, then switch
    /// off: to compare one kexec with the next.
    Again {
        /// How many times.
        times: u32,
        /// Whether the purgatory checks the next kernel (without `kexec -i`).
        checks: bool,
    },
    /// Use memory of virtio-mem for what the kernel needs, kexec once without checks, do the same in
    /// the next kernel, and switch off.
    Memory {
        /// How much memory there is, in MiB.
        mib: u32,
    },
    /// kexec so many times, and write and read the disk [`SCRATCH`] in every generation, with
    /// interrupts by messages; then switch off.
    Disk {
        /// How many times.
        times: u32,
    },
    /// kexec the kernels on the disk [`KERNELS`] that these letters name, one after the other, with
    /// the disk [`SCRATCH`] as for [`Task::Disk`]; then switch off.
    Walk {
        /// The way, as [`walk`](crate::walk) has it.
        letters: String,
    },
    /// kexec the probe that the disk [`KERNELS`] is, to audit what Linux has left.
    Audit,
    /// At EL2: kexec the image of monitor and kernel on the disk [`KERNELS`], with the same command line.
    /// At EL1: kexec once, then switch off.
    Try,
    /// kexec with the device tree that the disk [`KERNELS`] is, then once more; then switch off.
    Tree,
    /// Load a crash kernel and panic, and have the crash kernel do the same, so many times; the last crash kernel
    /// kexecs once, then switches off.
    Crash {
        /// How many times.
        times: u32,
    },
    /// Take each CPU but the first off and on again.
    Hotplug {
        /// How many times.
        rounds: u32,
    },
}

impl Task {
    /// One kexec of the guest's own kernel, which needs no disk, or several alike.
    pub fn kexecs(times: u32, checks: bool) -> Self {
        match times {
            1 => Task::Kexec { times, checks },
            _ => Task::Again { times, checks },
        }
    }

    /// The command line that asks for this; `append` is added.
    pub fn command_line(&self, append: &str) -> String {
        let task = match self {
            Task::PowerOff => "poweroff".into(),
            Task::Reset => "reset".into(),
            Task::Loads => "loads".into(),
            Task::Reads { each } => format!("reads baton.reads={each}"),
            Task::Shell => "shell".into(),
            Task::Kexec { times, checks } => {
                format!(
                    "kexec baton.kexecs={times} baton.checks={}",
                    if *checks { "on" } else { "off" }
                )
            }
            Task::Again { times, checks } => format!(
                "walk baton.walk={} baton.apart=on baton.checks={}",
                "a".repeat(*times as usize),
                if *checks { "on" } else { "off" }
            ),
            Task::Memory { mib } => format!(
                "kexec baton.checks=off baton.memory={mib} memhp_default_state=online_kernel"
            ),
            Task::Disk { times } => format!("kexec baton.kexecs={times} baton.disk=on"),
            Task::Walk { letters } => format!("walk baton.walk={letters} baton.disk=on"),
            Task::Audit => "audit".into(),
            Task::Try => "try".into(),
            Task::Tree => "tree".into(),
            // Each crash kernel has 500 MiB for itself, and the last one 100 more.
            Task::Crash { times } => {
                format!(
                    "crash baton.crashes={times} crashkernel={}M",
                    100 + 500 * times
                )
            }
            Task::Hotplug { rounds } => format!("hotplug baton.rounds={rounds}"),
        };
        let line = format!("console=ttyAMA0 earlycon panic=-1 baton.do={task} {append}");
        line.trim_end().to_owned()
    }

    /// Debian's kernel with the initramfs, and the command line that asks for this; `append` is added.
    pub fn guest(&self, append: &str) -> Guest {
        Guest {
            kernel: paths::linux(),
            initrd: Some(paths::initramfs()),
            append: self.command_line(append),
        }
    }
}

/// A kernel's own word on itself, once it is in user space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// How many kernels ran before it.
    pub number: u32,
    /// `uname -r`
    pub release: String,
    /// CPUs that it has online.
    pub online: u32,
    /// CPUs that its device tree has.
    pub cpus: u32,
}

impl Generation {
    /// Reads `guest: generation N, Linux RELEASE, CPUs online: X of Y`.
    fn parse(line: &str) -> Option<Self> {
        let (number, rest) = line
            .split_once("guest: generation ")?
            .1
            .split_once(", Linux ")?;
        let (release, rest) = rest.split_once(", CPUs online: ")?;
        let (online, cpus) = rest.split_once(" of ")?;
        Some(Self {
            number: number.parse().ok()?,
            release: release.to_owned(),
            online: online.parse().ok()?,
            cpus: cpus.trim().parse().ok()?,
        })
    }
}

/// What a line says of a kernel that came to user space.
pub fn generation(line: &str) -> Option<Generation> {
    Generation::parse(line)
}

/// All kernels that came to user space, in order.
pub fn generations(console: &Console) -> Vec<Generation> {
    console
        .lines
        .iter()
        .filter_map(|line| Generation::parse(&line.text))
        .collect()
}

/// Checks that the generations 0 to `last` came to user space, each with `smp` CPUs online, and that
/// the machine was switched off by the guest.
///
/// # Errors
/// What was expected, and what was seen.
pub fn check(console: &Console, last: u32, smp: u32) -> Result<(), String> {
    if let Some(line) = console.find("guest: FAIL") {
        return Err(format!("the guest says: {}", line.text));
    }
    if let Some(line) = console.find("baton: error: ") {
        return Err(format!("the monitor says: {}", line.text));
    }
    let seen = generations(console);
    for number in 0..=last {
        let Some(generation) = seen.iter().find(|generation| generation.number == number) else {
            return Err(format!(
                "expected generation {number} to come to user space; seen {} (numbers: {:?}); {}",
                seen.len(),
                seen.iter()
                    .map(|generation| generation.number)
                    .collect::<Vec<_>>(),
                console.end
            ));
        };
        if (generation.online, generation.cpus) != (smp, smp) {
            return Err(format!(
                "expected {smp} of {smp} CPUs online in generation {number}; seen {} of {}",
                generation.online, generation.cpus
            ));
        }
    }
    if !console.end.is_clean() {
        return Err(format!(
            "expected the guest to switch the machine off; {}",
            console.end
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_guests_line() {
        let expected = Generation {
            number: 1,
            release: "6.1.0-56-arm64".into(),
            online: 79,
            cpus: 80,
        };
        let line =
            "[    2.500000] guest: generation 1, Linux 6.1.0-56-arm64, CPUs online: 79 of 80";
        assert_eq!(Generation::parse(line), Some(expected));
        assert_eq!(Generation::parse("guest: kexec -e"), None);
    }
}
