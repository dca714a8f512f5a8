// SPDX-License-Identifier: Apache-2.0
//! `make soak`: many kexecs in a row, each from under CPUs in other states.
//!
//! What was seen is kept in `target/soak/kexecs.csv`, with `BOOT=uefi` in `target/soak/uefi/kexecs.csv`, a line
//! for each kexec, and the next run of the same build goes on from there.

mod record;
mod report;

use crate::{text, value};
use baton_qemu::console::{self, Limits, Line};
use baton_qemu::{Guest, Machine, Task, checksum, linux, paths};
use record::{Kind, Record, Row};
use std::time::{Duration, Instant};

/// Kexecs with the probe, unless `N=` says otherwise; with Linux a twentieth of it.
const KEXECS: u32 = 1000;
const LINUX_SHARE: u32 = 20;
/// How long one kexec may take.
const SILENCE: Duration = Duration::from_secs(240);

/// Runs until there are enough kexecs, or `CHUNK=` seconds are over, and writes the report.
pub fn soak() -> Result<(), String> {
    let number = |name, default| value(name, default, "a number").map_err(text);
    let kexecs = number("N", KEXECS)?;
    let wanted = [
        (Kind::Probe, 80, kexecs),
        (Kind::Linux, 8, kexecs.div_ceil(LINUX_SHARE)),
    ];
    let until = Instant::now() + Duration::from_secs(number("CHUNK", u32::MAX)?.into());
    let monitor = checksum(&paths::monitor()).map_err(text)?;
    let by_uefi = Machine::from_env(1).map_err(text)?.uefi.is_some();
    let folder = paths::soak().join(if by_uefi { "uefi" } else { "" });
    let mut record = Record::open(&folder, monitor)?;
    let has_all = |&(kind, _, wanted)| record.count(kind) >= wanted;
    if wanted.iter().all(has_all) {
        println!("  nothing is left to do: this build has had all of its kexecs");
    }
    let mut result = Ok(());
    for (kind, smp, wanted) in wanted {
        while result.is_ok() && record.count(kind) < wanted && Instant::now() < until {
            result = machine(&mut record, kind, smp, wanted, until);
        }
    }
    let path = report::write(&record, wanted)?;
    println!("  {}", path.display());
    result
}

/// One machine, for as many kexecs as are left.
fn machine(
    record: &mut Record,
    kind: Kind,
    smp: u32,
    wanted: u32,
    until: Instant,
) -> Result<(), String> {
    let left = wanted - record.count(kind);
    let number = record.next_machine(kind);
    let mut machine = Machine::from_env(smp).map_err(text)?;
    // What the monitor says of its memory, after every kexec.
    machine.baton = format!("log=debug {}", machine.baton).trim_end().to_owned();
    let guest = match kind {
        Kind::Probe => Guest {
            kernel: paths::probe(),
            initrd: None,
            append: format!("test=soak generations={left} seed={number}"),
        },
        Kind::Linux => Task::Kexec {
            times: left,
            checks: false,
        }
        .guest("baton.faults=on"),
    };
    println!(
        "  {kind}, machine {number}: {left} kexecs on {} vCPUs",
        machine.smp
    );
    let (start, mut done, mut shown) = (Instant::now(), 0, Instant::now());
    let mut seen = Seen::new(kind, number, machine.smp);
    let mut problem = None;
    let limits = Limits {
        total: Duration::from_secs(7 * 24 * 3600),
        silence: SILENCE,
    };
    let command = machine.command(&guest).map_err(text)?;
    let console = console::watch(command, limits, |line| {
        match seen.line(line) {
            Ok(None) => {}
            Ok(Some(row)) => {
                problem = record.add(row).err();
                done += 1;
                if shown.elapsed() > Duration::from_secs(20) {
                    shown = Instant::now();
                    let rest = start.elapsed() * (left - done) / done;
                    let minutes = rest.as_secs().div_ceil(60);
                    println!("    {done} of {left}, {minutes} minutes to go");
                }
            }
            Err(reason) => problem = Some(reason),
        }
        // A line more after the last kexec tells how the machine ends.
        problem.is_none() && (Instant::now() < until || done == left)
    })
    .map_err(text)?;
    let stopped = matches!(console.end, console::End::Stopped);
    if problem.is_none() && !stopped && (done < left || !console.end.is_clean()) {
        problem = Some(format!(
            "expected {left} kexecs, seen {done}: {}",
            console.end
        ));
    }
    match problem {
        None => Ok(()),
        Some(reason) => Err(format!("{reason}\n{}", console.tail(60))),
    }
}

/// What was seen of the kexec that is under way.
struct Seen {
    row: Row,
    /// The monitor's memory after the first kexec of this machine.
    memory: Option<String>,
}

impl Seen {
    fn new(kind: Kind, machine: u32, smp: u32) -> Self {
        Self {
            row: Row {
                kind,
                machine,
                smp,
                ..Row::default()
            },
            memory: None,
        }
    }

    /// Looks at a line; returns the kexec that it ends.
    ///
    /// # Errors
    /// What was expected, and what was seen.
    fn line(&mut self, line: &Line) -> Result<Option<Row>, String> {
        let text = line.text.as_str();
        let expected = |what: &str| Err(format!("expected {what}, seen \"{text}\""));
        if ["FAIL", "baton: error: ", "did not arrive"]
            .iter()
            .any(|bad| text.contains(bad))
        {
            return expected("no failure and all CPUs");
        }
        if let Some(memory) = between(text, "baton: debug: generation ", " stage 2 roots free") {
            self.row.kexec = between(text, "generation ", ":")
                .unwrap_or_default()
                .parse()
                .unwrap_or(0);
            let memory = after(memory, ": ");
            let first = self.memory.get_or_insert_with(|| memory.to_owned());
            if first != memory {
                let what =
                    format!("as much of the monitor's memory as after the first kexec, {first}");
                return expected(&what);
            }
            let (heap, roots) = memory
                .split_once(" bytes of the heap in use, ")
                .unwrap_or_default();
            let roots = roots.split(' ').next().unwrap_or_default();
            (self.row.heap, self.row.free_roots) = match (heap.parse(), roots.parse()) {
                (Ok(heap), Ok(roots)) => (heap, roots),
                _ => return expected("the monitor's memory"),
            };
        }
        if text.contains(" us after ") && text.contains("baton: generation ") {
            let us = between(text, "entered ", " us after").and_then(|us| us.parse().ok());
            self.row.us = us.unwrap_or(f64::NAN);
            if !text.contains(" 0 CPUs missing, 0 steps failed") {
                return expected("all CPUs and all steps");
            }
        }
        if let Some(state) = between(text, "probe: state ", " CPUs") {
            self.row.states.push(state.replace(": ", "="));
        }
        if let Some((_, fault)) = text.split_once("guest: fault: ") {
            self.row
                .states
                .push(format!("{}=1", fault.replace([' ', ','], "-")));
        }
        let smp = self.row.smp;
        let up = match self.row.kind {
            Kind::Probe => text
                .ends_with(" CPUs are up")
                .then(|| text.contains(&format!("probe: {smp} of {smp} "))),
            Kind::Linux => linux::generation(text).map(|g| (g.online, g.cpus) == (smp, smp)),
        };
        match up {
            Some(false) => expected(&format!("{smp} CPUs")),
            Some(true) if self.row.kexec > 0 => {
                let row = self.row.clone();
                self.row.states.clear();
                self.row.kexec = 0;
                Ok(Some(row))
            }
            _ => Ok(None),
        }
    }
}

/// What stands in `text` between two others.
fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(behind)?.0)
}

/// What stands in `text` behind another; all of it if that is not there.
fn after<'a>(text: &'a str, before: &str) -> &'a str {
    text.split_once(before).map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a machine of two CPUs says of a kexec.
    const GOOD: [&str; 4] = [
        "probe: state wfe: 1 CPUs",
        "baton: debug: generation 1: 174408 bytes of the heap in use, 16 of 16 stage 2 roots free",
        "baton: generation 1: entered 52.5 us after the KEXEC call, 4 KiB copied, 0 CPUs missing, 0 steps failed",
        "probe: 2 of 2 CPUs are up",
    ];

    fn look(seen: &mut Seen, texts: &[&str]) -> Result<Option<Row>, String> {
        let line = |text: &&str| Line {
            at: Duration::ZERO,
            text: (*text).to_owned(),
        };
        texts
            .iter()
            .try_fold(None, |_, text| seen.line(&line(text)))
    }

    #[test]
    fn reads_a_kexec() {
        let row = look(&mut Seen::new(Kind::Probe, 3, 2), &GOOD)
            .unwrap()
            .unwrap();
        assert_eq!(
            (row.machine, row.kexec, row.heap, row.free_roots),
            (3, 1, 174_408, 16)
        );
        assert_eq!((row.us, row.states), (52.5, vec!["wfe=1".to_owned()]));
    }

    #[test]
    fn sees_what_is_wrong() {
        for (at, bad) in [
            (0, "probe: FAIL checksum of memory that nobody writes"),
            (
                1,
                "baton: warning: cpu 1 (MPIDR 0x1) did not arrive within 1000 ms",
            ),
            (
                2,
                "baton: generation 1: entered 5.0 us after the KEXEC call, 4 KiB copied, 1 CPUs missing, 0 steps failed",
            ),
            (3, "probe: 1 of 2 CPUs are up"),
        ] {
            let mut lines = GOOD;
            lines[at] = bad;
            let seen = look(&mut Seen::new(Kind::Probe, 1, 2), &lines);
            assert!(seen.is_err(), "{bad}");
        }
    }

    #[test]
    fn sees_memory_that_is_lost() {
        for lost in [
            "baton: debug: generation 2: 174424 bytes of the heap in use, 16 of 16 stage 2 roots free",
            "baton: debug: generation 2: 174408 bytes of the heap in use, 15 of 16 stage 2 roots free",
        ] {
            let mut seen = Seen::new(Kind::Probe, 1, 2);
            look(&mut seen, &GOOD).unwrap();
            assert!(look(&mut seen, &[lost]).is_err(), "{lost}");
        }
    }
}
