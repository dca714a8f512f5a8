// SPDX-License-Identifier: Apache-2.0
//! `make debug`: the monitor in QEMU, which waits for a debugger before its first instruction.
//!
//! The image runs first where QEMU puts it, and then moves to a place at the end of RAM that depends on
//! the machine. A script for gdb follows it there: the monitor itself says where that is, when it calls
//! what leaves for the copy.

use crate::{limits, text, value, variable};
use baton_qemu::{Machine, Task, console, layout, paths, symbols};
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

/// Seconds, where `TIMEOUT=` gives none: whoever debugs has the time that it takes.
const NO_LIMIT: u64 = u32::MAX as u64;

/// Waits for gdb, then boots Debian's kernel and kexecs it once, as `make run` does. The console is on
/// standard output.
pub fn debug() -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    let Some(monitor) = &machine.monitor else {
        return Err("MONITOR=off: there is no monitor to debug".into());
    };
    let port = value("GDB_PORT", 1234_u16, "the number of a TCP port").map_err(text)?;
    let stub = format!("127.0.0.1:{port}");
    let elf = monitor.with_extension("");
    let commands = paths::target().join("baton.gdb");
    fs::write(
        &commands,
        script(&elf, symbols::address(&elf, "leave_for_copy")?, &stub),
    )
    .map_err(|error| format!("{}: {error}", commands.display()))?;
    let arguments = ["-gdb", &format!("tcp:{stub}"), "-S"];
    machine.extra.extend(arguments.map(str::to_owned));

    let guest = Task::Kexec {
        times: 1,
        checks: true,
    }
    .guest(&variable("APPEND").unwrap_or_default());
    let mut limits = limits(NO_LIMIT)?;
    limits.silence = limits.total;
    let command = machine.command(&guest).map_err(text)?;
    println!(
        "  {} vCPUs wait for gdb on {stub}. In another terminal:\n\n\
         gdb-multiarch {}\n\
         source {}\n\n  \
         It stops in boot_primary, the first Rust code in the place where the monitor stays.\n  \
         Then for example: break exit_from_guest, continue, backtrace. Ctrl-C here ends QEMU.\n",
        machine.smp,
        elf.display(),
        commands.display()
    );
    let console = console::watch(command, limits, |line| {
        writeln!(stdout(), "{}", line.text).is_ok()
    })
    .map_err(text)?;
    if console.end.is_clean() {
        println!("  {}", console.end);
        Ok(())
    } else {
        Err(console.end.to_string())
    }
}

/// Commands of gdb that attach to the stub, and go to where the monitor stays with its symbols there.
///
/// `leave_for_copy` is the address of that function in the ELF file. The symbols come last: gdb does not
/// tell the assembly at the start of the image, linked at 0, from functions that the linker left out.
fn script(elf: &Path, leave_for_copy: u64, stub: &str) -> String {
    format!(
        "# Made by `make debug'. Attaches to QEMU, and follows the monitor to the place where it stays.\n\
         set confirm off\n\
         set pagination off\n\
         # A stack ends at the vector, where gdb may not see its end.\n\
         set backtrace limit 32\n\
         symbol-file\n\
         target remote {stub}\n\
         # leave_for_copy(tree, old place, its size, new place, ...) where QEMU puts the image.\n\
         tbreak *{:#x}\n\
         continue\n\
         symbol-file -o $x3 {}\n\
         tbreak *boot_primary\n\
         continue\n\
         set confirm on\n\
         set pagination on\n",
        layout::MONITOR + leave_for_copy,
        elf.display(),
    )
}
