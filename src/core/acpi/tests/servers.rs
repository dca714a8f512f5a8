// SPDX-License-Identifier: Apache-2.0
//! Servers that can be bought, as their firmware describes them: the values that public dumps and the
//! sources of EDK2's platforms have, in tables that are made here.

use crate::acpi::sample::{Address, Cpu, Madt, RSDP, Sample, dbg2, fadt, spcr};
use crate::acpi::{Hardware, Tables, hardware};
use crate::devicetree::gic::{Gic, GicV2, GicV3};
use crate::devicetree::psci::Conduit;
use crate::memory::region::Region;
use alloc::vec::Vec;

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

/// Returns the MPIDR of a core where `size` of them are a cluster.
fn in_clusters(core: u64, size: u64) -> u64 {
    core / size * 0x100 + core % size
}

/// Reads a machine whose PSCI is called by SMC.
fn read(madt: &Madt, more: Vec<u8>) -> Hardware {
    let sample = Sample::xsdt(&[fadt(6, 3, 1), madt.table(), more]);
    let read = Tables::find(&sample, RSDP).and_then(|tables| hardware(&tables));
    let hardware = read.expect("a board");
    assert_eq!(hardware.psci.map(|psci| psci.conduit), Some(Conduit::Smc));
    hardware
}

fn v3(hardware: &Hardware) -> &GicV3 {
    match &hardware.gic {
        Gic::V3(gic) => gic,
        other => panic!("expected a GICv3, saw {other:?}"),
    }
}

fn console_at(hardware: &Hardware, tty: &str, address: u64) {
    let console = hardware.console.expect("a console");
    assert_eq!(console.uart.tty(), tty.as_bytes());
    assert_eq!(console.registers.start(), address);
}

/// Ampere Altra, one socket with 32 cores (an Ava; its dump of 2022): CPUs in an order of their own,
/// one range of redistributors, eight ITS, SPCR and DBG2 with two UARTs.
#[test]
fn ampere_altra() {
    let clusters = [
        0x10, 0x18, 0x16, 0x1e, 0x08, 0x20, 0x0e, 0x26, 0x11, 0x19, 0x17, 0x1f, 0x09, 0x21, 0x0f,
        0x27,
    ];
    let mut madt = Madt::new(5);
    let mut mpidrs = Vec::new();
    for core in 0..2u64 {
        for cluster in clusters {
            let mpidr = cluster << 16 | core << 8;
            mpidrs.push(mpidr);
            madt.gicc(&Cpu::new(mpidr));
        }
    }
    madt.gicd(0x1001_0000_0000, 3)
        .gicr(0, 0x1001_0014_0000, 0x100_0000);
    let its = |index: u64| 0x1001_0004_0000 + index * 0x2_0000;
    for index in 0..8 {
        madt.its(0, its(index));
    }
    let seen = read(&madt, spcr(3, &Address::words(0x1000_0260_0000)));
    let order: Vec<_> = seen.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!(order, mpidrs);
    let gic = v3(&seen);
    assert_eq!(gic.distributor, region(0x1001_0000_0000, 0x1_0000));
    assert_eq!(gic.redistributors, [region(0x1001_0014_0000, 0x100_0000)]);
    let expected: Vec<_> = (0..8).map(|index| region(its(index), 0x2_0000)).collect();
    assert_eq!(gic.its, expected);
    console_at(&seen, "ttyAMA", 0x1000_0260_0000);
    let debug = dbg2(&[(0x8000, 0x0e, Address::words(0x1000_0262_0000))]);
    console_at(&read(&madt, debug), "ttyAMA", 0x1000_0262_0000);
}

/// Kunpeng 920, two sockets with 48 cores each (a D06; EDK2's platforms until 2025): GICv4, and each
/// CPU names its redistributor.
#[test]
fn hisilicon_kunpeng_920() {
    // MPIDR and redistributor of the first CPU of each die.
    let dies = [
        (0x1_0000, 0xae10_0000),
        (0x3_0000, 0xaa10_0000),
        (0x5_0000, 0x4000_ae10_0000),
        (0x7_0000, 0x4000_aa10_0000),
    ];
    let mut madt = Madt::new(4);
    let mut regions = Vec::new();
    for (mpidr, first) in dies {
        for core in 0..24 {
            let redistributor = first + core * 0x4_0000;
            regions.push(region(redistributor, 0x4_0000));
            madt.gicc(&Cpu {
                redistributor,
                cpu_interface: 0x9b00_0000,
                ..Cpu::new(mpidr + in_clusters(core, 4))
            });
        }
    }
    madt.gicd(0xae00_0000, 4).its(0, 0x2_0210_0000);
    let seen = read(&madt, spcr(3, &Address::words(0x9408_0000)));
    assert_eq!(seen.cpus.len(), 96);
    assert_eq!(seen.cpus.last().map(|cpu| cpu.mpidr), Some(0x7_0503));
    let gic = v3(&seen);
    regions.sort_unstable();
    assert_eq!(gic.redistributors, regions);
    assert_eq!(gic.redistributor_stride, Some(0x4_0000));
    assert_eq!(gic.its, [region(0x2_0210_0000, 0x2_0000)]);
    console_at(&seen, "ttyAMA", 0x9408_0000);
}

/// Phytium FT-2000/4 (EDK2's platforms): as above, with the 128 KiB of a GICv3.
#[test]
fn phytium_ft2000() {
    let mut madt = Madt::new(4);
    for core in 0..4 {
        madt.gicc(&Cpu {
            redistributor: 0x2998_0000 + core * 0x2_0000,
            cpu_interface: 0x29c0_0000,
            virtual_cpu: [0x29c2_0000, 0x29c1_0000],
            ..Cpu::new(in_clusters(core, 2))
        });
    }
    madt.gicd(0x2990_0000, 3).its(0, 0x2992_0000);
    let seen = read(&madt, spcr(3, &Address::words(0x2800_1000)));
    let regions = [0, 1, 2, 3].map(|core| region(0x2998_0000 + core * 0x2_0000, 0x2_0000));
    assert_eq!(v3(&seen).redistributors, regions);
}

/// NXP LX2160A (a HoneyComb; its dump): 16 CPUs, the UART in the DBG2 alone, with accesses of a byte
/// to registers of a word.
#[test]
fn nxp_lx2160a() {
    let mut madt = Madt::new(4);
    for core in 0..16 {
        madt.gicc(&Cpu::new(in_clusters(core, 2)));
    }
    madt.gicd(0x600_0000, 3)
        .gicr(0, 0x620_0000, 0x20_0000)
        .its(0, 0x602_0000);
    let base = Address {
        access_size: 1,
        ..Address::words(0x21d_0000)
    };
    let seen = read(&madt, dbg2(&[(0x8000, 0x0e, base)]));
    assert_eq!(seen.cpus.len(), 16);
    assert_eq!(v3(&seen).redistributors, [region(0x620_0000, 0x20_0000)]);
    console_at(&seen, "ttyAMA", 0x21d_0000);
}

/// Marvell Armada 7040 and 8040 (EDK2's platforms): GICv2 with frames for message-signalled interrupts,
/// and a 16550 with accesses of a byte to registers of a word.
#[test]
fn marvell_armada_8040() {
    let mut madt = Madt::new(3);
    for mpidr in [0, 1, 0x100, 0x101] {
        madt.gicc(&Cpu {
            cpu_interface: 0xf022_f000,
            virtual_cpu: [0xf026_0000, 0xf024_0000],
            ..Cpu::new(mpidr)
        });
    }
    madt.gicd(0xf021_0000, 2);
    for _ in 0..4 {
        madt.entry(0x0d, &[0; 22]);
    }
    let base = Address {
        access_size: 1,
        ..Address::words(0xf051_2000)
    };
    let seen = read(&madt, spcr(1, &base));
    let expected = GicV2 {
        distributor: region(0xf021_0000, 0x1000),
        cpu_interface: region(0xf022_f000, 0x2000),
        hypervisor: Some(region(0xf024_0000, 0x1000)),
        virtual_cpu: Some(region(0xf026_0000, 0x2000)),
    };
    assert_eq!(seen.gic, Gic::V2(expected));
    console_at(&seen, "ttyS", 0xf051_2000);
    let layout = seen.console.expect("a console").uart.layout();
    assert_eq!((layout.status.offset, layout.status.width), (0x14, 1));
}
