// SPDX-License-Identifier: Apache-2.0
//! The report of the last reboot: gathered for the REPORT call, and printed.

use crate::arch::{cache, time};
use crate::console;
use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::memory::guest_ram::GuestRange;
use baton_abi::{ReportHeader, ReportRow};
use baton_core::options::Report;
use baton_core::report::{acpi, property, table};
use core::mem::size_of;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Returns the last reboot as a whole, or `None` if there was none.
pub fn header(machine: &Machine) -> Option<ReportHeader> {
    let takeover = &machine.takeover;
    let sum = |count: &dyn Fn(&Cpu) -> u64| machine.cpus.iter().map(count).sum();
    let exits = |cause| sum(&|cpu| cpu.exits.before(cause));
    (takeover.rendezvous.generation() > 0).then(|| ReportHeader {
        entered: takeover.times.entered.load(Acquire),
        copied: sum(&|cpu| cpu.times.copied.load(Relaxed)),
        zeroed: sum(&|cpu| cpu.times.zeroed.load(Relaxed)),
        failed_steps: sum(&|cpu| cpu.failed.lock().count),
        exits_call: exits(Cause::Call),
        exits_hook: exits(Cause::Hook),
        exits_fault: exits(Cause::Fault),
        exits_other: exits(Cause::Other),
        ..milestones(machine)
    })
}

/// Returns what is known of the takeover without asking each CPU.
fn milestones(machine: &Machine) -> ReportHeader {
    let takeover = &machine.takeover;
    let times = &takeover.times;
    ReportHeader {
        magic: baton_abi::REPORT_MAGIC,
        version: baton_abi::REPORT_VERSION,
        header_size: size_of::<ReportHeader>() as u64,
        row_size: size_of::<ReportRow>() as u64,
        rows: machine.cpus.len() as u64,
        generation: takeover.rendezvous.generation(),
        frequency: time::frequency(),
        source: takeover.source.load(Relaxed),
        requested: times.requested.load(Relaxed),
        validated: times.validated.load(Relaxed),
        kicked: times.kicked.load(Relaxed),
        phase1_end: times.phase1_end.load(Relaxed),
        phase2_end: times.phase2_end.load(Relaxed),
        phase3_end: times.phase3_end.load(Relaxed),
        missing: takeover.missing.load(Relaxed),
        ..Default::default()
    }
}

/// Writes the report of the takeover that is about to end for the next kernel's administrator: into its
/// device tree, at physical address `tree`, if that has room for one, and into the ACPI table, if there is
/// one. `copied` is in bytes.
pub fn write(machine: &Machine, tree: u64, copied: u64) {
    let property = place_in_tree(machine, tree);
    if property.is_none() && machine.report.is_none() {
        return;
    }
    let header = ReportHeader {
        copied,
        ..milestones(machine)
    };
    let text = console::with_log(|log| property::property(&header, |most| log.last_lines(most)));
    if let Some(place) = property {
        write_clean(&place, &text);
    }
    if let Some(place) = machine.report
        && let Some(start) = place.copy()
    {
        // It is the guest's memory, which a kernel without ACPI uses as any other.
        match acpi::is_table(&start) {
            true => write_table(machine, &place, &text),
            false => log::debug!(
                "no ACPI table at {:#x} any more: no report there",
                place.start()
            ),
        }
    }
}

/// Writes the ACPI table at `place`: in two parts, as a CPU's stack has no room for all of it.
fn write_table(machine: &Machine, place: &GuestRange, text: &[u8; property::SIZE]) {
    let header = acpi::header(text);
    write_clean(place, &header);
    let behind = place.start() + header.len() as u64;
    if let Some(place) = machine.ram.range(behind, text.len() as u64) {
        write_clean(&place, text);
    }
}

fn write_clean(place: &GuestRange, bytes: &[u8]) {
    if place.write(bytes) {
        cache::clean_to_poc(place.start() as usize, bytes.len());
    }
}

/// Returns where the device tree at physical address `tree` has room for the report.
fn place_in_tree(machine: &Machine, tree: u64) -> Option<GuestRange> {
    let range = machine.ram.device_tree(tree)?;
    // SAFETY: All vCPUs are in the monitor.
    let at = property::find(unsafe { range.bytes() })?;
    machine.ram.range(tree + at as u64, property::SIZE as u64)
}

/// Returns the CPUs in the last reboot, in the order of the device tree.
pub fn rows(machine: &Machine) -> impl Iterator<Item = ReportRow> + Clone {
    let generation = machine.takeover.rendezvous.generation();
    let boot_cpu = machine.takeover.boot_cpu.load(Relaxed);
    machine.cpus.iter().map(move |cpu| {
        let flag = |set, flag| if set { flag } else { 0 };
        let took_part = cpu.member.arrival().has_arrived(generation);
        let time = |time: &core::sync::atomic::AtomicU64| {
            if took_part { time.load(Relaxed) } else { 0 }
        };
        ReportRow {
            mpidr: cpu.mpidr,
            flags: flag(took_part, baton_abi::ROW_TOOK_PART)
                | flag(
                    cpu.member.arrival().is_missing(generation),
                    baton_abi::ROW_MISSING,
                )
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
        }
    })
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
        print_rows(machine, &header);
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
    let generation = machine.takeover.rendezvous.generation();
    for cpu in &machine.cpus {
        if cpu.member.arrival().is_missing(generation) {
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
