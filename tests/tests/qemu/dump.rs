// SPDX-License-Identifier: Apache-2.0
//! What reads the dump of a kernel that panicked while other CPUs hung: makedumpfile in the crash kernel, as kdump-tools
//! call it, then drgn and crash on the host.

use crate::crash::{boot_debugged, expect_carried};
use baton_qemu::hang::{MASKED, Waiting, mark};
use baton_qemu::{Disk, linux, paths};
use baton_tests::debugger::Debugger;
use baton_tests::{Scratch, machine};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const SMP: u32 = 4;
/// How long crash may take: QEMU translates it, and it reads 0.3 GB of debugging information.
const CRASH_SECONDS: &str = "1200";

#[test]
#[ignore = "fetches 0.8 GB of the kernel's debugging information"]
fn makedumpfile_drgn_and_crash_read_the_dump() {
    let scratch = Scratch::new("dump");
    let dump = scratch.path("dump");
    File::create(&dump)
        .and_then(|file| file.set_len(512 << 20))
        .expect("an empty disk");
    let disk = |file: &Path, serial, writable| Disk {
        file: file.to_owned(),
        serial,
        writable,
    };
    let mut machine = machine(SMP);
    let tools = paths::cache().join("makedumpfile.tar");
    machine.disks = vec![
        disk(&tools, linux::KERNELS, false),
        disk(&dump, linux::SCRATCH, true),
    ];
    let mut place = 0;
    let act = |debugger: &mut Debugger, waiting: Waiting, _: &[String]| {
        place = debugger.hang(SMP, 1..SMP, waiting.stext);
    };
    let boot = boot_debugged(machine, "baton.dump=on", &scratch, 900, act);
    expect_carried(&boot, 1);
    let size = boot.expect("guest: dump: bytes: ").rsplit(' ').next();
    let size = size.and_then(|size| size.parse().ok()).expect("a size");
    let file = File::options().write(true).open(&dump);
    file.and_then(|file| file.set_len(size)).expect("the dump");
    expect_by_drgn(&drgn(&dump), place);
    expect_by_crash(&crash(&dump, &scratch), place);
}

/// drgn must see the PC and the mark of each CPU that hung at `place`.
#[track_caller]
fn expect_by_drgn(seen: &str, place: u64) {
    for cpu in 1..SMP {
        let expected = format!("cpu {cpu}: pc {place:016x}, x19 {:016x}\n", mark(cpu));
        assert!(seen.contains(&expected), "expected {expected}seen\n{seen}");
    }
}

/// crash must see who panicked, and the registers and the stack of each CPU that hung at `place`.
#[track_caller]
fn expect_by_crash(seen: &str, place: u64) {
    let in_part = |begin: &str, end: &str, expected: &[String]| {
        let part = seen.split_once(begin).map_or("", |(_, rest)| rest);
        let part = part.split_once(end).map_or(part, |(part, _)| part);
        for expected in expected {
            let has_it = part.contains(expected);
            assert!(
                has_it,
                "expected {expected:?} behind {begin:?}, seen\n{seen}"
            );
        }
    };
    let is_whole = !seen.contains("WARNING: ");
    assert!(is_whole, "expected no warning, seen\n{seen}");
    let panic = [
        format!("CPUS: {SMP}\n"),
        r#"PANIC: "Kernel panic - not syncing: sysrq triggered crash""#.to_owned(),
        r#"COMMAND: "init""#.to_owned(),
        "STATE: TASK_RUNNING (PANIC)".to_owned(),
    ];
    in_part("KERNEL: ", "\n\n", &panic);
    for cpu in 1..SMP {
        let registers = [
            format!("X19: {:016x}", mark(cpu)),
            format!("PC: {place:016x}\n"),
            format!("PSTATE: {MASKED:08x}"),
        ];
        in_part(&format!("CPU {cpu}:\n"), "\n\n", &registers);
        // As of a call that returns to the place: a word before it.
        let frame = format!(" at {:x}", place - 4);
        in_part(&format!("CPU: {cpu} "), "\n #1 ", &[frame]);
    }
}

/// Where the debugging information of the kernel is.
fn vmlinux() -> PathBuf {
    let release = paths::linux().canonicalize().expect("a kernel");
    let release = release.parent().and_then(Path::file_name);
    let folder = paths::cache().join("debug");
    folder.join(release.expect("its folder")).join("vmlinux")
}

/// What drgn says of the registers of each CPU in `dump`.
fn drgn(dump: &Path) -> String {
    let cache = paths::cache();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/registers.py");
    let mut command = Command::new("/usr/bin/python3");
    command
        .env("PYTHONPATH", cache.join("drgn/python"))
        .env("LD_LIBRARY_PATH", cache.join("drgn/lib"))
        .args([script.as_path(), dump, &vmlinux()]);
    output(command)
}

/// What crash says of the panic, of the stacks and of the registers of each CPU in `dump`.
fn crash(dump: &Path, scratch: &Scratch) -> String {
    let commands = scratch.path("commands");
    fs::write(&commands, "sys\nset\nbt -a\nhelp -r\nquit\n").expect("its commands");
    let mut command = Command::new("timeout");
    // SIGTERM it takes for a reason to say something.
    command
        .args(["-s", "KILL", CRASH_SECONDS])
        .arg(paths::cache().join("crash/bin/crash"))
        .arg("-s")
        .args([&vmlinux(), dump])
        .arg("-i")
        .arg(commands);
    output(command)
}

/// What a program that must succeed prints.
#[track_caller]
fn output(mut command: Command) -> String {
    let output = command.output().expect("a program");
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(status.success(), "{command:?}: {status}\n{seen}{errors}");
    seen
}
