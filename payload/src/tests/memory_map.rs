// SPDX-License-Identifier: Apache-2.0
//! `test=memory-map`: a KEXEC call with a memory map of UEFI's that does not keep the next kernel off the
//! monitor.

use super::kexec::go_on;
use crate::arena::TREE;
use crate::call::{self, code};
use crate::console::say;
use crate::context::Context;
use crate::kexec;
use crate::options::Caller;
use crate::outcome::{Outcome, expect, fail};
use crate::states::Wanted;
use crate::tree::value_in_chosen;
use baton_abi::KEXEC;
use baton_core::devicetree::uefi::Uefi;
use baton_core::efi::memory_map::{MemoryMap, MemoryType};
use baton_core::memory::region::Region;
use core::slice;
use dtoolkit::fdt::Fdt;

const START: &str = "linux,uefi-mmap-start";
const SIZE: &str = "linux,uefi-mmap-size";
const VERSION: &str = "linux,uefi-mmap-desc-ver";

/// Generation 0 hands on maps that are no good, then the one that it was handed.
pub fn run(context: &Context) -> Outcome {
    if context.generation > 0 {
        return go_on(context, Wanted::Mix, Caller::Boot);
    }
    let machine = context.machine;
    let (Some((monitor, size)), Ok(fdt)) = (machine.monitor(), Fdt::new(machine.fdt)) else {
        fail!("expected the monitor in UEFI's memory map, seen none")
    };
    let (Ok(Some(uefi)), Ok(region)) = (Uefi::read(fdt), Region::new(monitor, size)) else {
        fail!("expected a memory map in /chosen, seen none")
    };
    let (start, length) = (uefi.map.start(), uefi.map.size());
    // SAFETY: the map is in memory that the kernel before has left to this one.
    let bytes = unsafe { slice::from_raw_parts(start as *const u8, length as usize) };
    let Ok(map) = MemoryMap::new(bytes, uefi.descriptor as usize, uefi.version) else {
        fail!("expected a memory map of {length} bytes at {start:#x}, seen none")
    };
    // No list mentions this half of the place for a tree.
    let (trees, maps) = (
        context.arena.tree(1) + TREE / 2,
        context.arena.tree(1) + 3 * TREE / 4,
    );
    let opened = |kind| {
        let other = map.with(&[(region, kind)]);
        // SAFETY: the place is the arena's, with room for a map, and nobody else uses it.
        unsafe { core::ptr::copy_nonoverlapping(other.as_ptr(), maps as *mut u8, other.len()) };
        other.len() as u64
    };

    let mut prepared = kexec::prepare(context, context.cpus.boot, 0)?;
    let refused = |what, start: u64, size: u64, version: u32| {
        // SAFETY: as above.
        let tree = unsafe { slice::from_raw_parts_mut(trees as *mut u8, machine.fdt.len()) };
        tree.copy_from_slice(machine.fdt);
        for (name, value) in [
            (START, &start.to_be_bytes()[..]),
            (SIZE, &(size as u32).to_be_bytes()[..]),
            (VERSION, &version.to_be_bytes()[..]),
        ] {
            let place =
                value_in_chosen(fdt, name).and_then(|at| tree.get_mut(at..at + value.len()));
            match place {
                Some(place) => place.copy_from_slice(value),
                None => fail!("expected a property {name} in /chosen, seen none"),
            }
        }
        let seen = call::vendor(KEXEC, [prepared.list, prepared.entry, trees]);
        expect(
            format_args!("KEXEC with {what}"),
            code::INVALID_PARAMETERS,
            seen,
        )
    };
    for kind in [
        MemoryType::CONVENTIONAL,
        MemoryType::LOADER_DATA,
        MemoryType::RUNTIME_SERVICES_DATA,
    ] {
        let size = opened(kind);
        refused(
            "a map that offers the monitor's memory",
            maps,
            size,
            uefi.version,
        )?;
    }
    let size = opened(MemoryType::RESERVED);
    refused("half a descriptor", maps, size - 8, uefi.version)?;
    refused(
        "descriptors of another version",
        maps,
        size,
        uefi.version + 1,
    )?;
    refused("a map in the monitor's memory", monitor, size, uefi.version)?;
    refused("a map in a device", machine.uart, size, uefi.version)?;
    say!("memory maps that do not keep off the monitor were refused");
    prepared.go()
}
