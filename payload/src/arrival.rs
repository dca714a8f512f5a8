// SPDX-License-Identifier: Apache-2.0
//! Checks of what a new generation is promised.

use crate::call::code;
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::entry_state::{BOOT_STATE, EntryState};
use crate::gic::v2;
use crate::kexec;
use crate::outcome::{Outcome, ensure, expect};
use crate::report::{self, Fate, Report};
use crate::states;

/// Checks memory, the report and the state of each CPU, and brings all CPUs up.
pub fn check(context: &Context) -> Outcome<Report> {
    let cpus = context.cpus;
    check_entry_state(cpus.boot, BOOT_STATE.get())?;
    expect(
        "CPU that the generation starts on",
        context.handover.boot_mpidr,
        cpus.boot.mpidr(),
    )?;
    kexec::check_memory(&context.handover)?;
    say!(
        "memory content came over: {} KiB copied",
        context.handover.copied / 1024
    );
    let report = report::fetch(context.arena)?;
    let missing = match context.generation {
        1 => context.options.missing,
        _ => 0,
    };
    report::check(&report, &cpus, &context.handover, missing)?;
    report::print(&report);
    states::check_witness(context.arena, &cpus, report.header.kicked)?;
    let boot = cpus.boot;
    let rows = cpus.all.iter().zip(report.rows);
    let others = rows.filter(move |(cpu, _)| !core::ptr::eq(*cpu, boot));
    let late = context.options.late;
    if late {
        say!("waiting for the lost CPUs to arrive");
        let lost = others.clone().filter(|(_, row)| row.is_lost());
        let lost = lost.map(|(cpu, _)| cpu);
        wait_for(lost, "to arrive late and be OFF", |cpu| {
            cpu.affinity_info() == code::AFFINITY_OFF
        })?;
    }
    for (cpu, row) in others.clone() {
        let what = format_args!("AFFINITY_INFO of CPU {:#x}", cpu.mpidr());
        // A lost CPU counts as ON, or as ON_PENDING if it was in a CPU_ON.
        match cpu.affinity_info() {
            code::AFFINITY_ON_PENDING if row.is_lost() && !late => {}
            seen if row.is_lost() && !late => expect(what, code::AFFINITY_ON, seen)?,
            seen => expect(what, code::AFFINITY_OFF, seen)?,
        }
    }
    let startable = others
        .clone()
        .filter(move |(_, row)| late || !row.is_lost());
    let startable = startable.map(|(cpu, _)| cpu);
    cpus.bring_up(startable.clone())?;
    for cpu in startable.clone() {
        check_entry_state(cpu, cpu.entry_state.get())?;
        let what = format_args!("SGIs pending on CPU {:#x}", cpu.mpidr());
        expect(what, 0, cpu.run(v2::pending_sgis, 0)?)?;
    }
    for (cpu, row) in others {
        let what = format_args!("CPU_ON of CPU {:#x}, which is on or lost", cpu.mpidr());
        match cpu.affinity_info() {
            code::AFFINITY_ON_PENDING if row.is_lost() => {
                expect(what, code::ON_PENDING, cpu.turn_on())?;
            }
            _ => expect(what, code::ALREADY_ON, cpu.turn_on())?,
        }
    }
    say!(
        "{} of {} CPUs are up",
        startable.count() + 1,
        cpus.all.len()
    );
    Ok(report)
}

/// A CPU enters at EL1 with SP_EL1, the MMU and data cache off, all interrupts masked.
pub fn check_entry_state(cpu: &Cpu, state: EntryState) -> Outcome {
    let mpidr = cpu.mpidr();
    let sctlr = state.sctlr_el1;
    ensure!(
        sctlr & 5 == 0,
        "SCTLR_EL1 of CPU {mpidr:#x}: expected M = C = 0, seen {sctlr:#x}"
    );
    for (what, expected, seen) in [
        ("CurrentEL", 1 << 2, state.currentel),
        ("SPSel", 1, state.spsel),
        ("DAIF", 0xf << 6, state.daif),
    ] {
        ensure!(
            expected == seen,
            "{what} of CPU {mpidr:#x}: expected {expected:#x}, seen {seen:#x}"
        );
    }
    Ok(())
}
