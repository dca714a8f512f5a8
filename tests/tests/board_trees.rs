// SPDX-License-Identifier: Apache-2.0
//! Reads the device trees of all boards that Debian's kernel has: on which of them the monitor can
//! speak, and which it would run on.
//!
//! `BATON_CACHE` names the folder that `platform/host/fetch.sh dtbs` fills: `dtbs/RELEASE/`. That of
//! bookworm (Linux 6.1) has to be there, as `make test` fetches it; that of sid (7.2, for which the
//! other numbers are) is looked at where `fetch.sh dtbs sid` was run.
//!
//! What is refused is listed with its reason in `tests/refused/RELEASE.txt`, and so is where CPUs are lost.
//! Where a newer kernel has other trees, this writes the lists anew:
//!
//! ```sh
//! BATON_WRITE_REFUSED=1 platform/host/cargo.sh host test -p baton-tests --test board_trees
//! ```

use baton_core::devicetree::blob;
use baton_core::devicetree::board::{self, Board};
use baton_core::devicetree::external_debug;
use baton_core::memory::addresses::{Addresses, TABLES_FOR_DEVICES, with_tables};
use baton_core::memory::region::Region;
use baton_core::memory::withheld::Withheld;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::standard::NodeStandard;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What is expected of a release's trees, at least.
struct Expected {
    release: &'static str,
    /// Trees that parse.
    trees: usize,
    /// Those of them on which the monitor can speak.
    speak: usize,
    /// Those in which it finds all else that it needs.
    run: usize,
    /// Those that name debug registers of CPUs.
    debug: usize,
}

const EXPECTED: [Expected; 2] = [
    Expected {
        release: "bookworm",
        trees: 577,
        speak: 519,
        run: 558,
        debug: 71,
    },
    Expected {
        release: "sid",
        trees: 1649,
        speak: 1497,
        run: 1625,
        debug: 168,
    },
];

#[test]
fn speaks_on_the_boards_of_debian() {
    for expected in &EXPECTED {
        let folder = baton_qemu::paths::cache()
            .join("dtbs")
            .join(expected.release);
        if expected.release == "bookworm" || folder.is_dir() {
            check(expected, &folder);
        }
    }
}

fn check(expected: &Expected, folder: &Path) {
    let mut paths = Vec::new();
    collect(folder, &mut paths);
    paths.sort();
    let (mut trees, mut silent, mut refused, mut debug) = (0, 0, 0, 0);
    let mut list = String::new();
    for path in &paths {
        let name = path.strip_prefix(folder).unwrap_or(path).display();
        let tree = std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut note = |what, why: &dyn std::fmt::Display| {
            writeln!(list, "{name}: {what}: {why}").expect("a String grows");
        };
        let fdt = match blob::open(&tree) {
            Ok(fdt) => fdt,
            Err(error) => {
                note("tree", &error);
                continue;
            }
        };
        trees += 1;
        debug += usize::from(!external_debug::registers(fdt).is_empty());
        if let Err(why) = board::console(fdt) {
            silent += 1;
            note("console", &why);
        }
        match run(fdt) {
            Ok(None) => {}
            Ok(Some(lost)) => note("CPUs", &lost),
            Err(error) => {
                refused += 1;
                note("board", &error);
            }
        }
    }
    let (speak, run) = (trees - silent, trees - refused);
    println!(
        "{}: {} files, {trees} trees: the monitor can speak on {speak} and run on {run}; {debug} name debug registers",
        expected.release,
        paths.len()
    );
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("refused/{}.txt", expected.release));
    if std::env::var_os("BATON_WRITE_REFUSED").is_some() {
        std::fs::write(&path, &list).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let listed = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let new: Vec<&str> = list
        .lines()
        .filter(|line| !listed.lines().any(|listed| listed == *line))
        .collect();
    assert!(
        new.is_empty(),
        "expected what is refused in {}, seen others:\n{}",
        path.display(),
        new.join("\n")
    );
    assert!(
        trees >= expected.trees
            && speak >= expected.speak
            && run >= expected.run
            && debug >= expected.debug,
        "{}: expected at least {} trees, {} to speak on, {} to run on and {} with debug registers, seen {trees}, {speak}, {run} and {debug}",
        expected.release,
        expected.trees,
        expected.speak,
        expected.run,
        expected.debug
    );
}

/// Reads the board as a loader starts it, on its first CPU: with memory, which most trees leave to
/// firmware, and with a kernel behind the monitor. Returns which CPUs it would run without.
fn run(fdt: Fdt<'_>) -> Result<Option<String>, String> {
    let mut tree = DeviceTree::from_fdt(&fdt);
    let root = fdt.root();
    let address = root.address_cells().map_or(1, |cells| cells);
    let size = root.size_cells().map_or(1, |cells| cells);
    let mut reg = Vec::new();
    for (count, value) in [(address, 0x4000_0000u32), (size, 0x4000_0000)] {
        (1..count).for_each(|_| reg.extend([0; 4]));
        reg.extend(value.to_be_bytes());
    }
    let property = |name, value: &[u8]| DeviceTreeProperty::new(name, value).expect("a name");
    let mut memory = DeviceTreeNode::new("memory@40000000").expect("a name");
    memory.add_property(property("device_type", b"memory\0"));
    memory.add_property(property("reg", &reg));
    tree.root.add_child(memory);
    let chosen = DeviceTreeNode::new("chosen").expect("a name");
    let _ = tree.root.add_child_mut(chosen);
    let blob = tree.to_dtb();
    let fdt = blob::open(&blob).map_err(|error| error.to_string())?;
    let kernel = Region::new(0x4000_0000, 0x20_0000).expect("a region");
    let mut board = Board::read_with(fdt, Some(kernel)).map_err(|error| error.to_string())?;
    let all = board.hardware.cpus.len();
    let first = board.hardware.cpus.first().map_or(0, |cpu| cpu.mpidr);
    let lost = board.hardware.take_unusable(first);
    all_devices_are_told_from_memory(&board)?;
    all_debug_registers_are_withheld(&board)?;
    Ok(lost
        .first()
        .map(|(mpidr, why)| format!("{} of {all} are lost; {mpidr:#x}: {why}", lost.len())))
}

/// A GiB with devices and other things in it takes a table; no board has more than eleven.
fn all_devices_are_told_from_memory(board: &Board) -> Result<(), String> {
    let memory = board.map.memory.clone();
    let monitor = Region::new(0x7fc0_0000, 0x40_0000).expect("a region");
    let addresses = Addresses::new(5, memory, &monitor, &board.map.reserved, &board.claimed)
        .map_err(|error| error.to_string())?;
    match with_tables(&addresses.devices, TABLES_FOR_DEVICES) {
        (_, 0) => Ok(()),
        (_, more) => Err(format!("devices share {more} GiB too many with others")),
    }
}

/// No board has debug registers in more than four blocks of 2 MiB, or anything else in their pages.
fn all_debug_registers_are_withheld(board: &Board) -> Result<(), String> {
    let registers = &board.hardware.external_debug;
    let Withheld { pages, left } = Withheld::new(registers, &board.map.memory, 1 << 48);
    let mut others = board.claimed.clone();
    others.remove_all(registers);
    let blocks: BTreeSet<u64> = pages.iter().map(|page| page.start() >> 21).collect();
    match pages.iter().find(|page| others.overlaps(page)) {
        _ if !left.is_empty() => Err(format!("debug registers stay the guest's: {left}")),
        _ if blocks.len() > 4 => Err(format!("debug registers are in {} blocks", blocks.len())),
        Some(page) => Err(format!("debug registers share {page} with others")),
        None => Ok(()),
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error} (fetch.sh dtbs)", folder.display()));
    for entry in entries {
        let path = entry
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "dtb") {
            paths.push(path);
        }
    }
}
