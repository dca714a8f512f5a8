// SPDX-License-Identifier: Apache-2.0
//! Starts guests under Baton on QEMU's `virt` machine. `make help` says how it is called.

mod attempt;
mod built;
mod card;
mod crash;
mod debug;
mod distro;
mod efi;
mod its;
mod kernels;
mod run;
mod shell;
mod soak;

use baton_qemu::console::{self, Limits};
use baton_qemu::environment::{value, variable};
use baton_qemu::{Error, Guest, Machine, paths, stock};
use std::env;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: baton-qemu run|try|shell|debug|guest|stock|its|crash|kernels|kernels-built FOLDER|audit|soak|card FILE|distro WAY FILE|installed FIRMWARE FILE|efi FOLDER

  run      boot Debian's kernel under the monitor, kexec it GENERATIONS= times (1), check and report,
           beside the stock kernel's kexec
  try      boot Debian's kernel at EL2 without the monitor, kexec the monitor with it,
           kexec once below it, check and report
  shell    a shell in the guest, on this terminal
  debug    the same as run, under a gdb stub on GDB_PORT= (1234), where it waits for gdb
  guest    run KERNEL= [INITRD=] [APPEND=], its console on standard output
  stock    measure the same kexec without the monitor
  its      kexec with an ITS, without and with the monitor, GENERATIONS= times (10)
  crash    Debian's kernel panics while HUNG= CPUs (half of them) hang, with and without the monitor:
           the registers in the dump, the CPUs of the crash kernel, the times
  kernels  kexec from each kernel on the disk BATON_KERNEL_DISK= to each
  kernels-built  a kexec of each kernel that kernels-built.sh built and names in FOLDER
  audit    what the next kernel finds of the one before it, register by register
  soak     N= kexecs (1000) in a row, from under CPUs in states chosen by chance; goes on where it was
           stopped, or CHUNK= seconds were over
  card     U-Boot starts the monitor from FILE, Linux boots and kexecs; FIRMWARE= is another
           firmware than Debian's U-Boot, EL3=on if it has a part at EL3
  distro   the Debian on the disk FILE, which kexecs; WAY is uefi (firmware starts the monitor first), or
           the firmware that the monitor has as its guest: edk2, u-boot
  installed  the same with any disk, its console on this terminal
  efi      baton.efi and baton-driver.efi in FOLDER, to be put on an EFI system partition

SMP= MEM= CPU= QEMU= QEMU_ARGS= BOOT=kernel|uefi MONITOR=on|off ITS=on|off GIC=2|3 BATON= TIMEOUT= are read from the environment.";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run"] => run::run(),
        ["try"] => attempt::attempt(),
        ["shell"] => shell::shell(),
        ["debug"] => debug::debug(),
        ["guest"] => guest(),
        ["stock"] => measure(),
        ["its"] => its::its(),
        ["crash"] => crash::crash(),
        ["kernels"] => kernels::kernels(),
        ["kernels-built", folder] => built::built(folder.as_ref()),
        ["audit"] => audit(),
        ["soak"] => soak::soak(),
        ["card", file] => card::card(file.as_ref()),
        ["efi", folder] => efi::efi(folder.as_ref()),
        ["distro", way, file] => distro::distro(way, file.as_ref()),
        ["installed", firmware, file] => distro::installed(firmware, file.as_ref()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    baton_qemu::exit_code(result)
}

/// How long QEMU may run: `TIMEOUT=` in seconds, else `default`.
fn limits(default: u64) -> Result<Limits, String> {
    let total = value("TIMEOUT", default, "seconds").map_err(text)?;
    Ok(Limits {
        total: Duration::from_secs(total),
        silence: Duration::from_secs(total.min(180)),
    })
}

/// Any guest, its console line by line on standard output.
fn guest() -> Result<(), String> {
    let machine = Machine::from_env(4).map_err(text)?;
    let guest = Guest {
        kernel: variable("KERNEL")
            .ok_or("KERNEL= is needed: the guest's kernel")?
            .into(),
        initrd: variable("INITRD").map(Into::into),
        append: variable("APPEND").unwrap_or_default(),
    };
    let mut limits = limits(3600)?;
    limits.silence = limits.total;
    let command = machine.command(&guest).map_err(text)?;
    let console = console::watch(command, limits, |line| {
        writeln!(std::io::stdout(), "{}", line.text).is_ok()
    })
    .map_err(text)?;
    if let Some(line) = console.find("baton: error: ") {
        return Err(format!("the monitor says: {}", line.text));
    }
    if console.end.is_clean() {
        eprintln!("{}", console.end);
        Ok(())
    } else {
        Err(console.end.to_string())
    }
}

/// The probe leaves something in every register, and its next generation looks for it.
fn audit() -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    // What an ITS leaves is the hardest to clear.
    machine.its |= variable("ITS").is_none() && machine.gic == 3;
    let append = variable("APPEND").unwrap_or_default();
    let guest = Guest {
        kernel: paths::probe(),
        initrd: None,
        append: format!("test=audit {append}").trim_end().to_owned(),
    };
    let command = machine.command(&guest).map_err(text)?;
    let console = console::watch(command, limits(600)?, |line| {
        let shown = line.text.strip_prefix("probe: ");
        shown.is_none_or(|text| writeln!(std::io::stdout(), "{text}").is_ok())
    })
    .map_err(text)?;
    if console.find("probe: PASS").is_some() {
        Ok(())
    } else {
        Err(format!("the audit failed\n{}", console.tail(40)))
    }
}

/// The stock kernel's kexec, measured anew.
fn measure() -> Result<(), String> {
    let machine = Machine::from_env(80).map_err(text)?;
    eprintln!(
        "  booting Linux on {} vCPUs without the monitor, to time its kexec -i",
        machine.smp
    );
    for away in stock::measure(&machine, 1, limits(900)?)? {
        println!(
            "stock kernel, kexec -l -i, {} vCPUs{}: {:.3} s from \"Starting new kernel\" to the next kernel's first instruction",
            machine.smp,
            if machine.keeps_its_alive() {
                ""
            } else {
                ", no ITS (it dies with one)"
            },
            away.as_secs_f64()
        );
    }
    Ok(())
}

fn text(error: Error) -> String {
    error.to_string()
}
