// SPDX-License-Identifier: Apache-2.0
//! Firmware as the guest: what starts the system that is installed on a disk.

use crate::machine::{Machine, Module, escape};
use crate::{Error, layout, paths};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The monitor's words for both: they look for the device tree where QEMU puts it for firmware in the
/// flash, at the start of RAM, whatever x0 says.
const TREE: &str = "tree=0x40000000";
/// Where EDK2 runs.
const FLASH: u64 = 0;
/// `mov x1, #0` (that is [`FLASH`]), `br x1`.
const ENTER_FLASH: [u32; 2] = [0xd280_0001, 0xd61f_0020];

/// A firmware of Debian's for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// U-Boot, which runs from RAM, wherever it was loaded.
    UBoot,
    /// That of Debian 13, whose virtio drivers take a device behind an SMMU.
    NewerUBoot,
    /// EDK2, which runs from the flash.
    Edk2,
}

impl Firmware {
    /// The firmware called `name`.
    ///
    /// # Errors
    /// [`Error::Variable`] if there is none.
    pub fn named(name: &str) -> Result<Self, Error> {
        match name {
            "u-boot" => Ok(Self::UBoot),
            "edk2" => Ok(Self::Edk2),
            other => Err(Error::Variable {
                name: "FIRMWARE",
                value: other.to_owned(),
                expected: "u-boot or edk2",
            }),
        }
    }
}

impl Machine {
    /// The command that starts the monitor with `firmware` as its guest, which looks on the disks for
    /// what to start. A file that this needs is written into the directory `scratch`.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there or cannot be written.
    pub fn command_with_guest_firmware(
        &self,
        firmware: Firmware,
        scratch: &Path,
    ) -> Result<Command, Error> {
        let mut machine = self.clone();
        machine.baton = format!("{TREE} {}", self.baton).trim_end().to_owned();
        let file = match firmware {
            Firmware::UBoot => paths::u_boot(),
            Firmware::NewerUBoot => paths::u_boot_of("trixie"),
            Firmware::Edk2 => {
                let edk2 = escape(&paths::edk2().to_string_lossy());
                // QEMU takes `-bios` and `-kernel` together as firmware that shall load the kernel.
                let device = format!("loader,file={edk2},addr={FLASH:#x},force-raw=on");
                machine.extra.splice(0..0, ["-device".into(), device]);
                let file = scratch.join("enter-flash");
                let code = ENTER_FLASH.map(u32::to_le_bytes);
                fs::write(&file, code.as_flattened()).map_err(|error| Error::File {
                    path: file.clone(),
                    error,
                })?;
                file
            }
        };
        machine.command_with_modules(&[Module::Kernel {
            at: layout::KERNEL,
            file,
            bootargs: String::new(),
        }])
    }
}
