// SPDX-License-Identifier: Apache-2.0
//! Starts the monitor as a boot loader would, with any device tree.
//!
//! QEMU repairs the memory nodes of a tree given with `-dtb` and puts its own files where it likes.
//! Here everything is placed with `-device loader`, and a few instructions enter the monitor.

use crate::boot::{Boot, run};
use crate::scratch::Scratch;
use baton_qemu::{Guest, Machine, Module, layout, paths};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTree;
use std::process::Command;

/// Where the monitor is put. `tests/firmware` has this address too, and that of the device tree.
const MONITOR: u64 = 0x4020_0000;
/// Where the instructions that enter it are put.
const STUB: u64 = layout::BEHIND_TFA;
/// Where the device tree is put.
const TREE: u64 = 0x4800_0000;

/// A file in memory.
pub struct Blob {
    /// Physical address.
    pub at: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The tree that QEMU makes for the machine with these modules, for a test to change.
#[track_caller]
pub fn tree(machine: &Machine, modules: &[Module], scratch: &Scratch) -> DeviceTree {
    let file = scratch.path("qemu.dtb");
    let dumped = run(machine.dump_tree(modules, &file), 60);
    dumped.expect_end();
    let bytes = scratch.read(&file);
    match Fdt::new(&bytes) {
        Ok(fdt) => DeviceTree::from_fdt(&fdt),
        Err(error) => dumped.fail(format_args!(
            "expected a device tree from QEMU, seen {error}"
        )),
    }
}

/// Boots `guest` with `more` in memory, and the machine's device tree changed by `change`, for at most
/// `seconds`.
#[track_caller]
pub fn boot_changed(
    machine: &Machine,
    guest: &Guest,
    more: Vec<Blob>,
    seconds: u64,
    change: impl FnOnce(&mut DeviceTree),
) -> Boot {
    let scratch = Scratch::new("changed-tree");
    run(
        command_changed(machine, guest, more, &scratch, change),
        seconds,
    )
}

/// The command by which [`boot_changed`] starts the machine; its files are in `scratch`.
#[track_caller]
pub fn command_changed(
    machine: &Machine,
    guest: &Guest,
    more: Vec<Blob>,
    scratch: &Scratch,
    change: impl FnOnce(&mut DeviceTree),
) -> Command {
    let modules = machine
        .modules(guest)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut tree = tree(machine, &modules, scratch);
    change(&mut tree);
    let files = modules.iter().map(|module| match module {
        Module::Kernel { at, file, .. } | Module::Ramdisk { at, file } => Blob {
            at: *at,
            bytes: scratch.read(file),
        },
    });
    let blobs: Vec<_> = files.chain(more).collect();
    command_by_hand(machine, &tree.to_dtb(), &blobs, scratch)
}

/// Enters the monitor at EL2 with the bytes of `tree` as its device tree, for at most `seconds`; on a
/// machine with an EL3, by the tests' own firmware (`tests/firmware`).
#[track_caller]
pub fn boot_by_hand(
    machine: &Machine,
    tree: &[u8],
    blobs: &[Blob],
    seconds: u64,
    scratch: &Scratch,
) -> Boot {
    run(command_by_hand(machine, tree, blobs, scratch), seconds)
}

#[track_caller]
fn command_by_hand(machine: &Machine, tree: &[u8], blobs: &[Blob], scratch: &Scratch) -> Command {
    let mut command = machine.qemu(true);
    let mut load = |at: u64, file: &std::path::Path, more: &str| {
        let file = file.to_string_lossy().replace(',', ",,");
        command.args([
            "-device",
            &format!("loader,file={file},addr={at:#x},force-raw=on{more}"),
        ]);
    };
    load(MONITOR, &paths::monitor(), "");
    load(TREE, &scratch.write("tree.dtb", tree), "");
    for (index, blob) in blobs.iter().enumerate() {
        load(
            blob.at,
            &scratch.write(&format!("blob{index}"), &blob.bytes),
            "",
        );
    }
    let stub = scratch.write("stub", &stub());
    match (machine.el3, &machine.tfa) {
        (true, Some(firmware)) => {
            load(STUB, &stub, "");
            command.arg("-bios").arg(firmware);
        }
        (true, None) => {
            command.arg("-bios").arg(paths::firmware());
        }
        (false, _) => load(STUB, &stub, ",cpu-num=0"),
    }
    command.args(&machine.extra);
    command
}

/// `x0 = TREE; x1 = x2 = x3 = 0; jump to MONITOR`, as an arm64 kernel is entered.
fn stub() -> Vec<u8> {
    let code: [u32; 6] = [
        0x5800_00c0, // ldr x0, .+24
        0xd280_0001, // mov x1, #0
        0xd280_0002, // mov x2, #0
        0xd280_0003, // mov x3, #0
        0x5800_0084, // ldr x4, .+16
        0xd61f_0080, // br x4
    ];
    let mut bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(TREE.to_le_bytes());
    bytes.extend(MONITOR.to_le_bytes());
    bytes
}
