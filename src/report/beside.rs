// SPDX-License-Identifier: Apache-2.0
//! The report of a takeover, written while CPUs copy: by the boot CPU as far as it is known, each row by its
//! CPU, and what is known at the end alone when all have finished.

use super::{acpi_table, begun_row, fill, header};
use crate::arch::{barrier, cache, time};
use crate::console;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next_tree::NextTree;
use crate::machine::takeover::VERIFY_US;
use baton_abi::acpi::{CHECKSUM, TEXT, TIMES, size};
use baton_abi::{ROW_TOOK_PART, ReportHeader, ReportRow, report_size};
use baton_core::acpi::sum;
use baton_core::report::property::{LATE_SIZE, SIZE, late_line, late_place, no_lines};
use baton_core::report::{acpi, property as tree_property, times};
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;
use zerocopy::IntoBytes;

/// Bytes of the header.
const HEADER: usize = size_of::<ReportHeader>();

/// Writes what is known by now into `tree`, which goes to the next kernel, and into the ACPI table; `bytes` is
/// how many bytes all CPUs copy and zero. To be called by the boot CPU in phase 3.
pub fn prepare(machine: &Machine, tree: Option<&mut NextTree>, bytes: u64) {
    let prepared = &machine.takeover.report;
    prepared.clear();
    prepared.bytes.store(bytes, Relaxed);
    let Some(tree) = tree else { return };
    let Some(header) = header(machine) else {
        return;
    };
    let early = early(header.requested, bytes);
    let header = ReportHeader {
        copied: early.copied,
        zeroed: early.zeroed,
        phase3_end: early.phase3_end,
        entered: early.entered,
        ..header
    };
    prepared.log_end.store(console::log_end(), Relaxed);
    let place = machine.ram.range(tree.start, tree.bytes.len() as u64);
    let is_in_tree = place.is_some()
        && match tree_property::find(&tree.bytes) {
            Some(found) => in_tree(machine, tree, found, &header).is_some(),
            // One that stands for ACPI has no place for it.
            None => true,
        };
    let is_written = in_table(machine, &header) && is_in_tree;
    prepared.is_written.store(is_written, Relaxed);
}

/// Writes into the tree, which has a place for it at `found`; returns `None` if that must be looked at when all is copied.
fn in_tree(
    machine: &Machine,
    tree: &mut NextTree,
    found: usize,
    header: &ReportHeader,
) -> Option<()> {
    let prepared = &machine.takeover.report;
    let cpus = machine.cpus.len();
    let text = tree.bytes.get_mut(found..)?.first_chunk_mut::<SIZE>()?;
    console::with_log(|log| {
        let lines = |most| log.last_lines(most);
        fill(text, &machine.options, Some(header), lines);
    });
    let line = late_place(text)?;
    tree.report[0] = found..found + SIZE;
    prepared.tree_text.store(tree.start + found as u64, Relaxed);
    if let Some(found) = times::find(&tree.bytes, cpus)
        && let Some(place) = tree.bytes.get_mut(found..found + report_size(cpus))
        && let Some((first, rows)) = place.split_at_mut_checked(HEADER)
    {
        first.copy_from_slice(header.as_bytes());
        let places = rows.chunks_exact_mut(size_of::<ReportRow>());
        for (place, cpu) in places.zip(&machine.cpus) {
            place.copy_from_slice(begun_row(machine, cpu).as_bytes());
        }
        tree.report[1] = found..found + report_size(cpus);
        prepared
            .tree_times
            .store(tree.start + found as u64, Relaxed);
    }
    prepared.tree_line.store(line as u64, Relaxed);
    Some(())
}

/// Writes into the ACPI table, if there is one; returns false if it must be looked at when all is copied.
fn in_table(machine: &Machine, header: &ReportHeader) -> bool {
    let Some(table) = &machine.report else {
        return true;
    };
    let cpus = machine.cpus.len();
    let (start, takeover) = (table.place.start(), &machine.takeover);
    if acpi_table(machine).is_none() || takeover.overwrites(start, size(cpus) as u64) {
        return false;
    }
    let write = |offset: usize, bytes: &[u8]| {
        let part = machine.ram.range(start + offset as u64, bytes.len() as u64);
        if let Some(part) = part {
            part.write(bytes);
        }
        sum(bytes)
    };
    let mut text = takeover.report.text.lock();
    let Some(text) = text.first_chunk_mut::<SIZE>() else {
        return false;
    };
    fill(text, &machine.options, Some(header), no_lines);
    let mut rest = write(TEXT, text).wrapping_add(write(TIMES, header.as_bytes()));
    for (cpu, place) in machine.cpus.iter().zip(0..) {
        // That of a CPU that takes part is added when it has written it.
        let row = match cpu.times.part.load(Relaxed) & ROW_TOOK_PART {
            0 => begun_row(machine, cpu),
            _ => ReportRow::default(),
        };
        rest = rest.wrapping_add(write(row_offset(TIMES, place), row.as_bytes()));
    }
    let first = acpi::header(cpus, rest);
    write(0, &first);
    cache::clean_to_poc(start as usize, TIMES + report_size(cpus));
    let Some(line) = late_place(text) else {
        return false;
    };
    let prepared = &takeover.report;
    prepared.table_line.store(line as u64, Relaxed);
    prepared.checksum.store(first[CHECKSUM].into(), Relaxed);
    prepared.table.store(start, Relaxed);
    true
}

fn row_offset(times: usize, index: usize) -> usize {
    times + HEADER + index * size_of::<ReportRow>()
}

/// Writes the row of `cpu`, which runs this and has finished phase 3 but for this, to where the report is.
///
/// It waits until the boot CPU has put the rest there, as long as for a CPU to arrive, or for a crash kernel to be
/// verified: the row stays as it was begun else.
pub fn write_row(machine: &Machine, cpu: &Cpu) {
    let prepared = &machine.takeover.report;
    let generation = machine.takeover.rendezvous.generation();
    let most_us = match machine.takeover.is_crash() {
        true => VERIFY_US,
        false => machine.options.wait.as_micros() as u64,
    };
    if time::wait_us(most_us, || prepared.is_ready(generation)).is_err() {
        return;
    }
    let (tree, table) = (
        prepared.tree_times.load(Relaxed),
        prepared.table.load(Relaxed),
    );
    let zeroed = cpu.times.zeroed.load(Relaxed);
    if zeroed > 0 {
        prepared.zeroed.fetch_add(zeroed, Relaxed);
    }
    if tree == 0 && table == 0 {
        return;
    }
    let row = begun_row(machine, cpu);
    let write = |times: u64| {
        let at = times + row_offset(0, cpu.index) as u64;
        if let Some(place) = machine.ram.range(at, size_of::<ReportRow>() as u64) {
            place.write_cells(row.as_bytes());
            cache::clean_lines_to_poc(at as usize, size_of::<ReportRow>());
        }
    };
    if tree != 0 {
        write(tree);
    }
    if table != 0 {
        write(table + TIMES as u64);
        prepared.add(cpu.index, sum(row.as_bytes()));
    }
    barrier::dsb_sy();
}

/// What is known at the end alone.
struct Late {
    line: [u8; LATE_SIZE],
    /// Fields of the header, and their offsets.
    fields: [(usize, u64); 4],
}

impl Late {
    /// Returns that of `header`.
    fn of(header: &ReportHeader) -> Self {
        Self {
            line: late_line(header),
            fields: [
                (offset_of!(ReportHeader, phase3_end), header.phase3_end),
                (offset_of!(ReportHeader, entered), header.entered),
                (offset_of!(ReportHeader, copied), header.copied),
                (offset_of!(ReportHeader, zeroed), header.zeroed),
            ],
        }
    }

    /// Returns what its bytes add up to.
    fn sum(&self) -> u8 {
        let fields = self.fields.iter();
        let fields = fields.map(|(_, value)| sum(&value.to_le_bytes()));
        fields.fold(sum(&self.line), u8::wrapping_add)
    }
}

/// Returns the header as it is before the end, in what is the same for all reports, and in what is late.
fn early(requested: u64, bytes: u64) -> ReportHeader {
    ReportHeader {
        frequency: time::frequency(),
        requested,
        // There is a line for it.
        phase3_end: requested,
        copied: bytes,
        ..ReportHeader::default()
    }
}

/// Writes what is known at the end alone, or all of the report if there is more to say than was known; the next
/// kernel begins with the device tree at physical address `tree`. To be called by the boot CPU when all CPUs
/// have finished phase 3.
pub fn finish(machine: &Machine, tree: u64) {
    let prepared = &machine.takeover.report;
    let as_known = prepared.is_written.load(Relaxed)
        && !machine.takeover.is_troubled()
        && prepared.log_end.load(Relaxed) == console::log_end();
    if !as_known {
        return super::write(machine, tree);
    }
    let times = &machine.takeover.times;
    let bytes = prepared.bytes.load(Relaxed);
    let zeroed = prepared.zeroed.load(Relaxed);
    let early = early(times.requested.load(Relaxed), bytes);
    let late = Late::of(&ReportHeader {
        phase3_end: times.phase3_end.load(Relaxed),
        entered: time::now(),
        copied: bytes - zeroed,
        zeroed,
        ..early
    });
    let text = prepared.tree_text.load(Relaxed);
    if text != 0 {
        write(machine, text + prepared.tree_line.load(Relaxed), &late.line);
    }
    let tree_times = prepared.tree_times.load(Relaxed);
    if tree_times != 0 {
        write_fields(machine, tree_times, &late);
    }
    let table = prepared.table.load(Relaxed);
    if table != 0 {
        let line = table + TEXT as u64 + prepared.table_line.load(Relaxed);
        write(machine, line, &late.line);
        write_fields(machine, table + TIMES as u64, &late);
        let change = late
            .sum()
            .wrapping_sub(Late::of(&early).sum())
            .wrapping_add(prepared.sum());
        let checksum = (prepared.checksum.load(Relaxed) as u8).wrapping_sub(change);
        write(machine, table + CHECKSUM as u64, &[checksum]);
    }
    barrier::dsb_sy();
}

/// Writes the fields of the header at physical address `at` that are known at the end.
fn write_fields(machine: &Machine, at: u64, late: &Late) {
    for (field, value) in late.fields {
        write(machine, at + field as u64, &value.to_le_bytes());
    }
}

/// Writes `bytes` to physical address `at`, and cleans them. The caller executes `dsb sy`.
fn write(machine: &Machine, at: u64, bytes: &[u8]) {
    if let Some(place) = machine.ram.range(at, bytes.len() as u64) {
        place.write(bytes);
        cache::clean_lines_to_poc(at as usize, bytes.len());
    }
}
