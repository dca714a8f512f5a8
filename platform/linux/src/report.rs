// SPDX-License-Identifier: Apache-2.0
//! `baton report`: the last reboot, as the monitor itself prints it, or as JSON.

use crate::evidence::{Evidence, Times};
use baton_abi::{
    DUMP_NO_NOTE, DUMP_REGISTERS, ROW_BOOT_CPU, ROW_MISSING, ROW_TOOK_PART, ReportRow,
    SOURCE_CRASH, SOURCE_HOOK, SOURCE_INTERRUPT,
};
use baton_core::report::table;
use serde::Serialize;
use std::fmt::Write;

/// The last reboot. Times are microseconds since the request, and `None` for what did not happen, or not
/// before the report was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The number of the kernel that it started.
    pub generation: u64,
    /// Who asked for it: `kernel_kexec` or `call`.
    pub source: &'static str,
    /// CPUs of the machine.
    pub cpus: u64,
    /// Those that did not arrive in time.
    pub missing: u64,
    /// Teardown steps that failed.
    pub failed_steps: u64,
    /// The old kernel had lost its memory, and all CPUs had been kicked.
    pub kicked: Option<f64>,
    /// All CPUs were in the monitor.
    pub gathered: Option<f64>,
    /// The list was found valid.
    pub validated: Option<f64>,
    /// All CPUs had finished phase 1.
    pub phase1_end: Option<f64>,
    /// The boot CPU had finished phase 2.
    pub phase2_end: Option<f64>,
    /// All CPUs had finished phase 3.
    pub phase3_end: Option<f64>,
    /// The report was written, and the next kernel entered.
    pub entered: Option<f64>,
    /// Bytes that were copied, and zeroed.
    pub copied: u64,
    /// Bytes that were zeroed.
    pub zeroed: u64,
    /// Each CPU.
    pub rows: Vec<Row>,
}

/// A CPU in a reboot. Times are as in [`Report`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The affinity fields of its MPIDR_EL1.
    pub mpidr: u64,
    /// It took part.
    pub took_part: bool,
    /// It did not arrive in time.
    pub missing: bool,
    /// It made the request, and boots the next kernel.
    pub boot_cpu: bool,
    /// It was in the monitor.
    pub arrived: Option<f64>,
    /// It had finished phase 1.
    pub phase1_end: Option<f64>,
    /// It began phase 3.
    pub phase3_start: Option<f64>,
    /// It began to copy.
    pub copy_start: Option<f64>,
    /// It had copied its share.
    pub copy_end: Option<f64>,
    /// It had finished phase 3.
    pub phase3_end: Option<f64>,
    /// Bytes that it copied and zeroed.
    pub copied: u64,
    /// Where a panic has stopped it, if that is known.
    pub registers: Option<Registers>,
}

/// Some of the registers of a CPU that a panic has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registers {
    /// Where it would have gone on.
    pub pc: u64,
    /// Its link register.
    pub lr: u64,
    /// The stack pointer that was in use.
    pub sp: u64,
    /// PSTATE in the format of SPSR_EL2.
    pub pstate: u64,
}

impl Registers {
    fn of(row: &ReportRow) -> Option<Self> {
        matches!(row.dump, DUMP_REGISTERS | DUMP_NO_NOTE).then_some(Self {
            pc: row.pc,
            lr: row.lr,
            sp: row.sp,
            pstate: row.pstate,
        })
    }
}

impl From<&Times> for Report {
    fn from(times: &Times) -> Self {
        let header = &times.header;
        let rows = times.rows.iter().map(|row| Row {
            mpidr: row.mpidr,
            took_part: row.flags & ROW_TOOK_PART != 0,
            missing: row.flags & ROW_MISSING != 0,
            boot_cpu: row.flags & ROW_BOOT_CPU != 0,
            arrived: times.us(row.arrived),
            phase1_end: times.us(row.phase1_end),
            phase3_start: times.us(row.phase3_start),
            copy_start: times.us(row.copy_start),
            copy_end: times.us(row.copy_end),
            phase3_end: times.us(row.phase3_end),
            copied: row.copied,
            registers: Registers::of(row),
        });
        Self {
            generation: header.generation,
            source: match header.source {
                SOURCE_HOOK => "kernel_kexec",
                SOURCE_CRASH => "crash_kexec",
                SOURCE_INTERRUPT => "crash_interrupt",
                _ => "call",
            },
            cpus: header.rows,
            missing: header.missing,
            failed_steps: header.failed_steps,
            kicked: times.us(header.kicked),
            gathered: times.us(header.gathered),
            validated: times.us(header.validated),
            phase1_end: times.us(header.phase1_end),
            phase2_end: times.us(header.phase2_end),
            phase3_end: times.us(header.phase3_end),
            entered: times.us(header.entered),
            copied: header.copied,
            zeroed: header.zeroed,
            rows: rows.collect(),
        }
    }
}

/// Returns the last reboot as the monitor prints it, or that there was none.
pub fn text(evidence: &Evidence) -> String {
    let Some(times) = &evidence.times else {
        return "no reboot yet: this is the first kernel under Baton\n".into();
    };
    let mut text = String::new();
    table::write(&times.header, times.rows.iter().copied(), |line| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;
    use crate::live_log::Log;

    fn evidence(times: Option<Times>) -> Evidence {
        Evidence {
            place: "",
            text: String::new(),
            log: Log {
                text: String::new(),
                old: None,
            },
            times,
        }
    }

    #[test]
    fn is_what_the_monitor_prints() {
        let text = text(&evidence(Some(fake::times())));
        for line in [
            "reboot 2 by kernel_kexec(): 2 of 2 CPUs taken, 0 missing, 0 steps failed\n",
            "in the monitor                                  21.0     0          50.0     1\n",
            "hook to first instruction: 310.0 us\n",
        ] {
            assert!(text.contains(line), "expected {line:?}, seen:\n{text}");
        }
    }

    #[test]
    fn before_the_first_reboot_says_so() {
        assert!(text(&evidence(None)).starts_with("no reboot yet"));
    }

    #[test]
    fn json_has_microseconds_and_null() {
        let mut times = fake::times();
        times.rows[1].copy_start = 0;
        (times.rows[1].dump, times.rows[1].pc) = (DUMP_REGISTERS, 0x7000);
        let json = serde_json::to_value(Report::from(&times)).expect("JSON");
        assert_eq!(json["generation"], 2);
        assert_eq!(json["source"], "kernel_kexec");
        assert_eq!(json["entered"], 310.0);
        assert_eq!(json["rows"][0]["arrived"], 21.0);
        assert_eq!(json["rows"][1]["copy_start"], serde_json::Value::Null);
        assert_eq!(json["rows"][1]["registers"]["pc"], 0x7000);
        assert_eq!(json["rows"][0]["boot_cpu"], true);
        assert_eq!(json["rows"][0]["registers"], serde_json::Value::Null);
    }
}
