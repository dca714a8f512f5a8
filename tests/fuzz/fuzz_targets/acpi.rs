// SPDX-License-Identifier: Apache-2.0
//! Reads a board from sound ACPI tables with changes, or from any bytes as tables: a board that is
//! accepted is consistent, and an error has a text.
#![no_main]

use baton_core::acpi::sample::RSDP;
use baton_core::acpi::{Tables, find_table, hardware};
use baton_core::devicetree::cpus::Devices;
use baton_core::devicetree::gic::Gic;
use baton_core::hardware::Hardware;
use baton_core::memory::region::Region;
use baton_core::mpidr::AFFINITY;
use baton_fuzz::input::Input;
use baton_fuzz::tables;
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

fn check(read: &Hardware) {
    assert!(!read.cpus.is_empty());
    let mpidrs: HashSet<u64> = read.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!(mpidrs.len(), read.cpus.len(), "two CPUs of one MPIDR");
    for mpidr in mpidrs {
        assert_eq!(mpidr & !AFFINITY, 0, "MPIDR {mpidr:#x}");
    }
    match &read.gic {
        Gic::V3(gic) => {
            assert!(!gic.redistributors.is_empty(), "no redistributors");
            if gic.redistributor_stride.is_some() {
                assert_eq!(gic.redistributors.len(), read.cpus.len(), "one for each");
                let next = gic.redistributors.iter().skip(1);
                for (region, next) in gic.redistributors.iter().zip(next) {
                    assert!(region.end() <= next.start(), "{region} and {next}");
                }
            }
        }
        Gic::V2(gic) => assert!(gic.cpu_interface.start() != 0),
        Gic::Bcm2836(_) => panic!("ACPI has none"),
    }
    if let Some(console) = read.console {
        assert!(console.uart.layout().fits(&console.registers));
        assert!(console.registers != Region::new(0, 0x1000).expect("a page"));
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let kind = input.u8();
    let read = if kind & 1 == 0 {
        let sample = tables::changed(kind >> 1, &mut input);
        let signature = input.choice(&[*b"APIC", *b"SPCR", *b"NONE"]);
        let found = Tables::find(&sample, RSDP);
        if found.is_ok() {
            let found = find_table(&sample, RSDP, signature);
            assert!(
                signature == *b"SPCR"
                    || found.is_ok_and(|at| at.is_some() == (signature == *b"APIC"))
            );
        }
        found.and_then(|tables| hardware(&tables))
    } else {
        let mut part = || {
            let length = input.number(2);
            input.bytes(length as usize)
        };
        let (fadt, spcr, dbg2) = (part(), part(), part());
        let rest = input.rest();
        let tables = Tables {
            madt: rest,
            fadt,
            spcr: Some(spcr),
            dbg2: Some(dbg2),
            srat: Some(rest),
            mcfg: Some(rest),
            iort: Some(rest),
            devices: Devices::default(),
        };
        tables.hot_pluggable();
        hardware(&tables)
    };
    match read {
        Err(error) => {
            assert!(!data.is_empty(), "the sound tables: {error}");
            assert!(!error.to_string().is_empty());
        }
        Ok(read) => check(&read),
    }
});
