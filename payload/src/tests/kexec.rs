//! `test=kexec`: reboots into a copy of itself with its CPUs in all kinds of states.

use super::Context;
use crate::call::code;
use crate::console::say;
use crate::cpu::Cpu;
use crate::entry::{BOOT_STATE, EntryState};
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::{kexec, report, states};
use core::sync::atomic::Ordering::Relaxed;

/// Every CPU with this index modulo 8 is never started by generation 0.
const NEVER_STARTED: usize = 7;

/// Spreads the CPUs and reboots, until the wanted generation is there.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    check_entry_state(cpus.boot, BOOT_STATE.get())?;
    if context.generation > 0 {
        arrive(context)?;
    }
    if context.generation >= context.options.generations {
        return Ok(());
    }
    if context.generation == 0 {
        let started = |(n, cpu): (usize, &'static Cpu)| (n % 8 != NEVER_STARTED).then_some(cpu);
        let boot = cpus.boot;
        let which = cpus.all.iter().enumerate().filter_map(started);
        cpus.bring_up(which.filter(move |cpu| !core::ptr::eq(*cpu, boot)))?;
    }
    let mut prepared = kexec::prepare(
        context.machine,
        &cpus,
        context.options,
        context.arena,
        context.generation,
    )?;
    let up = cpus.others().filter(|cpu| cpu.entered.load(Relaxed) > 0);
    states::spread(up.clone(), context.generation)?;
    say!("{} CPUs are in their states, rebooting", up.count());
    let refused = prepared.go();
    fail!("KEXEC: expected not to return, seen {refused}")
}

/// Checks what a new generation is promised.
fn arrive(context: &Context) -> Outcome {
    let cpus = context.cpus;
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
    for cpu in cpus.others() {
        expect(
            format_args!("AFFINITY_INFO of CPU {:#x}", cpu.mpidr()),
            code::AFFINITY_OFF,
            cpu.affinity_info(),
        )?;
    }
    let report = report::fetch(context.arena)?;
    report::check(&report, &cpus, &context.handover)?;
    report::print(&report);
    cpus.bring_up(cpus.others())?;
    for cpu in cpus.others() {
        check_entry_state(cpu, cpu.entry_state.get())?;
        expect(
            format_args!("second CPU_ON of CPU {:#x}", cpu.mpidr()),
            code::ALREADY_ON,
            cpu.turn_on(),
        )?;
    }
    say!("all {} CPUs are up", cpus.all.len());
    Ok(())
}

/// A CPU enters at EL1 with SP_EL1, the MMU and data cache off, all interrupts masked.
fn check_entry_state(cpu: &Cpu, state: EntryState) -> Outcome {
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
