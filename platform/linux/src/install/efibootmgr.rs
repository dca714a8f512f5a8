// SPDX-License-Identifier: Apache-2.0
//! Steps that change firmware's boot entries, by the program efibootmgr.

use crate::esp::Esp;
use crate::plan::Step;

/// Where it may be.
pub const PROGRAMS: [&str; 3] = [
    "/usr/bin/efibootmgr",
    "/bin/efibootmgr",
    "/usr/sbin/efibootmgr",
];

/// Returns the step that makes an entry for a file on the partition. It is in no order.
pub fn create(number: u16, esp: &Esp, label: &str, loader: &str) -> Step {
    Step::Run {
        command: creation(number, esp, label, loader),
        undo: Some(deletion(number)),
    }
}

/// Returns the step that removes an entry that [`create`] would make.
pub fn delete(number: u16, esp: &Esp, label: &str, loader: &str) -> Step {
    Step::Run {
        command: deletion(number),
        undo: Some(creation(number, esp, label, loader)),
    }
}

/// Returns the step that changes the order in which firmware tries its entries.
pub fn order(before: &[u16], after: &[u16]) -> Step {
    let command = |order: &[u16]| {
        let names: Vec<String> = order.iter().copied().map(name).collect();
        command(&["--bootorder", &names.join(",")])
    };
    Step::Run {
        command: command(after),
        undo: (!before.is_empty()).then(|| command(before)),
    }
}

/// Returns the step that changes what firmware starts once, at the next boot.
pub fn next(before: Option<u16>, after: Option<u16>) -> Step {
    let command = |next: Option<u16>| match next {
        Some(number) => command(&["--bootnext", &name(number)]),
        None => command(&["--delete-bootnext"]),
    };
    Step::Run {
        command: command(after),
        undo: Some(command(before)),
    }
}

/// Returns a number as it is in the name of an entry.
pub fn name(number: u16) -> String {
    format!("{number:04X}")
}

fn creation(number: u16, esp: &Esp, label: &str, loader: &str) -> Vec<String> {
    let (number, part) = (name(number), esp.number.to_string());
    let what = [
        "--create-only",
        "--bootnum",
        &number,
        "--disk",
        &esp.disk,
        "--part",
        &part,
    ];
    command(&[&what[..], &["--label", label, "--loader", loader]].concat())
}

fn deletion(number: u16) -> Vec<String> {
    command(&["--bootnum", &name(number), "--delete-bootnum"])
}

fn command(arguments: &[&str]) -> Vec<String> {
    let words = ["efibootmgr", "--quiet"].iter().chain(arguments);
    words.map(|&word| word.to_owned()).collect()
}
