// SPDX-License-Identifier: Apache-2.0
//! The monitor's report on the last reboot: fetched, checked and printed.

use crate::arena::{Arena, REPORT_SIZE};
use crate::call;
use crate::console::say;
use crate::cpus::Cpus;
use crate::handover::Handover;
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::time::{frequency, microseconds, physical_now};
use baton_abi::{
    REPORT, REPORT_MAGIC, REPORT_VERSION, ROW_BOOT_CPU, ROW_MISSING, ROW_TOOK_PART, ReportHeader,
    ReportRow, SOURCE_CALL,
};
use zerocopy::FromBytes;

/// A report in the arena.
pub struct Report {
    /// The reboot as a whole.
    pub header: &'static ReportHeader,
    /// Its CPUs.
    pub rows: &'static [ReportRow],
}

/// What a row says of its CPU.
pub trait Fate {
    /// It did not arrive: it is lost.
    fn is_lost(&self) -> bool;
}

impl Fate for ReportRow {
    fn is_lost(&self) -> bool {
        self.flags & ROW_MISSING != 0
    }
}

/// Asks for the size, then for the report, and takes it apart.
pub fn fetch(arena: Arena) -> Outcome<Report> {
    let size = call::vendor(REPORT, [0, 0, 0]);
    ensure!(
        (size_of::<ReportHeader>() as i64..=REPORT_SIZE as i64).contains(&size),
        "size of the report: expected up to {REPORT_SIZE}, seen {size}"
    );
    expect(
        "REPORT",
        size,
        call::vendor(REPORT, [arena.report(), REPORT_SIZE, 0]),
    )?;
    // SAFETY: the room for a report is the arena's, and the monitor has written `size` bytes of it.
    let bytes: &'static [u8] =
        unsafe { core::slice::from_raw_parts(arena.report() as *const u8, size as usize) };
    let Ok((header, rest)) = ReportHeader::ref_from_prefix(bytes) else {
        fail!("expected a report header, seen {size} bytes")
    };
    expect("magic of the report", REPORT_MAGIC, header.magic)?;
    expect("version of the report", REPORT_VERSION, header.version)?;
    expect(
        "header_size",
        size_of::<ReportHeader>() as u64,
        header.header_size,
    )?;
    expect("row_size", size_of::<ReportRow>() as u64, header.row_size)?;
    let Ok((rows, rest)) = <[ReportRow]>::ref_from_prefix_with_elems(rest, header.rows as usize)
    else {
        fail!("expected {} rows, seen {} bytes", header.rows, rest.len())
    };
    expect("bytes behind the last row", 0, rest.len())?;
    Ok(Report { header, rows })
}

/// Expects times to be in order and known.
fn in_order(of: &str, times: &[(&str, u64)]) -> Outcome {
    for pair in times.windows(2) {
        let &[(before, earlier), (after, later)] = pair else {
            continue;
        };
        ensure!(
            earlier != 0 && earlier <= later,
            "report, {of}: expected {before} <= {after}, seen {earlier} and {later}"
        );
    }
    Ok(())
}

/// Checks the report against what the former generation knew.
pub fn check(report: &Report, cpus: &Cpus, handover: &Handover, missing: u64) -> Outcome {
    let h = report.header;
    expect("rows", cpus.all.len(), report.rows.len())?;
    expect(
        "generation in the report",
        handover.generation,
        h.generation,
    )?;
    expect("frequency", frequency(), h.frequency)?;
    expect("request source", SOURCE_CALL, h.source)?;
    in_order(
        "times",
        &[
            ("asked", handover.asked_at),
            ("requested", h.requested),
            ("kicked", h.kicked),
            ("gathered", h.gathered),
            ("validated", h.validated),
            ("phase1_end", h.phase1_end),
            ("phase2_end", h.phase2_end),
            ("phase3_end", h.phase3_end),
            ("entered", h.entered),
            ("now", physical_now()),
        ],
    )?;
    expect("copied", handover.copied, h.copied)?;
    expect("zeroed", 0, h.zeroed)?;
    expect("missing", missing, h.missing)?;
    let lost = report.rows.iter().filter(|row| row.is_lost()).count() as u64;
    expect("rows that say missing", missing, lost)?;
    expect("failed_steps", 0, h.failed_steps)?;
    expect("exits_hook", 0, h.exits_hook)?;
    ensure!(
        h.exits_other >= handover.hooks,
        "exits_other: expected {} or more, for hooks where none is patched, seen {}",
        handover.hooks,
        h.exits_other
    );
    for (cpu, row) in cpus.all.iter().zip(report.rows) {
        check_row(h, row, cpu.mpidr(), handover.boot_mpidr)?;
    }
    let copied: u64 = report.rows.iter().map(|row| row.copied).sum();
    expect(
        "copied and zeroed, over all rows",
        h.copied + h.zeroed,
        copied,
    )
}

fn check_row(h: &ReportHeader, row: &ReportRow, mpidr: u64, boot: u64) -> Outcome {
    expect("mpidr of a row", mpidr, row.mpidr)?;
    let flags = row.flags;
    let known = ROW_TOOK_PART | ROW_MISSING | ROW_BOOT_CPU;
    ensure!(
        flags & !known == 0,
        "flags of CPU {mpidr:#x}: expected {known:#x}, seen {flags:#x}"
    );
    expect(
        format_args!("CPU {mpidr:#x} is the boot CPU"),
        mpidr == boot,
        flags & ROW_BOOT_CPU != 0,
    )?;
    if flags & ROW_TOOK_PART == 0 || row.is_lost() {
        return expect(
            format_args!("bytes copied by CPU {mpidr:#x}, which took no part"),
            0,
            row.copied,
        );
    }
    in_order(
        "times of a CPU",
        &[
            ("requested", h.requested),
            ("arrived", row.arrived),
            ("gathered", h.gathered),
            ("check_start", row.check_start),
            ("check_end", row.check_end),
            ("validated", h.validated),
            ("phase1_start", row.phase1_start),
            ("phase1_end", row.phase1_end),
            ("phase1_end of all", h.phase1_end),
        ],
    )?;
    in_order(
        "times of a CPU",
        &[
            ("copy_start", row.copy_start),
            ("copy_end", row.copy_end),
            ("phase3_end", row.phase3_end),
            ("phase3_end of all", h.phase3_end),
        ],
    )
}

/// Prints the report in a few lines.
pub fn print(report: &Report) {
    let h = report.header;
    let took = |flag: u64| {
        report
            .rows
            .iter()
            .filter(|row| row.flags & flag != 0)
            .count()
    };
    let us = |from: u64, to: u64| microseconds(to.saturating_sub(from));
    say!(
        "report: {} CPUs taken, {} missing, {} KiB copied, {} us from the call to the entry",
        took(ROW_TOOK_PART),
        h.missing,
        h.copied / 1024,
        us(h.requested, h.entered)
    );
    say!(
        "report: kick {} us, gather {} us, validate {} us, phase 1 {} us, phase 2 {} us, phase 3 {} us, enter {} us",
        us(h.requested, h.kicked),
        us(h.kicked, h.gathered),
        us(h.gathered, h.validated),
        us(h.validated, h.phase1_end),
        us(h.phase1_end, h.phase2_end),
        us(h.phase2_end, h.phase3_end),
        us(h.phase3_end, h.entered)
    );
    say!(
        "report: exits of the last generation: {} calls, {} hooks, {} faults, {} others",
        h.exits_call,
        h.exits_hook,
        h.exits_fault,
        h.exits_other
    );
}
