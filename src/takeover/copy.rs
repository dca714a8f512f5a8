// SPDX-License-Identifier: Apache-2.0
//! Putting the next kernel where it belongs: each CPU its share.

use super::{beside_copy, crash};
use crate::arch::copy::{TURN, copy_and_clean, zero};
use crate::arch::{barrier, cache, time};
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::memory::kexec_memory::KexecMemory;
use baton_core::hw_error::HwError;
use baton_core::linux::kexec_plan::Op;
use core::sync::atomic::Ordering::Relaxed;

/// Copies this CPU's share, and cleans it to the point of coherency.
///
/// The image of a crash kernel is in place, and Linux has cleaned it when it loaded it
/// (`machine_kexec_post_load()`, before 5.12 `arch_kexec_protect_crashkres()`), as its own path needs it.
///
/// # Errors
///
/// [`HwError::Absent`] if the list does not say what it said before; the rest is not copied.
pub fn share(cpu: &Cpu, machine: &Machine) -> Result<(), HwError> {
    cpu.times.copy_start.store(time::now(), Relaxed);
    let takeover = &machine.takeover;
    // SAFETY: This is a step of phase 3.
    let (plan, memory, place, of) = unsafe { takeover.share_of(&machine.ram, cpu) };
    // SAFETY: As above.
    let tree = unsafe { takeover.tree_pages() };
    // Memory that was mapped while this CPU was parked in the monitor.
    barrier::isb();
    let boot_cpu = takeover.boot_cpu.load(Relaxed) as usize;
    let (mut copied, mut zeroed) = (0, 0);
    let is_boot_cpu = cpu.index == boot_cpu;
    let boot_cpu = machine.cpus.get(boot_cpu);
    let boot_place = boot_cpu.map_or(0, |cpu| takeover.rendezvous.share_of(cpu).0);
    crash::verify_if_due(machine, boot_place, place, of);
    if is_boot_cpu {
        beside_copy::run(machine);
    }
    let busy = (boot_place, beside_copy::busy_pages(tree.end - tree.start));
    let mut result = Ok(());
    // A crash kernel lies where it is to run: of no parts, each is empty.
    let of = if takeover.is_crash() { 0 } else { of };
    for op in plan.share_beside(&memory, place, of, busy) {
        if let Ok(op) = &op
            && tree.contains(&op.destination)
        {
            if !op.is_in_place() {
                copied += op.copied + op.zeroed;
            }
            continue;
        }
        // The list is the guest's memory: each entry is checked as it is used, whatever it was.
        let moved = op
            .map_err(|error| HwError::Absent {
                what: "valid entry in the kexec list",
                id: error.entry.at,
            })
            .and_then(|op| move_page(&memory, &op).map(|()| op));
        match moved {
            Ok(op) if op.is_in_place() => {}
            Ok(op) => {
                copied += op.copied;
                zeroed += op.zeroed;
            }
            Err(error) => {
                takeover.note_copy_failure();
                result = Err(error);
                break;
            }
        }
    }
    barrier::dsb_sy();
    cpu.times.copied.store(copied, Relaxed);
    cpu.times.zeroed.store(zeroed, Relaxed);
    cpu.times.copy_end.store(time::now(), Relaxed);
    result
}

fn move_page(memory: &KexecMemory<'_>, op: &Op) -> Result<(), HwError> {
    let outside = |id| HwError::Absent {
        what: "guest memory",
        id,
    };
    let size = op.copied + op.zeroed;
    let destination = memory
        .range(op.destination, size)
        .ok_or_else(|| outside(op.destination))?;
    // A file ends anywhere: its last bytes are copied up to a whole turn, and zeroed after that.
    let copied = match op.is_in_place() {
        true => 0,
        false => op.copied.next_multiple_of(TURN).min(size),
    };
    if copied > 0 {
        let source = memory
            .range(op.source, copied)
            .ok_or_else(|| outside(op.source))?;
        // SAFETY: Both are pages of guest memory, which nobody else accesses in phase 3, and which
        // are not the same page.
        unsafe { copy_and_clean(destination.as_ptr(), source.as_ptr(), copied as usize) }
    }
    if op.zeroed > 0 {
        let ragged = op.copied.next_multiple_of(8);
        // SAFETY: As above; the bytes up to the next word are written one by one.
        unsafe {
            let start = destination.as_ptr();
            for at in op.copied..ragged {
                start.add(at as usize).write_volatile(0);
            }
            zero(start.add(ragged as usize), (size - ragged) as usize);
        }
    }
    if op.zeroed > 0 || op.is_in_place() {
        cache::clean_lines_to_poc(destination.start() as usize, size as usize);
    }
    Ok(())
}
