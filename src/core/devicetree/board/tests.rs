// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devicetree::blob::BlobError;
use crate::devicetree::cpus::Devices;
use crate::devicetree::gic::Gic;
use crate::devicetree::node::RegError;
use crate::devicetree::sample::{Sample, wide};
use crate::memory::region::RegionError;
use dtoolkit::memreserve::MemoryReservation;

fn set(bounds: &[(u64, u64)]) -> RegionSet {
    bounds
        .iter()
        .map(|&(start, end)| Region::from_bounds(start, end).expect("test region"))
        .collect()
}

fn board(tree: &Sample) -> Board {
    Board::read(&tree.blob()).expect("a board")
}

#[test]
fn reads_a_board() {
    let board = board(&Sample::virt());
    assert_eq!(board.map.memory, set(&[(0x4000_0000, 0x8000_0000)]));
    assert_eq!(board.map.reserved, RegionSet::new());
    assert_eq!(board.hardware.cpus.len(), 2);
    assert!(board.hardware.psci.is_some() && board.hardware.console.is_some());
    assert!(
        matches!(board.hardware.gic, Gic::V3(_)),
        "{:?}",
        board.hardware.gic
    );
    assert_eq!(board.bootargs, "log=debug");
}

#[test]
fn adds_and_subtracts_memory() {
    let mut tree = Sample::virt();
    tree.set("/memory@80000000", "device_type", "memory");
    tree.set(
        "/memory@80000000",
        "reg",
        wide(&[0x8000_0000, 0x1000, 0xa000_0000, 0x1000, 5, 0]),
    );
    tree.set("/memory@f0000000", "device_type", "memory").set(
        "/memory@f0000000",
        "status",
        "disabled",
    );
    tree.set("/memory@f0000000", "reg", wide(&[0xf000_0000, 0x1000]));
    tree.set("/memory-controller@0", "reg", wide(&[0, 0x1000]));
    let all = [(0x4000_0000, 0x8000_1000), (0xa000_0000, 0xa000_1000)];
    assert_eq!(board(&tree).map.memory, set(&all));

    let fw = "/reserved-memory/fw@50000000";
    tree.set_cells("/reserved-memory", 2, 2);
    tree.set(fw, "reg", wide(&[0x5000_0000, 0x1000]));
    tree.set("/reserved-memory/cma", "size", wide(&[0x100_0000]));
    tree.0.memory_reservations = alloc::vec![
        MemoryReservation::new(0x4800_0000, 0x800),
        MemoryReservation::new(1, u64::MAX)
    ];
    let board1 = board(&tree);
    assert_eq!(board1.map.memory, set(&all), "reserved, yet mapped");
    let reserved = [(0x4800_0000, 0x4800_0800), (0x5000_0000, 0x5000_1000)];
    assert_eq!(board1.map.reserved, set(&reserved));

    tree.set(fw, "no-map", Vec::new());
    let holed = [
        (0x4000_0000, 0x5000_0000),
        (0x5000_1000, 0x8000_1000),
        (0xa000_0000, 0xa000_1000),
    ];
    assert_eq!(board(&tree).map.memory, set(&holed));
    assert_eq!(board(&tree).map.reserved, set(&reserved));
}

#[test]
fn refuses_a_board_without_memory() {
    let mut tree = Sample::virt();
    tree.set("/memory@40000000", "reg", wide(&[0x4000_0000, 0]));
    assert_eq!(
        Board::read(&tree.blob()),
        Err(BoardError::NoMemory),
        "without bytes"
    );
    tree.set("/memory@40000000", "reg", wide(&[u64::MAX, 2]));
    let error = RegionError::Wraps {
        start: u64::MAX,
        size: 2,
    };
    let expected = RegError::Region {
        node: "/memory@40000000".into(),
        error,
    };
    assert_eq!(
        Board::read(&tree.blob()),
        Err(BoardError::Reg(expected)),
        "wraps around"
    );
    tree.unset("/memory@40000000", "device_type");
    assert_eq!(
        Board::read(&tree.blob()),
        Err(BoardError::NoMemory),
        "of no type"
    );
}

#[test]
fn a_tree_that_u_boot_completes_is_refused_without_psci() {
    let mut tree = Sample::virt();
    tree.remove("/psci")
        .strings("/", "compatible", &["fsl,ls1046a-rdb", "fsl,ls1046a"]);
    let expected = BoardError::NoPsciYet {
        board: "fsl,ls1046a",
    };
    assert_eq!(Board::read(&tree.blob()), Err(expected));
    for cpu in ["/cpus/cpu@0", "/cpus/cpu@1"] {
        tree.set(cpu, "enable-method", "spin-table")
            .set(cpu, "cpu-release-addr", wide(&[8]));
    }
    assert_eq!(board(&tree).hardware.psci, None, "it needs none");
}

#[test]
fn only_cpus_without_a_usable_enable_method_are_lost() {
    let taken = |tree: &Sample, boot_cpu| {
        let mut hardware = board(tree).hardware;
        let taken = hardware.take_unusable(boot_cpu);
        let left: Vec<u64> = hardware.cpus.iter().map(|cpu| cpu.mpidr).collect();
        (left, taken)
    };
    let mut tree = Sample::virt();
    assert_eq!(taken(&tree, 0), (alloc::vec![0, 1], Vec::new()));

    tree.set("/cpus/cpu@2", "reg", 2u32)
        .set("/cpus/cpu@2", "enable-method", "spin-table")
        .set("/cpus/cpu@2", "cpu-release-addr", wide(&[8]));
    tree.unset("/cpus/cpu@1", "enable-method");
    let expected = alloc::vec![(1, Unusable::NoMethod)];
    assert_eq!(
        taken(&tree, 0),
        (alloc::vec![0, 2], expected),
        "one by PSCI, one by nothing, one from a spin table"
    );
    assert_eq!(
        taken(&tree, 1),
        (alloc::vec![0, 1, 2], Vec::new()),
        "the boot CPU runs already"
    );

    tree.remove("/psci");
    let expected = alloc::vec![(0, Unusable::NoPsci)];
    assert_eq!(
        taken(&tree, 1),
        (alloc::vec![1, 2], expected),
        "a board without PSCI"
    );
}

#[test]
fn knows_what_the_tree_alone_says_of_cpus() {
    let mut tree = Sample::virt();
    assert_eq!(board(&tree).hardware.devices, Devices::default());
    tree.strings("/pmu-0", "compatible", &["vendor,pmu", "arm,dsu-pmu"]);
    tree.set("/trbe", "compatible", "arm,trace-buffer-extension")
        .set("/trbe", "status", "disabled");
    let expected = |dsu_pmu, trace| Devices {
        dsu_pmu,
        dsu_pmu_is_open: dsu_pmu,
        trace,
        ..Devices::default()
    };
    assert_eq!(board(&tree).hardware.devices, expected(true, false));
    tree.set("/ete-0", "compatible", "arm,embedded-trace-extension");
    assert_eq!(board(&tree).hardware.devices, expected(true, true));
}

#[test]
fn knows_whose_drivers_use_registers_of_the_implementer() {
    for name in ["qcom,msm8996-apcc", "nvidia,tegra194-ccplex"] {
        let mut tree = Sample::virt();
        tree.set("/clock-0", "compatible", name);
        let seen = board(&tree).hardware.devices;
        let expected = Devices {
            implementer: true,
            ..Devices::default()
        };
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn devices_of_cpus_that_are_disabled_are_not_there() {
    for name in ["arm,dsu-pmu", "qcom,msm8996-apcc", "nvidia,tegra194-ccplex"] {
        let mut tree = Sample::virt();
        tree.set("/device-0", "compatible", name)
            .set("/device-0", "status", "disabled");
        assert_eq!(board(&tree).hardware.devices, Devices::default(), "{name}");
    }
}

#[test]
fn the_counters_frequency_is_the_trees() {
    let mut tree = Sample::virt();
    tree.set("/timer", "compatible", "arm,armv8-timer").set(
        "/timer",
        "clock-frequency",
        24_000_000u32,
    );
    assert_eq!(board(&tree).hardware.counter_frequency, Some(24_000_000));
}

#[test]
fn debug_registers_of_cpus_are_the_hardwares() {
    let mut tree = Sample::virt();
    tree.set("/debug@22010000", "compatible", "arm,coresight-cpu-debug")
        .set("/debug@22010000", "reg", wide(&[0x2201_0000, 0x1000]));
    let seen = board(&tree).hardware.external_debug;
    assert!(seen.contains(0x2201_0000, 0x1000), "seen {seen}");
}

#[test]
fn reads_its_own_command_line() {
    let mut tree = Sample::virt();
    tree.set("/chosen", "bootargs", Vec::new());
    assert_eq!(board(&tree).bootargs, "", "no bytes");
    tree.unset("/chosen", "bootargs");
    assert_eq!(board(&tree).bootargs, "", "no property");
    tree.set("/chosen", "bootargs", b"\xc3\x28\0".to_vec());
    let expected = BoardError::Text {
        node: "/chosen".into(),
        property: "bootargs",
    };
    assert_eq!(Board::read(&tree.blob()), Err(expected));
}

#[test]
fn finds_the_console_of_a_bad_board() {
    let mut tree = Sample::virt();
    let expected = board(&tree).hardware.console;
    tree.remove("/cpus").remove("/memory@40000000");
    let blob = tree.blob();
    assert_eq!(
        blob::open(&blob).ok().and_then(|fdt| console(fdt).ok()),
        expected
    );
    let mut tree = Sample::virt();
    tree.set("/pl011@9000000", "reg", wide(&[1]));
    assert_eq!(
        board(&tree).hardware.console,
        None,
        "a bad console, a good board"
    );
}

#[test]
fn says_what_is_wrong() {
    let module = || "/chosen/module@0".into();
    let cases = [
        (
            BoardError::Blob(BlobError::Magic(1)),
            "device tree begins with 0x00000001 rather than 0xd00dfeed",
        ),
        (
            BoardError::NoPsciYet {
                board: "fsl,ls1043a",
            },
            "no PSCI in the tree of a board \"fsl,ls1043a\": U-Boot adds it when it starts a kernel by \
             booti or bootm, if the firmware below it has PSCI",
        ),
        (
            BoardError::ModuleEmpty {
                node: module(),
                start: 16,
            },
            "/chosen/module@0: module at 0x10 has size 0",
        ),
        (
            BoardError::CpuReg {
                node: "/cpus/cpu@0".into(),
                reg: alloc::vec![0x80, 1],
            },
            "/cpus/cpu@0: reg [80, 01] is not the affinity of an MPIDR",
        ),
    ];
    for (error, expected) in cases {
        assert_eq!(alloc::format!("{error}"), expected);
    }
}
