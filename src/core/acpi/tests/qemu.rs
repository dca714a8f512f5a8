// SPDX-License-Identifier: Apache-2.0
//! What Debian's EDK2 2022.11 has in memory on QEMU 7.2, `-M virt,virtualization=on -cpu cortex-a57`:
//! its FADT, MADT, SPCR and DBG2, byte for byte and one after another.

use crate::acpi::sample::{RSDP, Sample};
use crate::acpi::{Hardware, Tables, hardware};
use crate::devicetree::console::Console;
use crate::devicetree::cpus::{Cpu, Devices, EnableMethod};
use crate::devicetree::gic::{Gic, GicV2, GicV3};
use crate::devicetree::psci::{Conduit, Psci, PsciVersion};
use crate::hardware::Dma;
use crate::little_endian::u32_at;
use crate::memory::region::{Region, RegionSet};
use crate::uart::Uart;
use alloc::vec::Vec;

/// Returns the tables that a file has.
fn tables(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut tables = Vec::new();
    while !file.is_empty() {
        let length = u32_at(file, 4).expect("a length") as usize;
        let (table, rest) = file.split_at(length);
        tables.push(table.into());
        file = rest;
    }
    tables
}

fn read(file: &[u8]) -> Hardware {
    let tables = tables(file);
    assert_eq!(tables.len(), 4);
    let [by_xsdt, by_rsdt] = [Sample::xsdt(&tables), Sample::rsdt(&tables)].map(|sample| {
        let tables = Tables::find(&sample, RSDP).expect("tables");
        assert!(tables.spcr.is_some() && tables.dbg2.is_some());
        let without_spcr = Tables {
            spcr: None,
            ..tables
        };
        let read = hardware(&tables);
        assert_eq!(hardware(&without_spcr), read, "the DBG2 has the same UART");
        read.expect("a board")
    });
    assert_eq!(by_xsdt, by_rsdt);
    by_xsdt
}

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

fn machine(cpus: u64, gic: Gic) -> Hardware {
    // QEMU's clusters: as many CPUs as an SGI reaches in a GICv3.
    let mpidr = |cpu| cpu / 16 * 0x100 + cpu % 16;
    let cpu = |cpu| Cpu {
        mpidr: mpidr(cpu),
        enable_method: EnableMethod::Psci,
    };
    Hardware {
        cpus: (0..cpus).map(cpu).collect(),
        psci: Some(Psci {
            conduit: Conduit::Smc,
            version: PsciVersion::V0_2,
        }),
        gic,
        devices: Devices::default(),
        external_debug: RegionSet::new(),
        counter_frequency: None,
        console: Some(Console {
            uart: Uart::PL011,
            registers: region(0x900_0000, 0x1000),
        }),
        dma: Dma::default(),
    }
}

fn v3(redistributors: &[Region]) -> Gic {
    Gic::V3(GicV3 {
        distributor: region(0x800_0000, 0x1_0000),
        redistributors: redistributors.to_vec(),
        redistributor_stride: None,
        its: alloc::vec![region(0x808_0000, 0x2_0000)],
        mbi_ranges: Vec::new(),
        coherent: true,
    })
}

#[test]
fn of_4_and_80_cpus_with_a_gicv3() {
    let gic = v3(&[region(0x80a_0000, 0xf6_0000)]);
    let small = read(include_bytes!("../fixtures/virt-4.tables"));
    assert_eq!(small, machine(4, gic.clone()));
    let large = read(include_bytes!("../fixtures/virt-80.tables"));
    assert_eq!(large, machine(80, gic));
}

#[test]
fn of_128_cpus_with_two_regions_of_redistributors() {
    let gic = v3(&[
        region(0x80a_0000, 0xf6_0000),
        region(0x40_0000_0000, 0x400_0000),
    ]);
    let seen = read(include_bytes!("../fixtures/virt-128.tables"));
    assert_eq!(seen, machine(128, gic));
}

#[test]
fn of_4_cpus_with_a_gicv2() {
    let gic = Gic::V2(GicV2 {
        distributor: region(0x800_0000, 0x1000),
        cpu_interface: region(0x801_0000, 0x2000),
        hypervisor: Some(region(0x803_0000, 0x1000)),
        virtual_cpu: Some(region(0x804_0000, 0x2000)),
    });
    let seen = read(include_bytes!("../fixtures/virt-v2.tables"));
    assert_eq!(seen, machine(4, gic));
}

/// Each byte of the MADT is set to another value, with the checksum mended: a board or an error.
#[test]
fn whatever_byte_is_wrong_it_ends() {
    let sound = tables(include_bytes!("../fixtures/virt-4.tables"));
    let [fadt, madt, spcr, dbg2] = sound.try_into().expect("four tables");
    let mut errors = 0;
    for value in [0, 1, 0x0b, 0x7f, 0xff] {
        for at in 0..madt.len() {
            let mut madt = madt.clone();
            madt[at] = value;
            errors += usize::from(
                hardware(&Tables {
                    madt: &madt,
                    fadt: &fadt,
                    spcr: Some(&spcr),
                    dbg2: Some(&dbg2),
                    srat: None,
                    mcfg: None,
                    iort: None,
                    devices: Devices::default(),
                })
                .is_err(),
            );
        }
    }
    assert!(errors > 100, "only {errors} are seen");
}
