// SPDX-License-Identifier: Apache-2.0
//! Checks that imports go one way (docs/ARCHITECTURE.md): in the monitor from a room to those below
//! it, and nowhere in a circle of files. Prints each import that does not, with the rule.

mod graph;
mod rooms;
mod source;

use graph::Graph;
use std::path::Path;
use std::process::ExitCode;

/// The crates that are looked at, by the folder of their sources.
const CRATES: [&str; 9] = [
    "src",
    "src/core",
    "src/sysreg",
    "payload/src",
    "platform/host/run/src",
    "platform/host/bench/src",
    "platform/linux/src",
    "tests/firmware/src",
    "tests/src",
];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut faults = Vec::new();
    let mut files = 0;
    for folder in CRATES {
        let graph = match Graph::read(&root, folder) {
            Ok(graph) => graph,
            Err(error) => {
                eprintln!("error: {folder}: {error}");
                return ExitCode::FAILURE;
            }
        };
        files += graph.files().count();
        if folder == "src" {
            faults.extend(rooms::upward(&graph));
        }
        faults.extend(graph.circles());
    }
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    match faults.len() {
        0 => {
            println!("  imports of {files} files go one way");
            ExitCode::SUCCESS
        }
        count => {
            eprintln!("error: {count} imports break the rule of docs/ARCHITECTURE.md");
            ExitCode::FAILURE
        }
    }
}
