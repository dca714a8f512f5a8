// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::board::Board;
use crate::devicetree::cpus::EnableMethod;
use crate::devicetree::error::BoardError;
use crate::devicetree::sample::{Sample, cells, wide};
use crate::report::{property, times};
use dtoolkit::memreserve::MemoryReservation;

const MIB: u64 = 1 << 20;
const MEMORY: &str = "/memory@40000000";

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

fn top() -> Region {
    region(0x8000_0000 - 2 * MIB, 2 * MIB)
}

fn cpu(mpidr: u64) -> Cpu {
    Cpu {
        mpidr,
        enable_method: EnableMethod::Psci,
    }
}

fn config(monitor: Region) -> GuestTree<'static> {
    GuestTree {
        monitor,
        log: region(monitor.start() + 0x5000, 0x1_0000),
        lpi_tables: None,
        bootargs: Some("quiet"),
        ramdisk: None,
        cpus: Box::leak(Box::new([0, 1].map(cpu))),
        own_psci: false,
        uefi_map: None,
        report: Box::leak(Box::new(property::empty(&property::About::default()))),
        times: times::empty(2).leak(),
    }
}

fn made(tree: &Sample, config: &GuestTree<'_>) -> DeviceTree {
    let blob = guest_tree(&tree.blob(), config).expect("a tree for the guest");
    DeviceTree::from_fdt(&blob::open(&blob).expect("a tree that opens"))
}

fn value<'a>(tree: &'a DeviceTree, path: &str, name: &str) -> Option<&'a [u8]> {
    tree.find_node(path)?
        .properties()
        .find(|p| p.name() == name)?
        .value_as()
        .ok()
}

#[test]
fn trims_memory() {
    let start = 0x4000_0000;
    let cases = [
        (top(), wide(&[start, 0x3fe0_0000]), "at the end"),
        (
            region(start, MIB),
            wide(&[0x4010_0000, 0x3ff0_0000]),
            "at the start",
        ),
        (
            region(0x5000_0000, MIB),
            wide(&[start, 0x1000_0000, 0x5010_0000, 0x2ff0_0000]),
            "in the middle",
        ),
        (
            region(0x8000_0000, MIB),
            wide(&[start, 0x4000_0000]),
            "outside",
        ),
    ];
    for (monitor, expected, place) in cases {
        let tree = made(&Sample::virt(), &config(monitor));
        assert_eq!(value(&tree, MEMORY, "reg"), Some(&expected[..]), "{place}");
    }
    let all = made(&Sample::virt(), &config(region(start, 0x4000_0000)));
    assert!(
        all.find_node(MEMORY).is_none(),
        "a node of which nothing is left"
    );
}

#[test]
fn trims_the_right_bank_of_one_cell() {
    let mut tree = Sample::virt();
    tree.set_cells("/", 1, 1);
    tree.set(
        MEMORY,
        "reg",
        cells(&[0x6000_0000, 0x2000_0000, 0x4000_0000, 0x1000_0000]),
    );
    tree.set(
        MEMORY,
        "linux,usable-memory",
        cells(&[0x7000_0000, 0x1000_0000]),
    );
    let tree = made(&tree, &config(top()));
    let expected = cells(&[0x6000_0000, 0x1fe0_0000, 0x4000_0000, 0x1000_0000]);
    assert_eq!(
        value(&tree, MEMORY, "reg"),
        Some(&expected[..]),
        "the order stays"
    );
    let expected = cells(&[0x7000_0000, 0x0fe0_0000]);
    assert_eq!(
        value(&tree, MEMORY, "linux,usable-memory"),
        Some(&expected[..])
    );
    let expected = cells(&[0x7fe0_0000, 0x20_0000]);
    assert_eq!(
        value(&tree, "/reserved-memory/baton@7fe00000", "reg"),
        Some(&expected[..])
    );
}

#[test]
fn reserves_the_monitor() {
    let tree = made(&Sample::virt(), &config(top()));
    let node = "/reserved-memory/baton@7fe00000";
    assert_eq!(
        value(&tree, node, "reg"),
        Some(&wide(&[0x7fe0_0000, 2 * MIB])[..])
    );
    assert_eq!(value(&tree, node, "no-map"), Some(&[][..]));
    for (name, expected) in [
        ("#address-cells", cells(&[2])),
        ("#size-cells", cells(&[2])),
        ("ranges", Vec::new()),
    ] {
        assert_eq!(
            value(&tree, "/reserved-memory", name),
            Some(&expected[..]),
            "{name}"
        );
    }
}

#[test]
fn offers_psci_in_place_of_spin_tables() {
    let mut board = Sample::virt();
    board.remove("/psci");
    for cpu in ["/cpus/cpu@0", "/cpus/cpu@1"] {
        board
            .set(cpu, "enable-method", "spin-table")
            .set(cpu, "cpu-release-addr", wide(&[0xd8]));
    }
    let untouched = made(&board, &config(top()));
    assert!(untouched.find_node("/psci").is_none());
    let own = GuestTree {
        own_psci: true,
        ..config(top())
    };
    let tree = made(&board, &own);
    for cpu in ["/cpus/cpu@0", "/cpus/cpu@1"] {
        assert_eq!(value(&tree, cpu, "enable-method"), Some(&b"psci\0"[..]));
        assert_eq!(value(&tree, cpu, "cpu-release-addr"), None);
    }
    for (name, expected) in [
        ("compatible", b"arm,psci\0".to_vec()),
        ("method", b"hvc\0".to_vec()),
        ("cpu_on", cells(&[0xc400_0003])),
        ("cpu_off", cells(&[0x8400_0002])),
    ] {
        assert_eq!(value(&tree, "/psci", name), Some(&expected[..]), "{name}");
    }
}

#[test]
fn cpus_come_by_psci_or_not_at_all() {
    let mut board = Sample::virt();
    board
        .set("/cpus/cpu@1", "enable-method", "spin-table")
        .set("/cpus/cpu@1", "cpu-release-addr", wide(&[0xd8]))
        .set("/cpus/cpu@1", "cpu-idle-states", 1u32)
        .set("/cpus/cpu@2", "reg", 2u32)
        .set("/cpus/cpu@3", "reg", wide(&[3]))
        .set("/cpus/cpu@3", "enable-method", "spin-table")
        .set("/cpus/cpu@3", "cpu-release-addr", wide(&[0xd9]))
        .set("/cpus/cpu@4", "reg", 4u32)
        .set("/cpus/cpu@4", "enable-method", "spin-table")
        .set("/cpus/cpu@4", "cpu-release-addr", wide(&[0xd8]))
        .set("/cpus/cpu@4", "status", "fail-sss")
        .set("/cpus/core@5", "reg", 5u32)
        .strings("/cpus/core@5", "device_type", &["cpu", "core"])
        .set("/cpus/core@5", "enable-method", "spin-table")
        .set("/cpus/cpu@0", "cpu-idle-states", 1u32)
        .set("/cpus/idle-states", "entry-method", "psci");
    let offered = [0, 1, 2, 4].map(cpu);
    let config = GuestTree {
        cpus: &offered,
        ..config(top())
    };
    let tree = made(&board, &config);
    let psci = Some(&b"psci\0"[..]);
    let failed = Some(&b"fail\0"[..]);
    for (path, method, status, what) in [
        ("/cpus/cpu@0", psci, None, "one by PSCI"),
        ("/cpus/cpu@1", psci, None, "one from a spin table"),
        ("/cpus/cpu@2", psci, None, "the boot CPU, by nothing"),
        ("/cpus/cpu@3", None, failed, "one that is not offered"),
        ("/cpus/cpu@4", None, failed, "one that had failed before"),
        ("/cpus/core@5", None, failed, "one by its first device_type"),
        ("/cpus/idle-states", None, None, "no CPU"),
    ] {
        assert_eq!(value(&tree, path, "enable-method"), method, "{what}");
        assert_eq!(value(&tree, path, "status"), status, "{what}");
        assert_eq!(value(&tree, path, "cpu-release-addr"), None, "{what}");
    }
    let idle = |path| value(&tree, path, "cpu-idle-states").is_some();
    assert!(idle("/cpus/cpu@0"), "firmware knows it");
    assert!(!idle("/cpus/cpu@1"), "firmware does not know it");
}

#[test]
fn reserves_beside_others() {
    let mut tree = Sample::virt();
    tree.set_cells("/reserved-memory", 1, 1);
    tree.set(
        "/reserved-memory/fw@50000000",
        "reg",
        cells(&[0x5000_0000, 0x1000]),
    );
    let made = made(&tree, &config(top()));
    assert!(
        made.find_node("/reserved-memory/fw@50000000").is_some(),
        "the other one is gone"
    );
    let reg = value(&made, "/reserved-memory/baton@7fe00000", "reg");
    assert_eq!(
        reg,
        Some(&cells(&[0x7fe0_0000, 0x20_0000])[..]),
        "in the cells that are there"
    );
    let high = region(1 << 32, MIB);
    let node = "/reserved-memory/baton@100000000".into();
    let seen = guest_tree(&tree.blob(), &config(high));
    assert_eq!(seen, Err(TreeError::Wide { node, region: high }));
}

#[test]
fn chooses_for_the_guest() {
    let mut tree = Sample::virt();
    let kept = [
        "linux,kho-fdt",
        "linux,kho-scratch",
        "linux,usable-memory-range",
        "linux,elfcorehdr",
        "kaslr-seed",
        "rng-seed",
        "stdout-path",
    ];
    for name in kept {
        tree.set("/chosen", name, name);
    }
    tree.set("/chosen", "linux,initrd-start", 1u32)
        .set("/chosen", "linux,initrd-end", 2u32);
    tree.set("/chosen/framebuffer@1", "compatible", "simple-framebuffer");
    let ramdisk = region(0x4a00_0000, 0x1234);
    let full = GuestTree {
        ramdisk: Some(ramdisk),
        ..config(top())
    };
    let made1 = made(&tree, &full);
    assert_eq!(value(&made1, "/chosen", "bootargs"), Some(&b"quiet\0"[..]));
    let (start, end) = (wide(&[ramdisk.start()]), wide(&[ramdisk.end()]));
    assert_eq!(
        value(&made1, "/chosen", "linux,initrd-start"),
        Some(&start[..])
    );
    assert_eq!(value(&made1, "/chosen", "linux,initrd-end"), Some(&end[..]));
    for name in kept {
        let expected: Vec<u8> = name.bytes().chain([0]).collect();
        assert_eq!(
            value(&made1, "/chosen", name),
            Some(&expected[..]),
            "{name}"
        );
    }
    let children: Vec<&str> = made1
        .find_node("/chosen")
        .expect("/chosen")
        .children()
        .map(|c| c.name())
        .collect();
    assert_eq!(children, ["framebuffer@1"], "the modules go, others stay");

    let bare = GuestTree {
        bootargs: None,
        ..config(top())
    };
    let made2 = made(&tree, &bare);
    for name in ["bootargs", "linux,initrd-start", "linux,initrd-end"] {
        assert_eq!(value(&made2, "/chosen", name), None, "{name}");
    }
    tree.remove("/chosen");
    let bootargs = made(&tree, &full);
    assert_eq!(
        value(&bootargs, "/chosen", "bootargs"),
        Some(&b"quiet\0"[..]),
        "made anew"
    );
}

#[test]
fn keeps_the_rest() {
    let mut tree = Sample::virt();
    tree.0.memory_reservations = alloc::vec![MemoryReservation::new(0x4800_0000, 0x1000)];
    let mut blob = tree.blob();
    blob[header::BOOT_CPUID_PHYS..header::BOOT_CPUID_PHYS + 4].copy_from_slice(&[0, 0, 1, 2]);
    let made = guest_tree(&blob, &config(top())).expect("a tree for the guest");
    let fdt = blob::open(&made).expect("a tree that opens");
    assert_eq!(fdt.boot_cpuid_phys(), 0x102);
    let reserved: Vec<_> = fdt.memory_reservations().collect();
    assert_eq!(reserved, tree.0.memory_reservations);
    let after = DeviceTree::from_fdt(&fdt);
    for path in ["/psci", "/cpus", "/intc@8000000", "/pl011@9000000"] {
        assert_eq!(after.find_node(path), tree.0.find_node(path), "{path}");
    }
    assert_eq!(
        Board::read(&made),
        Err(BoardError::NoKernel),
        "a guest is no board"
    );
}

#[test]
fn refuses_what_cannot_be_written() {
    let mut tree = Sample::virt();
    let nul = GuestTree {
        bootargs: Some("a\0b"),
        ..config(top())
    };
    assert_eq!(guest_tree(&tree.blob(), &nul), Err(TreeError::Bootargs(1)));
    let short = guest_tree(&[], &config(top()));
    assert_eq!(short, Err(TreeError::Blob(BlobError::Short(0))));
    let cells_error = |address_cells| TreeError::Cells {
        node: MEMORY.into(),
        property: "reg",
        address_cells,
        size_cells: 2,
    };
    tree.set(MEMORY, "reg", wide(&[0x4000_0000]));
    assert_eq!(
        guest_tree(&tree.blob(), &config(top())),
        Err(cells_error(2)),
        "half a bank"
    );
    tree.set("/", "#address-cells", 3u32)
        .set(MEMORY, "reg", Vec::new());
    assert_eq!(
        guest_tree(&tree.blob(), &config(top())),
        Err(cells_error(3)),
        "96 bits"
    );
}

#[test]
fn reserves_the_tables_of_lpis_that_stay() {
    let tables = region(0x4800_0000, 0x2_0000);
    let config = GuestTree {
        lpi_tables: Some(tables),
        ..config(top())
    };
    let made = made(&Sample::virt(), &config);
    let node = "/reserved-memory/lpi-tables@48000000";
    assert_eq!(
        value(&made, node, "reg"),
        Some(&wide(&[tables.start(), tables.size()])[..])
    );
    assert_eq!(
        value(&made, node, "no-map"),
        None,
        "Linux must be able to map the memory: it is its own"
    );
    assert_eq!(
        value(&made, MEMORY, "reg"),
        Some(&wide(&[0x4000_0000, 0x3fe0_0000])[..]),
        "memory without the monitor's alone"
    );
}

#[test]
fn shows_the_log_in_the_monitors_memory() {
    let start = top().start() + 0x5000;
    let reg = wide(&[start, 0x1_0000]);
    let made = made(&Sample::virt(), &config(top()));
    let node = format!("/baton-log@{start:x}");
    assert_eq!(
        value(&made, &node, "compatible"),
        Some(&b"baton,log\0mmio-sram\0"[..])
    );
    assert_eq!(value(&made, &node, "ranges"), Some(&[][..]), "all");
    for node in [node.clone(), format!("{node}/log@{start:x}")] {
        assert_eq!(value(&made, &node, "reg"), Some(&reg[..]), "{node}");
    }
    let file = value(&made, &format!("{node}/log@{start:x}"), "export");
    assert_eq!(file, Some(&[][..]), "it is a file");
    assert_eq!(
        value(&made, MEMORY, "reg"),
        Some(&wide(&[0x4000_0000, 0x3fe0_0000])[..]),
        "and no memory of the guest's"
    );
}

#[test]
fn the_search_for_the_report_begins_at_it() {
    let mut tree = Sample::virt();
    tree.remove("/chosen");
    let made = guest_tree(&tree.blob(), &config(top())).expect("a tree for the guest");
    let structure = blob::structure(&made).expect("a structure block").len();
    let at = property::find(&made).expect("a report");
    // Behind it are the ends of its node, of the root and of the block.
    assert_eq!(structure - at, property::SIZE + 12);
}

#[test]
fn debug_registers_of_cpus_are_disabled() {
    let mut tree = Sample::virt();
    let (debug, uart) = ("/cpu-debug@22010000", "/pl011@9000000");
    tree.set(debug, "compatible", "arm,coresight-cpu-debug")
        .set(debug, "reg", wide(&[0x2201_0000, 0x1000]));
    let tree = made(&tree, &config(top()));
    assert_eq!(value(&tree, debug, "status"), Some(&b"disabled\0"[..]));
    assert_eq!(value(&tree, uart, "status"), None);
}

#[test]
fn a_tree_of_chosen_alone_stays_so_with_uefi() {
    let mut stub = Sample::empty();
    stub.set("/chosen", "linux,uefi-system-table", wide(&[0xbfff_0018]))
        .set("/chosen", "linux,uefi-mmap-start", wide(&[0xbc00_0040]))
        .set("/chosen", "linux,uefi-mmap-size", 0x960u32)
        .set("/chosen", "linux,initrd-start", wide(&[0x5000_0000]))
        .set("/chosen", "linux,initrd-end", wide(&[0x5100_0000]))
        .set("/chosen", "bootargs", "quiet baton.log=debug");
    let config = GuestTree {
        lpi_tables: Some(region(0x6000_0000, 0x5_0000)),
        ramdisk: Some(region(0x5000_0000, 0x100_0000)),
        uefi_map: Some(region(0x7000_0000, 0x990)),
        ..config(top())
    };
    let mut expected = stub.clone();
    expected
        .set("/chosen", "linux,uefi-mmap-start", wide(&[0x7000_0000]))
        .set("/chosen", "linux,uefi-mmap-size", 0x990u32)
        .set("/chosen", "bootargs", "quiet");
    let seen = made(&stub, &config);
    assert_eq!(seen.root.children().count(), 1, "/chosen");
    let report = value(&seen, "/chosen/baton", "report");
    assert_eq!(report, Some(config.report));
    let log = value(&seen, "/chosen/baton", "log");
    assert_eq!(log, Some(&wide(&[config.log.start(), 0x1_0000])[..]));
    for name in [
        "linux,uefi-system-table",
        "linux,uefi-mmap-start",
        "linux,uefi-mmap-size",
        "linux,initrd-start",
        "linux,initrd-end",
        "bootargs",
    ] {
        let [seen, expected] = [&seen, &expected.0].map(|tree| value(tree, "/chosen", name));
        assert_eq!(seen, expected, "{name}");
    }

    let machine = made(&Sample::virt(), &config);
    let map = value(&machine, "/chosen", "linux,uefi-mmap-start");
    assert_eq!(map, Some(&wide(&[0x7000_0000])[..]));
    let node = format!("/reserved-memory/baton@{:x}", top().start());
    assert!(machine.find_node(&node).is_some(), "a machine of a tree");
}
