// SPDX-License-Identifier: Apache-2.0
//! `test=audit`: a kernel that leaves state in every register, and the next one that looks for it.
//!
//! Generation 0 fills every register of every CPU and of the interrupt controller, and reboots.
//! Generation 1 audits. With `after=linux` generation 0 audits at once: Linux ran before it.

use crate::audit::interrupts::{self, Controller};
use crate::audit::its::{self, Its};
use crate::audit::sheet::{self, SHEET};
use crate::audit::{self, AUDITED, dirty, pci, smmu};
use crate::call::code;
use crate::console::say;
use crate::context::Context;
use crate::cpu::{Cpu, Job};
use crate::cpus::{Cpus, wait_for};
use crate::kexec;
use crate::machine::Gic;
use crate::options::After;
use crate::outcome::{Outcome, ensure, expect, fail};
use crate::smmu::Smmu;
use crate::time::TIMEOUT_MS;
use crate::{gic, time};
use baton_abi::steps;
use core::sync::atomic::Ordering::Relaxed;

/// Fills, or audits.
pub fn run(context: &Context) -> Outcome {
    if context.generation == 0 && context.options.after == After::Probe {
        leave_everything(context)
    } else {
        audit(context)
    }
}

/// Runs a job on all CPUs at once, the boot CPU included; fails if one does not return `expected`.
fn on_all(cpus: Cpus, what: &str, job: Job, expected: impl Fn(&Cpu) -> u64) -> Outcome {
    for cpu in cpus.others() {
        cpu.start(job, 0);
    }
    let check = |cpu: &Cpu, seen: u64| {
        let expected = expected(cpu);
        let mpidr = cpu.mpidr();
        ensure!(
            expected == seen,
            "{what} of CPU {mpidr:#x}: expected {expected}, seen {seen}"
        );
        Ok(())
    };
    check(cpus.boot, job(cpus.boot, 0))?;
    wait_for(cpus.others(), what, |cpu| cpu.result().is_some())?;
    for cpu in cpus.others() {
        check(cpu, cpu.result().unwrap_or(0))?;
    }
    Ok(())
}

fn leave_everything(context: &Context) -> Outcome {
    let cpus = context.cpus;
    cpus.bring_up(cpus.others())?;
    on_all(cpus, "timers armed", dirty::timers, |_| 0)?;
    leave_interrupts(context)?;
    if let Some(bus) = context.machine.pci {
        pci::dirty(bus);
    }
    if let Some(base) = context.machine.smmu {
        Smmu::set_up(base, context.arena, context.machine)?.fail();
    }
    on_all(cpus, "registers filled", dirty::registers, |_| 0)?;
    dirty::wait_for_timers();

    // What the next generation would find if nothing were cleared.
    audit_machine(context);
    on_all(cpus, "audit", audit::now, |_| 0)?;
    {
        let mut page = SHEET.lock();
        ensure!(!page.is_full(), "expected room for all rows");
        for step in steps::AUDITED {
            let count = page.count(Some(step));
            say!("left: {step}: {} of {} rows", count.differing, count.rows);
        }
        page.clear();
    }
    on_all(cpus, "registers filled", dirty::registers, |_| 0)?;
    for register in dirty::untouchable() {
        say!("nothing can be left in {} here", register.name);
    }
    let mut prepared = kexec::prepare(context, cpus.boot, 0)?;
    say!("something is left everywhere, rebooting");
    prepared.go()
}

fn leave_interrupts(context: &Context) -> Outcome {
    let cpus = context.cpus;
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GIC, seen none")
    };
    gic::init(gic, cpus.all)?;
    let controller = Controller::new(gic);
    on_all(cpus, "private interrupts", interrupts::dirty_private, |_| 0)?;
    let mut its = match gic.its {
        Some(base) => Some(Its::set_up(base, context.arena, cpus.all)?),
        None => None,
    };
    if let Some(its) = &mut its {
        for cpu in cpus.all {
            its.fire(cpu)?;
        }
        on_all(cpus, "LPI taken", interrupts::take, |cpu| {
            Its::lpi(cpu.place())
        })?;
    }
    on_all(cpus, "SGI taken", interrupts::dirty_sgis, |_| {
        interrupts::TAKEN_SGI
    })?;
    // SPIs may be fewer than CPUs: one after another.
    for cpu in cpus.all {
        controller.send_spi(cpu);
        let seen = if core::ptr::eq(cpu, cpus.boot) {
            interrupts::take(cpus.boot, 0)
        } else {
            cpu.run(interrupts::take, 0)?
        };
        expect(
            format_args!("SPI taken by CPU {:#x}", cpu.mpidr()),
            controller.own_spi(cpu),
            seen,
        )?;
    }
    controller.dirty_distributor(cpus.all)?;
    if let Some(its) = &mut its {
        for cpu in cpus.all {
            its.fire(cpu)?;
        }
    }
    Ok(())
}

/// Adds the rows of PCI, of the SMMU, and of the interrupt controller, of all CPUs: by the boot CPU.
fn audit_machine(context: &Context) {
    let cpus = context.cpus;
    if let Some(bus) = context.machine.pci {
        pci::audit(&mut SHEET.lock(), bus, cpus.boot.place());
    }
    if let Some(base) = context.machine.smmu {
        smmu::audit(&mut SHEET.lock(), base, cpus.boot.place());
    }
    let Some(gic) = &context.machine.gic else {
        return;
    };
    let place = cpus.boot.place();
    let mut page = SHEET.lock();
    for cpu in cpus
        .all
        .iter()
        .filter(|cpu| cpu.redistributor.load(Relaxed) != 0)
    {
        interrupts::audit_redistributor(&mut page, cpu);
    }
    let boot = interrupts::affinity(cpus.boot.mpidr());
    Controller::new(gic).audit_distributor(&mut page, place, boot);
    if let Some(base) = gic.its {
        its::audit(&mut page, base, place);
    }
}

fn audit(context: &Context) -> Outcome {
    let cpus = context.cpus;
    // Finding out what there is changes nothing.
    if let Some(gic) = &context.machine.gic {
        gic::find_redistributors(gic, cpus.all);
        Controller::new(gic);
    }
    audit::boot_cpu(cpus.boot);
    audit_machine(context);
    for cpu in cpus.others() {
        let what = format_args!("AFFINITY_INFO of CPU {:#x}", cpu.mpidr());
        expect(what, code::AFFINITY_OFF, cpu.affinity_info())?;
        cpu.set_on_entry(Some(audit::at_entry));
    }
    cpus.bring_up(cpus.others())?;
    let others = cpus.others().count() as u64;
    ensure!(
        time::wait_until(TIMEOUT_MS, || AUDITED.load(Relaxed) == others),
        "expected {others} other CPUs to audit themselves, seen {}",
        AUDITED.load(Relaxed)
    );
    if context.generation > 0 {
        kexec::check_memory(&context.handover)?;
    }

    print(cpus.all)?;
    match &context.machine.gic {
        Some(gic) if context.generation > 0 => interrupts_work(context, gic),
        _ => Ok(()),
    }
}

/// Prints the table; fails if a row differs.
fn print(cpus: &[Cpu]) -> Outcome {
    let page = SHEET.lock();
    ensure!(!page.is_full(), "expected room for all rows");
    sheet::print_head();
    for step in steps::AUDITED {
        page.print(step, cpus, None);
    }
    for step in steps::AUDITED {
        let count = page.count(Some(step));
        say!(
            "audit: {step}: {} of {} rows differ",
            count.differing,
            count.rows
        );
    }
    let count = page.count(None);
    if count.differing == 0 {
        say!("audit: all {} rows are as expected", count.rows);
        return Ok(());
    }
    sheet::print_head();
    for step in steps::AUDITED {
        page.print(step, cpus, Some(true));
    }
    fail!("audit: {} rows of {}", count.differing, count.rows)
}

/// Lets all interrupts through: none of the old kernel's may come, and LPIs can be set up anew.
fn interrupts_work(context: &Context, gic: &Gic) -> Outcome {
    let cpus = context.cpus;
    gic::init(gic, cpus.all)?;
    Controller::new(gic).open();
    on_all(cpus, "interrupt taken", interrupts::listen, |_| {
        interrupts::NOTHING
    })?;
    say!("all interrupts are let through, none came");
    let Some(base) = gic.its else {
        return Ok(());
    };
    let mut its = Its::set_up(base, context.arena, cpus.all)?;
    for cpu in cpus.all {
        its.fire(cpu)?;
    }
    on_all(cpus, "LPI taken", interrupts::take, |cpu| {
        Its::lpi(cpu.place())
    })?;
    say!("each CPU took an LPI");
    Ok(())
}
