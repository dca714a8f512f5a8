// SPDX-License-Identifier: Apache-2.0
//! The report on the console: as a table, in a line, or as numbers for programs.

use super::source;
use baton_abi::{
    DUMP_KERNELS, DUMP_MISSING, DUMP_NO_NOTE, DUMP_NONE, DUMP_OFF, DUMP_REGISTERS, ROW_MISSING,
    ROW_TOOK_PART, ReportHeader, ReportRow,
};
use core::fmt::{self, Arguments, Display, Formatter};

/// The bits of PSTATE that are the exception level.
const PSTATE_LEVEL: u64 = 0xc;

/// A duration in ticks, shown as microseconds with one decimal.
struct Span {
    ticks: u64,
    frequency: u64,
}

impl Display for Span {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let tenths = u128::from(self.ticks) * 10_000_000 / u128::from(self.frequency.max(1));
        let width = f.width().unwrap_or(0).saturating_sub(2);
        write!(f, "{:>width$}.{}", tenths / 10, tenths % 10)
    }
}

/// A line of the table: its name, and a time that the takeover has once, or once for each CPU.
enum Line {
    Once(&'static str, fn(&ReportHeader) -> u64),
    OnEach(&'static str, fn(&ReportRow) -> u64),
}

const TIMELINE: [Line; 10] = [
    Line::Once("memory taken away, CPUs kicked", |header| header.kicked),
    Line::OnEach("in the monitor", |row| row.arrived),
    Line::Once("all CPUs gathered", |header| header.gathered),
    Line::Once("list validated", |header| header.validated),
    Line::OnEach("phase 1 done: ONLINE > TEARDOWN_CPU", |row| row.phase1_end),
    Line::Once("phase 2 done: sync on the boot CPU", |header| {
        header.phase2_end
    }),
    Line::OnEach("copying", |row| row.copy_start),
    Line::OnEach("copied", |row| row.copy_end),
    Line::OnEach("phase 3 done: TEARDOWN_CPU > IDLE_DEAD", |row| {
        row.phase3_end
    }),
    Line::Once("next kernel entered", |header| header.entered),
];

/// Returns the report in one line.
pub fn summary(header: &ReportHeader) -> impl Display {
    let header = *header;
    fmt::from_fn(move |f| {
        write!(
            f,
            "generation {}: entered {} us after {}, {} KiB copied, {} CPUs missing, {} steps failed",
            header.generation,
            since(&header, header.requested, header.entered),
            source(&header),
            header.copied >> 10,
            header.missing,
            header.failed_steps,
        )
    })
}

/// Calls `line` with each line of the table.
pub fn write(
    header: &ReportHeader,
    rows: impl Iterator<Item = ReportRow> + Clone,
    mut line: impl FnMut(Arguments),
) {
    let with = |flag| {
        rows.clone()
            .filter(move |row| row.flags & flag != 0)
            .count()
    };
    line(format_args!(
        "reboot {} by {}: {} of {} CPUs taken, {} missing, {} steps failed",
        header.generation,
        source(header),
        with(ROW_TOOK_PART),
        header.rows,
        with(ROW_MISSING),
        header.failed_steps
    ));
    line(format_args!(
        "{:<40}{:>12}{:>6}{:>14}{:>6}",
        "us since the request", "first", "cpu", "last", "cpu"
    ));
    let span = |time| since(header, header.requested, time);
    for entry in &TIMELINE {
        match entry {
            Line::Once(name, time) => {
                line(format_args!("{name:<40}{:>32}", span(time(header))));
            }
            Line::OnEach(name, time) => {
                if let Some((first, last)) = first_and_last(rows.clone(), *time) {
                    line(format_args!(
                        "{name:<40}{:>12}{:>6}{:>14}{:>6}",
                        span(first.0),
                        first.1,
                        span(last.0),
                        last.1
                    ));
                }
            }
        }
    }
    line(format_args!(
        "copied {} KiB, zeroed {} KiB; most by one CPU {} KiB, least {} KiB",
        header.copied >> 10,
        header.zeroed >> 10,
        copied(rows.clone()).max().unwrap_or(0) >> 10,
        copied(rows.clone()).min().unwrap_or(0) >> 10
    ));
    line(format_args!(
        "PCI functions that lost their bus mastering: {}; SMMUs shut: {}",
        header.pci_stopped, header.smmus_shut
    ));
    line(format_args!(
        "hook to first instruction: {} us",
        since(header, header.requested, header.entered)
    ));
    if let Some((_, last)) = first_and_last(rows.clone(), |row| row.online) {
        line(format_args!(
            "first instruction to last CPU back online: {} us (cpu {}), {} of {} CPUs online",
            since(header, header.entered, last.0),
            last.1,
            rows.clone().filter(|row| row.online != 0).count(),
            header.rows
        ));
    }
    let left = [
        header.exits_call,
        header.exits_hook,
        header.exits_fault,
        header.exits_other,
    ];
    line(format_args!(
        "exits of the kernel that was left: {}",
        exits(left)
    ));
    for (index, row) in rows.enumerate().filter(|(_, row)| row.dump != DUMP_NONE) {
        line(format_args!("cpu {index}: {}", stopped(&row)));
    }
}

/// Returns where a CPU was when a panic stopped it, or why that is not known.
fn stopped(row: &ReportRow) -> impl Display {
    let row = *row;
    fmt::from_fn(move |f| {
        let ReportRow {
            pc, lr, sp, pstate, ..
        } = row;
        let level = if pstate & PSTATE_LEVEL == 0 { 0 } else { 1 };
        let registers = format_args!(
            "pc {pc:016x}, lr {lr:016x}, sp {sp:016x}, pstate {pstate:08x} (EL{level})"
        );
        match row.dump {
            DUMP_REGISTERS => write!(f, "{registers}"),
            DUMP_NO_NOTE => write!(f, "{registers}; its note was not found"),
            DUMP_KERNELS => f.write_str("as the kernel has written it into the dump"),
            DUMP_OFF => f.write_str("it was off"),
            DUMP_MISSING => f.write_str("no registers: it did not arrive"),
            other => write!(f, "no registers ({other})"),
        }
    })
}

/// Returns counts of exits in words: for calls, hooks, stage 2 faults, and others.
pub fn exits([calls, hooks, faults, others]: [u64; 4]) -> impl Display {
    fmt::from_fn(move |f| {
        write!(
            f,
            "{calls} calls, {hooks} hooks, {faults} faults, {others} others"
        )
    })
}

/// Calls `line` with the times as numbers for programs: one line for the takeover, and one for each
/// CPU.
///
/// Times are ticks since the request, and `-` for what did not happen. The lines are
///
/// ```text
/// times GENERATION FREQUENCY kicked gathered validated ALONE TREE phase1_end phase2_end phase3_end entered
/// row INDEX FLAGS arrived check_start check_end CHECKED phase1_start phase1_end phase3_start copy_start copy_end phase3_end online BYTES
/// ```
pub fn write_rows(
    header: &ReportHeader,
    rows: impl Iterator<Item = ReportRow>,
    mut line: impl FnMut(Arguments),
) {
    let since = |time| Ticks {
        from: header.requested,
        time,
    };
    line(format_args!(
        "times {} {} {} {} {} {} {} {} {} {} {}",
        header.generation,
        header.frequency,
        since(header.kicked),
        since(header.gathered),
        since(header.validated),
        header.checked_alone,
        header.checked_tree,
        since(header.phase1_end),
        since(header.phase2_end),
        since(header.phase3_end),
        since(header.entered)
    ));
    for (index, row) in rows.enumerate() {
        line(format_args!(
            "row {index} {} {} {} {} {} {} {} {} {} {} {} {} {}",
            row.flags,
            since(row.arrived),
            since(row.check_start),
            since(row.check_end),
            row.checked,
            since(row.phase1_start),
            since(row.phase1_end),
            since(row.phase3_start),
            since(row.copy_start),
            since(row.copy_end),
            since(row.phase3_end),
            since(row.online),
            row.copied
        ));
    }
}

/// A time, shown as ticks since another one, or `-` if it is 0.
struct Ticks {
    from: u64,
    time: u64,
}

impl Display for Ticks {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self.time {
            0 => f.write_str("-"),
            time => write!(f, "{}", time.saturating_sub(self.from)),
        }
    }
}

/// Returns the duration from `from` to `time`, two times in ticks.
fn since(header: &ReportHeader, from: u64, time: u64) -> impl Display + use<> {
    Span {
        ticks: time.saturating_sub(from),
        frequency: header.frequency,
    }
}

/// Returns how many bytes each CPU that took part has copied and zeroed.
fn copied(rows: impl Iterator<Item = ReportRow>) -> impl Iterator<Item = u64> {
    rows.filter(|row| row.flags & ROW_TOOK_PART != 0)
        .map(|row| row.copied)
}

/// Returns the first and the last time that is not 0, each with the index of its CPU.
fn first_and_last(
    rows: impl Iterator<Item = ReportRow> + Clone,
    time: fn(&ReportRow) -> u64,
) -> Option<((u64, usize), (u64, usize))> {
    let times = rows
        .enumerate()
        .map(|(cpu, row)| (time(&row), cpu))
        .filter(|(time, _)| *time != 0);
    Some((times.clone().min()?, times.max()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_abi::{ROW_BOOT_CPU, SOURCE_HOOK};

    fn report() -> (ReportHeader, Vec<ReportRow>) {
        let header = ReportHeader {
            rows: 3,
            generation: 2,
            frequency: 1_000_000,
            source: SOURCE_HOOK,
            requested: 1_000,
            kicked: 1_010,
            gathered: 1_052,
            validated: 1_060,
            checked_alone: 3,
            checked_tree: 2,
            phase1_end: 1_100,
            phase2_end: 1_150,
            phase3_end: 1_300,
            entered: 1_310,
            copied: 4 << 20,
            pci_stopped: 5,
            smmus_shut: 1,
            missing: 1,
            exits_call: 12,
            ..Default::default()
        };
        let row = |at, flags| ReportRow {
            flags,
            arrived: at,
            check_start: at + 32,
            check_end: at + 37,
            checked: 4,
            phase1_end: at + 10,
            online: at + 1_000,
            copied: 2 << 20,
            ..Default::default()
        };
        let rows = vec![
            row(1_021, ROW_TOOK_PART | ROW_BOOT_CPU),
            row(1_050, ROW_TOOK_PART),
            ReportRow {
                flags: ROW_MISSING,
                ..Default::default()
            },
        ];
        (header, rows)
    }

    fn lines() -> Vec<String> {
        let (header, rows) = report();
        let mut lines = Vec::new();
        write(&header, rows.iter().copied(), |line| {
            lines.push(line.to_string())
        });
        lines
    }

    #[track_caller]
    fn assert_line(expected: &str) {
        let lines = lines();
        assert!(
            lines.iter().any(|line| line == expected),
            "expected the line {expected:?}, seen:\n{}",
            lines.join("\n")
        );
    }

    #[test]
    fn names_request_source_and_cpus() {
        assert_line("reboot 2 by kernel_kexec(): 2 of 3 CPUs taken, 1 missing, 0 steps failed");
    }

    #[test]
    fn shows_first_and_last_cpu() {
        assert_line(
            "in the monitor                                  21.0     0          50.0     1",
        );
    }

    #[test]
    fn shows_what_happens_once_in_the_last_column() {
        assert_line("next kernel entered                                                310.0");
    }

    #[test]
    fn leaves_out_what_did_not_happen() {
        let seen = lines()
            .iter()
            .filter(|line| line.starts_with("copying"))
            .count();
        assert_eq!(seen, 0, "no CPU has begun to copy");
    }

    #[test]
    fn counts_what_was_stopped_of_devices() {
        assert_line("PCI functions that lost their bus mastering: 5; SMMUs shut: 1");
    }

    #[test]
    fn counts_from_the_first_instruction() {
        assert_line(
            "first instruction to last CPU back online: 740.0 us (cpu 1), 2 of 3 CPUs online",
        );
    }

    #[test]
    fn says_where_a_panic_has_stopped_each_cpu() {
        let (header, mut rows) = report();
        let row = |dump, pstate| ReportRow {
            dump,
            pc: 0xffff_8000_0801_0000,
            sp: 0xffff_8000_0a00_3f00,
            lr: 0xffff_8000_0801_0abc,
            pstate,
            ..Default::default()
        };
        rows = vec![
            row(DUMP_REGISTERS, 0x6000_03c5),
            row(DUMP_NO_NOTE, 0x8000_0000),
            row(DUMP_KERNELS, 0),
            row(DUMP_OFF, 0),
            row(DUMP_MISSING, 0),
            rows[0],
        ];
        let mut seen = Vec::new();
        write(&header, rows.into_iter(), |line| {
            seen.push(line.to_string())
        });
        let lines: Vec<_> = seen
            .iter()
            .filter(|line| line.starts_with("cpu "))
            .collect();
        let registers = "pc ffff800008010000, lr ffff800008010abc, sp ffff80000a003f00, pstate ";
        let expected = [
            format!("cpu 0: {registers}600003c5 (EL1)"),
            format!("cpu 1: {registers}80000000 (EL0); its note was not found"),
            "cpu 2: as the kernel has written it into the dump".into(),
            "cpu 3: it was off".into(),
            "cpu 4: no registers: it did not arrive".into(),
        ];
        assert_eq!(lines, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn gives_programs_ticks_since_the_request() {
        let (header, rows) = report();
        let mut seen = Vec::new();
        write_rows(&header, rows.into_iter(), |line| {
            seen.push(line.to_string())
        });
        let expected = [
            "times 2 1000000 10 52 60 3 2 100 150 300 310",
            "row 0 5 21 53 58 4 - 31 - - - - 1021 2097152",
            "row 1 1 50 82 87 4 - 60 - - - - 1050 2097152",
            "row 2 2 - - - 0 - - - - - - - 0",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn summary_is_one_line() {
        let (header, _) = report();
        assert_eq!(
            summary(&header).to_string(),
            "generation 2: entered 310.0 us after kernel_kexec(), 4096 KiB copied, 1 CPUs missing, \
             0 steps failed"
        );
    }
}
