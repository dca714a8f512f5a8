// SPDX-License-Identifier: Apache-2.0
//! Reads a memory map of UEFI: what is RAM and what is reserved is what each descriptor says, and no
//! map that offers memory of the monitor's is accepted.
#![no_main]

use baton_core::efi::memory_map::{Descriptor, MemoryMap, MemoryType, VERSION};
use baton_core::memory::region::Region;
use baton_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;

/// Returns a map that an input describes: a type, a start and a length in units, attributes each.
fn described(size: usize, input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !input.is_empty() {
        let kind = input.u8();
        let (start, pages) = if kind & 0x80 == 0 {
            (input.number(2) << 16, input.u8().into())
        } else {
            (input.edge(), input.edge())
        };
        let attribute = u64::from(input.u8()) & 0xf | u64::from(kind & 0x40) << 12 | 1 << 3;
        let end = bytes.len() + size;
        bytes.extend(u64::from(kind & 0x1f).to_le_bytes());
        for number in [start, 0, pages, attribute] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(end, 0);
    }
    bytes
}

/// Returns whether a byte is in a descriptor.
fn has(descriptor: &Descriptor, address: u64) -> bool {
    descriptor
        .region()
        .is_some_and(|region| region.contains(address))
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let kind = input.u8();
    let size = input.choice(&[48, 40, 56, 64, 8, 0, 39, 41]);
    let bytes = if kind & 1 == 0 {
        described(size.max(40), &mut input)
    } else {
        input.rest().into()
    };
    let version = if kind & 2 == 0 { VERSION } else { kind.into() };
    let map = match MemoryMap::new(&bytes, size, version) {
        Ok(map) => map,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let all: Vec<_> = map.descriptors().collect();
    assert_eq!(all.len(), bytes.len() / size);
    let (ram, reserved) = (map.ram(), map.reserved());
    for descriptor in &all {
        assert!(!descriptor.to_string().is_empty());
        let Some(region) = descriptor.region() else {
            continue;
        };
        for address in [region.start(), region.end() - 1, region.end()] {
            let mut here = all.iter().filter(|other| has(other, address)).peekable();
            let is_ram = here.peek().is_some() && here.all(Descriptor::is_ram);
            assert_eq!(ram.enclosing(address).is_some(), is_ram, "{address:#x}");
            let stays = all.iter().any(|other| {
                let tables = other.kind == MemoryType::ACPI_RECLAIM;
                has(other, address) && (tables || !other.is_ram())
            });
            assert_eq!(reserved.enclosing(address).is_some(), stays, "{address:#x}");
        }
    }
    let monitor = all.iter().find_map(Descriptor::region);
    let monitor = monitor.unwrap_or(Region::new(0x7fe0_0000, 0x20_0000).expect("a region"));
    match map.keeps_off(&monitor, None) {
        Ok(()) => assert!(!ram.overlaps(&monitor)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
