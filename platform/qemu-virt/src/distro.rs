//! `make distro`: firmware as the guest, which starts an installed Debian by its own GRUB; then
//! `systemctl kexec` in it.

use crate::{limits, text, variable};
use baton_qemu::console;
use baton_qemu::{Machine, Module, kexec, layout, linux, paths, report};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

/// Where QEMU's firmwares look for the device tree, whatever x0 says.
const TREE: &str = "tree=0x40000000";
/// Enters the flash, at 0, from where EDK2 runs: `mov x1, #0`, `br x1`.
const ENTER_FLASH: [u32; 2] = [0xd280_0001, 0xd61f_0020];

/// Starts the disk in `file` by the firmware that `FIRMWARE=` names: `u-boot` or `edk2`.
pub fn distro(file: &Path) -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    machine.baton = format!("{TREE} {}", machine.baton);
    // What the system writes to its disk is gone afterwards.
    let mut more = vec!["-snapshot".to_owned()];
    let firmware = variable("FIRMWARE").unwrap_or("u-boot".into());
    let kernel = match firmware.as_str() {
        "u-boot" => paths::u_boot(),
        "edk2" => {
            more.extend(["-device".into(), flash(&paths::edk2())]);
            enter_flash()?
        }
        _ => return Err(format!("FIRMWARE={firmware}: expected u-boot or edk2")),
    };
    let disk = file.to_string_lossy().replace(',', ",,");
    more.extend(
        ["-drive", &format!("if=none,id=disk,format=raw,file={disk}")]
            .into_iter()
            .chain(["-device", "virtio-blk-pci,drive=disk"])
            .map(str::to_owned),
    );
    machine.extra.splice(0..0, more);
    println!(
        "  {firmware} as the guest on {} vCPUs, and the Debian in {}",
        machine.smp,
        file.display()
    );
    let module = Module::Kernel {
        at: layout::KERNEL,
        file: kernel,
        bootargs: String::new(),
    };
    let command = machine.command_with_modules(&[module]).map_err(text)?;
    let console = console::watch(command, limits(900)?, |line| {
        let shown = [
            "baton: ",
            "guest: ",
            "U-Boot 20",
            "UEFI firmware",
            "GNU GRUB",
            "Booting `",
        ]
        .iter()
        .chain(&[
            "Linux version",
            "Welcome to",
            "Reached target",
            "Kernel panic",
        ])
        .chain(&[kexec::STARTING, kexec::BYE])
        .any(|pattern| line.text.contains(pattern));
        !shown || writeln!(stdout(), "  {:7.2} s  {}", line.at.as_secs_f64(), line.text).is_ok()
    })
    .map_err(text)?;
    linux::check(&console, 1, machine.smp)
        .and_then(|()| match report::takeovers(&console).len() {
            1 => Ok(()),
            other => Err(format!(
                "expected one kexec under the monitor, seen {other}"
            )),
        })
        .map_err(|reason| format!("{reason}\n{}", console.tail(60)))?;
    println!("The second kernel has {0} of {0} CPUs online.", machine.smp);
    Ok(())
}

/// The device that puts `file` into the flash.
fn flash(file: &Path) -> String {
    let file = file.to_string_lossy().replace(',', ",,");
    format!("loader,file={file},addr=0,force-raw=on")
}

/// A guest kernel that does nothing but enter the flash.
fn enter_flash() -> Result<PathBuf, String> {
    let path = paths::target().join("guest/enter-flash.bin");
    let bytes: Vec<u8> = ENTER_FLASH
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
