// SPDX-License-Identifier: Apache-2.0
//! ACPI tables: those of sound machines, changed as an input says.

use crate::input::Input;
use baton_core::acpi::sample::{Address, Cpu, Madt, Sample, dbg2, fadt, mend, spcr};

/// Returns the tables of a machine: of a server with redistributors in ranges, of one whose CPUs name
/// theirs, with a GICv2, or without PSCI.
fn machine(kind: u8) -> [Vec<u8>; 3] {
    let mut madt = Madt::new(if kind & 4 == 0 { 5 } else { 7 });
    let kind = kind & 3;
    for index in 0..4 {
        madt.gicc(&Cpu {
            length: [76, 80, 82, 96][index as usize],
            redistributor: if kind == 1 {
                0xae10_0000 + index * 0x4_0000
            } else {
                0
            },
            cpu_interface: if kind == 2 { 0x801_0000 } else { 0 },
            parked: if kind == 3 {
                0x8000_0000 + index * 0x1000
            } else {
                0
            },
            ..Cpu::new([0, 1, 0x100, 0x101][index as usize])
        });
    }
    madt.gicd(0x800_0000, if kind == 2 { 2 } else { 3 });
    if kind == 0 || kind == 3 {
        madt.gicr(0, 0x80a_0000, 0xf6_0000);
    }
    madt.its(0, 0x808_0000).its(0, 0x1_0808_0000);
    let uart = Address::words(0x900_0000);
    let console = match kind {
        0 => spcr(3, &uart),
        1 => spcr(0x12, &uart),
        _ => dbg2(&[(0x8002, 0, uart), (0x8000, 3, uart)]),
    };
    [fadt(6, 3, u16::from(kind != 3)), madt.table(), console]
}

/// Changes one byte or one number of `bytes`, or cuts them off, of which `least` stay, or adds some.
pub fn alter(bytes: &mut Vec<u8>, how: u8, least: usize, input: &mut Input<'_>) {
    let at = input.number(2) as usize % bytes.len();
    match how & 3 {
        0 => bytes[at] = input.u8(),
        1 => {
            let value = input.edge().to_le_bytes();
            let end = bytes.len().min(at + value.len());
            bytes[at..end].copy_from_slice(&value[..end - at]);
        }
        2 => bytes.truncate(at.max(least)),
        _ => {
            let count = usize::from(input.u8());
            bytes.extend(input.bytes(count));
        }
    }
}

/// Returns the tables of machine `kind` with changes; those that make a table longer or shorter, and
/// those that say so, mend its checksum.
pub fn changed(kind: u8, input: &mut Input<'_>) -> Sample {
    let mut tables = machine(kind);
    while !input.is_empty() {
        let what = input.u8();
        let index = usize::from(what & 3);
        let Some(table) = tables.get_mut(index) else {
            break;
        };
        alter(table, what >> 2, 36, input);
        if what & 0x10 == 0 {
            let length = table.len() as u32;
            table[4..8].copy_from_slice(&length.to_le_bytes());
        }
        if what & 0x20 == 0 {
            mend(table, 9);
        }
    }
    if kind & 8 == 0 {
        Sample::xsdt(&tables)
    } else {
        Sample::rsdt(&tables)
    }
}
