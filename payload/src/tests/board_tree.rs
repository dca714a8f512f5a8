// SPDX-License-Identifier: Apache-2.0
//! `test=board-tree`: a KEXEC call with a device tree that does not keep the next kernel off the monitor.

use super::kexec::go_on;
use crate::arena::TREE;
use crate::call::{self, code};
use crate::console::say;
use crate::context::Context;
use crate::kexec;
use crate::machine::Range;
use crate::options::Caller;
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::states::Wanted;
use baton_abi::KEXEC;
use core::slice;
use dtoolkit::fdt::Fdt;
use dtoolkit::{Node, Property};

/// Bytes of an entry of the memory reservation block (Devicetree Specification v0.4, 5.3).
const ENTRY: u32 = 16;

/// Generation 0 hands on the tree of a board that has no monitor, without room for a reservation, then with
/// it; generation 1 finds the reservation.
pub fn run(context: &Context) -> Outcome {
    if context.generation > 0 {
        expect_reservation(context)?;
        return go_on(context, Wanted::Mix, Caller::Boot);
    }
    let Some(monitor) = context.machine.monitor() else {
        fail!("expected the monitor's memory to be reserved, seen none")
    };
    let mut prepared = kexec::prepare(context, context.cpus.boot, 0)?;
    let place = context.arena.tree(1) + TREE / 2;
    let size = context.machine.fdt.len();
    ensure!(
        (size as u64) < TREE / 2,
        "expected a device tree of at most {} bytes, seen {size}",
        TREE / 2
    );
    // SAFETY: no list mentions this half of the tree's place, and nobody else uses it.
    let tree = unsafe { slice::from_raw_parts_mut(place as *mut u8, size) };
    let refused = |what, list, entry| {
        let seen = call::vendor(KEXEC, [list, entry, place]);
        expect(
            format_args!("KEXEC with {what}"),
            code::INVALID_PARAMETERS,
            seen,
        )
    };
    tree.fill(0);
    refused("zeroes for a device tree", prepared.list, prepared.entry)?;
    tree.copy_from_slice(context.machine.fdt);
    forget_monitor(tree, context.machine.fdt, monitor)?;
    refused("a tree without room", prepared.list, prepared.entry)?;
    say!("trees without the monitor's reservation were refused");
    if let Some(total) = tree.get_mut(4..8) {
        total.copy_from_slice(&(size as u32 + ENTRY).to_be_bytes());
    }
    prepared.tree = place;
    prepared.go()
}

/// Makes `tree`, a copy of `fdt`, that of a machine in which `monitor` is memory like any other.
fn forget_monitor(tree: &mut [u8], fdt: &'static [u8], monitor: Range) -> Outcome {
    let name = b"no-map\0";
    let at = tree.windows(name.len()).position(|bytes| bytes == name);
    match at.and_then(|at| tree.get_mut(at)) {
        Some(first) => *first = b'x',
        None => fail!("expected a property no-map, seen none"),
    }
    let Ok(opened) = Fdt::new(fdt) else {
        fail!("expected the device tree to open again")
    };
    let root = opened.root();
    let memory = root
        .children()
        .find(|node| node.name_without_address() == "memory");
    let reg = memory.and_then(|node| node.property("reg"));
    let reg: &'static [u8] = reg.and_then(|reg| reg.value_as().ok()).unwrap_or_default();
    ensure!(
        reg.len() == 16,
        "expected one bank of /memory in cells of 64 bits, seen {} bytes",
        reg.len()
    );
    let offset = reg.as_ptr() as usize - fdt.as_ptr() as usize;
    let start = reg
        .first_chunk()
        .map_or(0, |word| u64::from_be_bytes(*word));
    // The monitor is at the end of memory.
    let size = monitor.0 + monitor.1 - start;
    if let Some(bytes) = tree.get_mut(offset + 8..offset + 16) {
        bytes.copy_from_slice(&size.to_be_bytes());
    }
    Ok(())
}

/// The tree must have an entry for memory that it does not reserve otherwise.
fn expect_reservation(context: &Context) -> Outcome {
    let Ok(fdt) = Fdt::new(context.machine.fdt) else {
        fail!("expected a device tree, seen none")
    };
    let mut entries = fdt.memory_reservations();
    let Some(entry) = entries.next() else {
        fail!("expected a reservation of the monitor's memory, seen none")
    };
    ensure!(
        context.machine.monitor().is_none() && context.machine.ram_at(entry.address()).is_some(),
        "expected a tree in which the monitor's memory is /memory's, seen another"
    );
    say!(
        "reserved: {:#x}, {:#x} bytes",
        entry.address(),
        entry.size()
    );
    Ok(())
}
