// SPDX-License-Identifier: Apache-2.0
//! The report of the last reboot: gathered for the REPORT call, and printed.

mod beside;
mod stopped;

pub use beside::{finish, prepare, write_row};
pub use stopped::stopped;

use crate::arch::{cache, time};
use crate::console;
use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::machine::report_table::ReportTable;
use crate::machine::takeover::Verification;
use crate::memory::guest_ram::GuestRange;
use baton_abi::acpi::{TEXT, TIMES, log};
use baton_abi::{ReportHeader, ReportRow, is_crash, report_size};
use baton_core::acpi::sum;
use baton_core::log_ring::Part;
use baton_core::options::{Options, Report};
use baton_core::report::property::{self, About, no_lines};
use baton_core::report::{acpi, table, times};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use zerocopy::IntoBytes;

/// Returns the last reboot as a whole, or `None` if there was none.
pub fn header(machine: &Machine) -> Option<ReportHeader> {
    let takeover = &machine.takeover;
    let times = &takeover.times;
    let generation = takeover.reboots();
    let sum = |count: &dyn Fn(&Cpu) -> u64| machine.cpus.iter().map(count).sum();
    let exits = |cause| sum(&|cpu| cpu.exits.before(cause));
    (generation > 0).then(|| ReportHeader {
        generation,
        frequency: time::frequency(),
        source: takeover.source.load(Relaxed),
        requested: times.requested.load(Relaxed),
        kicked: times.kicked.load(Relaxed),
        gathered: times.gathered.load(Relaxed),
        validated: times.validated.load(Relaxed),
        checked_alone: times.checked_alone.load(Relaxed),
        checked_tree: times.checked_tree.load(Relaxed),
        phase1_end: times.phase1_end.load(Relaxed),
        phase2_end: times.phase2_end.load(Relaxed),
        phase3_end: times.phase3_end.load(Relaxed),
        missing: takeover.missing.load(Relaxed),
        entered: times.entered.load(Acquire),
        copied: sum(&|cpu| cpu.times.copied.load(Relaxed)),
        zeroed: sum(&|cpu| cpu.times.zeroed.load(Relaxed)),
        pci_stopped: machine.dma.stopped(),
        smmus_shut: machine.dma.shut(),
        failed_steps: sum(&|cpu| cpu.failed.lock().count),
        exits_call: exits(Cause::Call),
        exits_hook: exits(Cause::Hook),
        exits_fault: exits(Cause::Fault),
        exits_other: exits(Cause::Other),
        ..ReportHeader::of_cpus(machine.cpus.len())
    })
}

/// Writes the report of the takeover that is about to end for the next kernel's administrator: into its
/// device tree, at physical address `tree`, if that has room for one, and into the ACPI table, if there is
/// one.
fn write(machine: &Machine, tree: u64) {
    let tree = places_in_tree(machine, tree);
    let table = acpi_table(machine);
    if tree.is_none() && table.is_none() {
        return;
    }
    let header = header(machine).map(|header| ReportHeader {
        entered: time::now(),
        ..header
    });
    if let Some((place, times)) = tree {
        write_text(machine, &place, header.as_ref());
        if let (Some(times), Some(header)) = (times, &header) {
            write_times(machine, &times, header);
        }
    }
    if let (Some(table), Some(header)) = (table, &header) {
        write_table(machine, table, header);
    }
}

/// Writes what the log says by now into the ACPI table, if there is one, where Linux shows it while it runs.
///
/// A device tree needs none of that: the guest reads the log itself.
#[inline]
pub fn show_log(machine: &Machine) {
    if let Some(table) = &machine.report
        && table.logged.load(Relaxed) != console::log_end()
    {
        show_log_in(table, machine);
    }
}

fn show_log_in(table: &ReportTable, machine: &Machine) {
    if acpi_table(machine).is_none() {
        return;
    }
    let start = table.place.start() + log(machine.cpus.len()) as u64;
    // Who writes to the table has the log to itself.
    console::with_log(|log| {
        let logged = table.logged.swap(log.end(), Relaxed);
        for (at, bytes) in log.changed_since(logged) {
            if let Some(part) = machine.ram.range(start + at as u64, bytes.len() as u64) {
                write_clean(&part, bytes);
            }
        }
    });
}

/// Returns the report as text, with the last lines of the log, of a monitor with these options; without `header`
/// there was no takeover.
pub fn text(options: &Options, header: Option<&ReportHeader>) -> [u8; property::SIZE] {
    console::with_log(|log| property(options, header, |most| log.last_lines(most)))
}

/// As [`text`], with the lines of the log that `last_lines` returns.
fn property<'a>(
    options: &Options,
    header: Option<&ReportHeader>,
    last_lines: impl FnOnce(u64) -> Part<'a>,
) -> [u8; property::SIZE] {
    let mut property = [0; property::SIZE];
    fill(&mut property, options, header, last_lines);
    property
}

/// As [`property`], in place.
fn fill<'a>(
    property: &mut [u8; property::SIZE],
    options: &Options,
    header: Option<&ReportHeader>,
    last_lines: impl FnOnce(u64) -> Part<'a>,
) {
    let header = header.map(|header| ReportHeader {
        copied: header.copied + header.zeroed,
        ..*header
    });
    let about = About {
        options: &options.given,
    };
    property::fill(property, header.as_ref(), &about, last_lines);
}

/// Returns the ACPI table, if there is one, and if a kernel has not put something else in its place.
fn acpi_table(machine: &Machine) -> Option<&GuestRange> {
    let place = &machine.report.as_ref()?.place;
    acpi::is_table(machine.cpus.len(), &place.copy()?).then_some(place)
}

/// Writes the text to `place`.
fn write_text(machine: &Machine, place: &GuestRange, header: Option<&ReportHeader>) {
    let mut text = machine.takeover.report.text.lock();
    let Some(text) = text.first_chunk_mut() else {
        return;
    };
    console::with_log(|log| {
        fill(text, &machine.options, header, |most| log.last_lines(most));
    });
    write_clean(place, text);
}

/// Writes the ACPI table at `place` but for the log, part by part, as a CPU's stack has no room for all of it.
fn write_table(machine: &Machine, place: &GuestRange, header: &ReportHeader) {
    let cpus = machine.cpus.len();
    let part = |offset: usize, size: usize| {
        machine
            .ram
            .range(place.start() + offset as u64, size as u64)
    };
    let mut text = machine.takeover.report.text.lock();
    let Some(text) = text.first_chunk_mut() else {
        return;
    };
    fill(text, &machine.options, Some(header), no_lines);
    let (Some(behind), Some(last)) = (part(TEXT, text.len()), part(TIMES, report_size(cpus)))
    else {
        return;
    };
    write_clean(&behind, text);
    let times = write_times(machine, &last, header);
    write_clean(place, &acpi::header(cpus, sum(text).wrapping_add(times)));
}

/// Writes header and rows to `place`, which has room for them, and returns what their bytes add up to.
fn write_times(machine: &Machine, place: &GuestRange, header: &ReportHeader) -> u8 {
    let mut end = place.start();
    let mut total: u8 = 0;
    let mut write = |bytes: &[u8]| {
        if let Some(part) = machine.ram.range(end, bytes.len() as u64)
            && part.write(bytes)
        {
            total = total.wrapping_add(sum(bytes));
        }
        end += bytes.len() as u64;
    };
    write(header.as_bytes());
    for cpu in &machine.cpus {
        write(begun_row(machine, cpu).as_bytes());
    }
    cache::clean_to_poc(place.start() as usize, place.size() as usize);
    total
}

/// A kernel that begins has one CPU: how long it takes for the others is known later.
fn begun_row(machine: &Machine, cpu: &Cpu) -> ReportRow {
    ReportRow {
        online: 0,
        ..row(machine, cpu)
    }
}

fn write_clean(place: &GuestRange, bytes: &[u8]) {
    if place.write(bytes) {
        cache::clean_to_poc(place.start() as usize, bytes.len());
    }
}

/// Returns where the device tree at physical address `tree` has room for the report, and for its times.
fn places_in_tree(machine: &Machine, tree: u64) -> Option<(GuestRange, Option<GuestRange>)> {
    let range = machine.ram.device_tree(tree)?;
    let cpus = machine.cpus.len();
    // SAFETY: All vCPUs are in the monitor.
    let bytes = unsafe { range.bytes() };
    let (text, times) = (property::find(bytes)?, times::find(bytes, cpus));
    let part = |at: usize, size: usize| machine.ram.range(tree + at as u64, size as u64);
    Some((
        part(text, property::SIZE)?,
        times.and_then(|at| part(at, report_size(cpus))),
    ))
}

/// Returns the CPUs in the last reboot, in the order of the device tree.
pub fn rows(machine: &Machine) -> impl Iterator<Item = ReportRow> + Clone {
    machine.cpus.iter().map(move |cpu| row(machine, cpu))
}

/// Returns one of them. It is in the image once: many go through the rows.
#[inline(never)]
fn row(machine: &Machine, cpu: &Cpu) -> ReportRow {
    let boot_cpu = machine.takeover.boot_cpu.load(Relaxed);
    let flag = |set, flag| if set { flag } else { 0 };
    let part = cpu.times.part.load(Relaxed);
    let took_part = part & baton_abi::ROW_TOOK_PART != 0;
    let time = |time: &core::sync::atomic::AtomicU64| {
        if took_part { time.load(Relaxed) } else { 0 }
    };
    ReportRow {
        mpidr: cpu.mpidr,
        flags: part
            | flag(
                took_part && cpu.index as u64 == boot_cpu,
                baton_abi::ROW_BOOT_CPU,
            ),
        arrived: time(&cpu.times.arrived),
        phase1_end: time(&cpu.times.phase1_end),
        copy_start: time(&cpu.times.copy_start),
        copy_end: time(&cpu.times.copy_end),
        phase3_end: time(&cpu.times.phase3_end),
        online: cpu.times.online.load(Relaxed),
        copied: time(&cpu.times.copied) + time(&cpu.times.zeroed),
        phase3_start: time(&cpu.times.phase3_start),
        check_start: time(&cpu.times.check_start),
        check_end: time(&cpu.times.check_end),
        checked: time(&cpu.times.checked),
        phase1_start: time(&cpu.times.phase1_start),
        ..stopped::in_row(machine, cpu)
    }
}

/// Prints what the kernel that runs has cost, and the report of the last reboot, if there was one.
pub fn print(machine: &Machine) {
    if let Some(header) = header(machine) {
        log::info!("report: begin");
        table::write(&header, rows(machine), |line| log::info!("{line}"));
        print_trouble(machine);
        log::info!("report: end");
        print_rows(machine, &header);
    }
    let count = |cause| -> u64 { machine.cpus.iter().map(|cpu| cpu.exits.now(cause)).sum() };
    log::info!("exits so far: {}", table::exits(Cause::ALL.map(count)));
}

/// Prints one line for the last reboot.
pub fn print_summary(machine: &Machine) {
    if let Some(header) = header(machine) {
        log::info!("{}", table::summary(&header));
        print_verification(machine, &header);
        print_rows(machine, &header);
    }
}

/// Prints what the look at a crash kernel took.
fn print_verification(machine: &Machine, header: &ReportHeader) {
    let Verification { bytes, ticks, .. } = &machine.takeover.verification;
    let bytes = bytes.load(Relaxed);
    if is_crash(header.source) && bytes > 0 {
        log::info!(
            "crash: {bytes} bytes of the crash kernel verified in {} us",
            time::us_from_ticks(ticks.load(Relaxed))
        );
    }
}

/// Prints the timeline for programs (`report=rows`).
fn print_rows(machine: &Machine, header: &ReportHeader) {
    if machine.options.report == Report::Rows {
        table::write_rows(header, rows(machine), |line| log::info!("{line}"));
    }
}

/// Names every CPU that was given up, and every CPU with a step that failed.
pub fn print_trouble(machine: &Machine) {
    if !machine.takeover.is_troubled() {
        return;
    }
    for cpu in &machine.cpus {
        if cpu.times.part.load(Relaxed) & baton_abi::ROW_MISSING != 0 {
            log::warn!(
                "cpu {} (MPIDR {:#x}) did not arrive within {} ms: left behind, without memory",
                cpu.index,
                cpu.mpidr,
                machine.options.wait.as_millis()
            );
        }
        let failed = *cpu.failed.lock();
        if let Some((step, error)) = failed.first {
            let more = failed.count - 1;
            log::warn!(
                "cpu {}: step \"{step}\" failed: {error} ({more} more failed)",
                cpu.index
            );
        }
    }
}
