// SPDX-License-Identifier: Apache-2.0
//! QEMU's command line.

mod environment;

use crate::{Error, Uefi, console, layout, paths};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What runs on the machine: a kernel, with or without an Image header.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its initial ramdisk.
    pub initrd: Option<PathBuf>,
    /// Its command line.
    pub append: String,
}

/// A file that QEMU's `guest-loader` puts in memory and names in `/chosen`.
#[derive(Clone, Debug)]
pub enum Module {
    /// `compatible = "multiboot,kernel"`
    Kernel {
        /// Physical address.
        at: u64,
        /// The file.
        file: PathBuf,
        /// Its command line.
        bootargs: String,
    },
    /// `compatible = "multiboot,ramdisk"`
    Ramdisk {
        /// Physical address.
        at: u64,
        /// The file.
        file: PathBuf,
    },
}

/// A disk on the PCI bus, which sends its interrupts as messages (`virtio-blk-pci`).
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its content.
    pub file: PathBuf,
    /// What the guest finds it by.
    pub serial: &'static str,
    /// Whether the guest may write.
    pub writable: bool,
}

/// A `virt` machine of QEMU.
#[derive(Clone, Debug)]
pub struct Machine {
    /// QEMU (`QEMU=`).
    pub qemu: String,
    /// Number of vCPUs (`SMP=`).
    pub smp: u32,
    /// Memory in MiB (`MEM=`, which may end in M or G).
    pub mem: u64,
    /// The model of CPU (`CPU=`).
    pub cpu: String,
    /// The monitor's image; none: the guest runs on plain QEMU, at EL1 (`MONITOR=off`).
    pub monitor: Option<PathBuf>,
    /// The monitor's command line (`BATON=`).
    pub baton: String,
    /// Whether there is an ITS, as QEMU has it by itself (`ITS=off`: there is none). Without the
    /// monitor, Linux does not survive a kexec with one: LPIs stay enabled, and the redistributors
    /// go on writing to tables in memory that the next kernel uses otherwise.
    pub its: bool,
    /// The version of its interrupt controller, 2 or 3 (`GIC=`); the former serves 8 CPUs, and has
    /// no ITS.
    pub gic: u32,
    /// Whether an SMMUv3 stands before PCI, and DMA of disks and network goes through it. QEMU has to be 9.1 or newer for the
    /// SMMU to do what its register says that decides when it is off.
    pub smmu: bool,
    /// Firmware that starts the monitor, or the guest, from a disk (`BOOT=uefi`); none: QEMU does.
    pub uefi: Option<Uefi>,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Whether the CPUs have an EL2.
    pub el2: bool,
    /// Whether they have an EL3: firmware is then started there, and answers PSCI itself.
    pub el3: bool,
    /// Trusted Firmware-A as that firmware, which goes on at an address of memory; none: that of the tests.
    pub tfa: Option<PathBuf>,
    /// QEMU says on the console when a kernel is entered
    /// (as [`kexec::entered`](crate::kexec::entered) reads).
    pub watched: bool,
    /// The host finds all of the memory before the guest starts, and not as the guest first touches it: what is timed
    /// is the guest's alone then.
    pub preallocated: bool,
    /// A reset ends QEMU.
    pub end_on_reset: bool,
    /// QEMU says on standard error when the guest switches the machine off
    /// (as [`End::PoweredOff`](crate::End::PoweredOff) is told from [`End::Reset`](crate::End::Reset)).
    pub says_power_off: bool,
    /// More arguments of QEMU, the last on its command line (`QEMU_ARGS=`, separated by spaces).
    pub extra: Vec<String>,
}

impl Machine {
    /// The command that runs `guest`, under the monitor if there is one. Files of a run by firmware are
    /// written here.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there or cannot be written, [`Error::Memory`] if memory
    /// is too small.
    pub fn command(&self, guest: &Guest) -> Result<Command, Error> {
        if let Some(uefi) = &self.uefi {
            let arguments = uefi.arguments(self, guest)?;
            let mut command = self.qemu(self.el2);
            command.args(arguments).args(&self.extra);
            return Ok(command);
        }
        if self.monitor.is_some() {
            return self.command_with_modules(&self.modules(guest)?);
        }
        self.command_of_kernel(guest, false)
    }

    /// The command that starts the kernel of `guest` without the monitor, at EL2 or at EL1.
    ///
    /// # Errors
    /// [`Error::File`] if a file is not there.
    pub fn command_of_kernel(&self, guest: &Guest, el2: bool) -> Result<Command, Error> {
        let mut command = self.qemu(el2);
        command.arg("-kernel").arg(existing(&guest.kernel)?);
        if let Some(initrd) = &guest.initrd {
            command.arg("-initrd").arg(existing(initrd)?);
        }
        command.args(["-append", &guest.append]).args(&self.extra);
        Ok(command)
    }

    /// The modules that make up `guest`, at addresses that suit.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn modules(&self, guest: &Guest) -> Result<Vec<Module>, Error> {
        let kernel = existing(&guest.kernel)?;
        let initrd = guest.initrd.as_deref().map(existing).transpose()?;
        let initrd_size = initrd.map(|file| file.metadata().map_or(0, |data| data.len()));
        let (kernel_at, initrd_at) =
            layout::place(self.mem, layout::kernel_size(kernel)?, initrd_size)?;
        let mut modules = vec![Module::Kernel {
            at: kernel_at,
            file: kernel.to_owned(),
            bootargs: guest.append.clone(),
        }];
        if let (Some(at), Some(file)) = (initrd_at, initrd) {
            modules.push(Module::Ramdisk {
                at,
                file: file.to_owned(),
            });
        }
        Ok(modules)
    }

    /// The command that starts the monitor with `modules`, whatever they are.
    ///
    /// # Errors
    /// [`Error::File`] if the monitor's image is not there.
    pub fn command_with_modules(&self, modules: &[Module]) -> Result<Command, Error> {
        let mut command = self.qemu(self.el2);
        let monitor = self.monitor.clone().unwrap_or_else(paths::monitor);
        command
            .arg("-kernel")
            .arg(existing(&monitor)?)
            .args(["-append", &self.baton]);
        add_modules(&mut command, modules);
        command.args(&self.extra);
        Ok(command)
    }

    /// The command that starts `firmware`, a flash image, which looks on the disks for what to start.
    ///
    /// # Errors
    /// [`Error::File`] if it is not there.
    pub fn command_with_firmware(&self, firmware: &Path) -> Result<Command, Error> {
        let mut command = self.qemu(self.el2);
        command
            .arg("-bios")
            .arg(existing(firmware)?)
            .args(&self.extra);
        Ok(command)
    }

    /// The command by which firmware starts the system that is installed on a copy of `disk`, by the
    /// monitor if there is one.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there or cannot be written, [`Error::Program`] if the copy
    /// cannot be made.
    pub fn command_with_installed(&self, uefi: &Uefi, disk: Disk) -> Result<Command, Error> {
        let (file, arguments) = uefi.install(self, &disk.file)?;
        let mut machine = self.clone();
        machine.disks.push(Disk { file, ..disk });
        let mut command = machine.qemu(self.el2);
        command.args(arguments).args(&self.extra);
        Ok(command)
    }

    /// Adds a network whose one host answers DHCP, and gives out the files of `folder` by TFTP.
    pub fn serve(&mut self, folder: &Path) {
        let folder = escape(&folder.to_string_lossy());
        self.add_network(&format!("tftp={folder}"));
    }

    /// Adds a network with a host, 10.0.2.100, that sends back what comes to its TCP port 7.
    pub fn echo(&mut self) {
        self.add_network("guestfwd=tcp:10.0.2.100:7-cmd:cat");
    }

    /// Adds a network with QEMU's own hosts, which do this.
    fn add_network(&mut self, hosts: &str) {
        let by_smmu = self.by_smmu();
        self.extra.extend([
            "-netdev".into(),
            format!("user,id=net,restrict=on,{hosts}"),
            "-device".into(),
            format!("virtio-net-pci,netdev=net,{by_smmu},romfile="),
        ]);
    }

    /// How virtio devices' DMA goes.
    pub(crate) fn by_smmu(&self) -> &'static str {
        match self.smmu {
            true => "iommu_platform=on,disable-legacy=on",
            false => "iommu_platform=off",
        }
    }

    /// The command that makes QEMU write the device tree of this machine with `modules` to `file`.
    pub fn dump_tree(&self, modules: &[Module], file: &Path) -> Command {
        let mut command = self.qemu(self.el2);
        command.args([
            "-machine",
            &format!("dumpdtb={}", escape(&file.to_string_lossy())),
        ]);
        if self.el3 {
            // QEMU has other devices where firmware is in the flash.
            command.arg("-bios").arg(paths::firmware());
        }
        add_modules(&mut command, modules);
        command
    }

    /// Whether a kernel survives its predecessor's own kexec with an ITS: one that UEFI started reserves
    /// the tables in memory for all after it.
    pub fn keeps_its_alive(&self) -> bool {
        self.uefi.is_some()
    }

    /// The version of QEMU, as it says it.
    ///
    /// # Errors
    /// [`Error::Program`] if it does not start.
    pub fn qemu_version(&self) -> Result<String, Error> {
        let output = Command::new(&self.qemu)
            .arg("--version")
            .output()
            .map_err(|error| Error::Program {
                program: self.qemu.clone(),
                error,
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().next().unwrap_or_default();
        Ok(line.trim_start_matches("QEMU emulator version ").to_owned())
    }

    /// QEMU with the machine, and nothing that runs on it.
    pub fn qemu(&self, el2: bool) -> Command {
        let mut command = Command::new(&self.qemu);
        let its = match self.gic {
            3 if !self.its => ",its=off",
            _ => "",
        };
        let smmu = if self.smmu { ",iommu=smmuv3" } else { "" };
        let el2 = if el2 { ",virtualization=on" } else { "" };
        let el3 = if self.el3 { ",secure=on" } else { "" };
        command
            .args([
                "-machine",
                &format!("virt{el2}{el3},gic-version={}{its}{smmu}", self.gic),
            ])
            .args([
                "-cpu",
                &self.cpu,
                "-smp",
                &self.smp.to_string(),
                "-m",
                &format!("{}M", self.mem),
            ])
            // With a host thread for each vCPU, 80 of them choke on a few host CPUs.
            .args(["-accel", "tcg,thread=single"])
            .args(["-nographic", "-nic", "none"]);
        if self.end_on_reset {
            command.arg("-no-reboot");
        }
        if self.preallocated {
            command.arg("-mem-prealloc");
        }
        if self.says_power_off {
            command.args(["-trace", console::POWER_OFF]);
        }
        for Disk {
            file,
            serial,
            writable,
        } in &self.disks
        {
            let file = escape(&file.to_string_lossy());
            let by_smmu = self.by_smmu();
            let readonly = if *writable { "off" } else { "on" };
            command.args([
                "-drive",
                &format!("if=none,id={serial},format=raw,readonly={readonly},file={file}"),
                "-device",
                &format!("virtio-blk-pci,drive={serial},serial={serial},{by_smmu}"),
            ]);
        }
        if self.watched {
            // QEMU logs each block of instructions when it translates it, before it is first run;
            // here only those at the boundaries on which Linux's Image lies, and those at which
            // kexec is told to put it (`baton.apart=on`).
            let places: Vec<_> = (0..64)
                .map(|n| n * layout::ALIGN)
                .chain((1..16).map(|n| n * layout::APART))
                .map(|offset| format!("{:#x}+4", layout::RAM + offset))
                .collect();
            command.args(["-d", "in_asm", "-dfilter", &places.join(",")]);
        }
        command
    }
}

fn add_modules(command: &mut Command, modules: &[Module]) {
    for module in modules {
        let value = match module {
            Module::Kernel { at, file, bootargs } => {
                let file = escape(&file.to_string_lossy());
                let bootargs = match bootargs.as_str() {
                    "" => String::new(),
                    text => format!(",bootargs={}", escape(text)),
                };
                format!("guest-loader,addr={at:#x},kernel={file}{bootargs}")
            }
            Module::Ramdisk { at, file } => {
                format!(
                    "guest-loader,addr={at:#x},initrd={}",
                    escape(&file.to_string_lossy())
                )
            }
        };
        command.args(["-device", &value]);
    }
}

/// A comma in a value is written twice.
pub(crate) fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

fn existing(path: &Path) -> Result<&Path, Error> {
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) => Err(Error::File {
            path: path.to_owned(),
            error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_commas_in_bootargs() {
        let mut command = Command::new("qemu");
        let bootargs = "earlycon=pl011,0x9000000".to_owned();
        add_modules(
            &mut command,
            &[Module::Kernel {
                at: 0x4400_0000,
                file: "k".into(),
                bootargs,
            }],
        );
        let last = command.get_args().last().unwrap();
        assert_eq!(
            last,
            "guest-loader,addr=0x44000000,kernel=k,bootargs=earlycon=pl011,,0x9000000"
        );
    }
}
