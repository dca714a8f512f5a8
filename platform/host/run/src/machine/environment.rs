// SPDX-License-Identifier: Apache-2.0
//! The machine that `make`'s variables ask for.

use super::Machine;
use crate::environment::variable;
use crate::{Error, Uefi, paths};

impl Machine {
    /// The machine that the environment asks for, with `smp` vCPUs unless it says otherwise.
    ///
    /// # Errors
    /// [`Error::Variable`] for a value that cannot be used.
    pub fn from_env(smp: u32) -> Result<Self, Error> {
        let smp = match variable("SMP") {
            None => smp,
            Some(value) => match value.parse() {
                Ok(smp @ 1..=512) => smp,
                _ => {
                    return Err(Error::Variable {
                        name: "SMP",
                        value,
                        expected: "1 to 512",
                    });
                }
            },
        };
        let mem = match variable("MEM") {
            None => 2048,
            Some(value) => match mebibytes(&value) {
                Some(mem) => mem,
                None => {
                    return Err(Error::Variable {
                        name: "MEM",
                        value,
                        expected: "such as 512M or 2G",
                    });
                }
            },
        };
        let gic = match variable("GIC").as_deref() {
            None | Some("3") => 3,
            Some("2") => 2,
            Some(value) => {
                return Err(Error::Variable {
                    name: "GIC",
                    value: value.to_owned(),
                    expected: "2 or 3",
                });
            }
        };
        Ok(Self {
            qemu: variable("QEMU").unwrap_or("qemu-system-aarch64".into()),
            smp,
            mem,
            cpu: variable("CPU").unwrap_or("cortex-a57".into()),
            monitor: switch("MONITOR", true)?.then(paths::monitor),
            baton: variable("BATON").unwrap_or_default(),
            its: switch("ITS", true)? && gic == 3,
            gic,
            smmu: false,
            uefi: uefi()?,
            disks: Vec::new(),
            el2: true,
            el3: false,
            tfa: None,
            watched: false,
            preallocated: false,
            end_on_reset: true,
            says_power_off: true,
            extra: variable("QEMU_ARGS")
                .map(|value| value.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
        })
    }
}

/// Firmware, if `BOOT=` asks for it.
fn uefi() -> Result<Option<Uefi>, Error> {
    match variable("BOOT").as_deref() {
        None | Some("kernel") => Ok(None),
        Some("uefi") => Uefi::from_env().map(Some),
        Some(value) => Err(Error::Variable {
            name: "BOOT",
            value: value.to_owned(),
            expected: "kernel or uefi",
        }),
    }
}

/// A variable that is on or off.
fn switch(name: &'static str, default: bool) -> Result<bool, Error> {
    match variable(name).as_deref() {
        None => Ok(default),
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(value) => Err(Error::Variable {
            name,
            value: value.to_owned(),
            expected: "on or off",
        }),
    }
}

/// A size with the suffix M or G, or none for MiB.
fn mebibytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.strip_suffix(['G', 'g']) {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix(['M', 'm']).unwrap_or(text), 1),
    };
    let size = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    (64..=1 << 24).contains(&size).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        assert_eq!(mebibytes("2G"), Some(2048));
        assert_eq!(mebibytes("512M"), Some(512));
        assert_eq!(mebibytes("512"), Some(512));
        assert_eq!(mebibytes("12"), None);
        assert_eq!(mebibytes("2T"), None);
    }
}
