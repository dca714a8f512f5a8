// SPDX-License-Identifier: Apache-2.0
//! `test=gic-tables`: gives the interrupt controller tables outside guest memory, on all CPUs at once.
//! It must not begin to use them; with good ones all must work.

use crate::arena::Arena;
use crate::audit::its::Its;
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::cpus::wait_for;
use crate::exception::attempt;
use crate::gic;
use crate::mmio::{read32, read64, write32, write64};
use crate::outcome::{Outcome, ensure, expect, fail};
use baton_sysreg::gic::gicr;
use baton_sysreg::gic::gits::{self, VALID};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `GICR_CTLR.EnableLPIs`, and `GITS_CTLR.Enabled` at the same place.
const ENABLE: u32 = gicr::CTLR_ENABLE_LPIS;
/// `GICR_PROPBASER.IDbits` of 64 Ki interrupts: 56 KiB of properties, 8 KiB of pending bits.
const ID_BITS: u64 = 15;
const BLOCK: u64 = 64 * 1024;
/// Address bits of a table that survive in all of the registers.
const TABLE: u64 = 0xff_ffff_0000;

/// What all CPUs try, set before they are started.
static MONITOR: AtomicU64 = AtomicU64::new(0);
static ARENA: AtomicU64 = AtomicU64::new(0);
static UART: AtomicU64 = AtomicU64::new(0);

/// All redistributors, then the ITS.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GICv3, seen none")
    };
    let monitor = prepare(context)?;
    gic::init(gic, cpus.all)?;
    cpus.bring_up(cpus.others())?;
    for cpu in cpus.others() {
        cpu.start(redistributor, 0);
    }
    check_redistributor(cpus.boot)?;
    wait_for(cpus.others(), "to have tried its redistributor", |cpu| {
        cpu.result().is_some()
    })?;
    for cpu in cpus.others() {
        // It is alone now: once more, for the reason.
        if cpu.result() != Some(0) {
            check_redistributor(cpu)?;
            fail!(
                "CPU {:#x}: failed only while the others did the same",
                cpu.mpidr()
            );
        }
    }
    let count = cpus.all.len();
    say!("{count} redistributors took no table that is not the guest's");
    if let Some(its) = gic.its {
        check_its(its, monitor)?;
        say!("the ITS took no table that is not the guest's");
        for cpu in cpus.all {
            write32(cpu.redistributor.load(Relaxed) + gicr::CTLR, 0);
        }
        let mut good = Its::set_up(its, context.arena, cpus.all)?;
        for cpu in cpus.all {
            good.fire(cpu)?;
        }
        say!("the ITS works with {count} interrupts in the guest's own tables");
    }
    Ok(())
}

/// Says where what all CPUs try is; returns where the monitor is.
pub fn prepare(context: &Context) -> Outcome<u64> {
    let Some((monitor, _)) = context.machine.monitor() else {
        fail!("expected the monitor in the device tree, seen none")
    };
    MONITOR.store(monitor, Relaxed);
    ARENA.store(context.arena.0, Relaxed);
    UART.store(context.machine.uart, Relaxed);
    Ok(monitor)
}

/// A job: 0 if the CPU's redistributor took no bad table.
fn redistributor(this: &'static Cpu, _: u64) -> u64 {
    u64::from(check_redistributor(this).is_err())
}

/// Tries one redistributor: bad tables, then good ones, then bad ones in their place.
pub fn check_redistributor(cpu: &Cpu) -> Outcome {
    let base = cpu.redistributor.load(Relaxed);
    let (monitor, uart) = (MONITOR.load(Relaxed), UART.load(Relaxed));
    let memory = Arena(ARENA.load(Relaxed)).gic();
    let (properties, pending) = (memory, memory + (16 + cpu.place() as u64) * BLOCK);
    let on = || read32(base + gicr::CTLR) & ENABLE;
    let bad = [
        (monitor, pending),
        (properties, monitor),
        (monitor - 0x1000, pending),
        (properties, uart),
        (properties, 0),
        (TABLE, pending),
        (properties, TABLE),
    ];
    for (properties, pending) in bad {
        let what = format_args!("tables at {properties:#x} and {pending:#x}: GICR_CTLR");
        write64(base + gicr::PROPBASER, properties | ID_BITS);
        write64(base + gicr::PENDBASER, pending);
        write32(base + gicr::CTLR, ENABLE);
        expect(what, 0, on())?;
        // By halves, and by stores of other sizes or without a valid syndrome.
        write64(base + gicr::PENDBASER, 0);
        write32(base + gicr::PENDBASER, pending as u32);
        write32(base + gicr::PENDBASER + 4, (pending >> 32) as u32);
        odd_stores(base + gicr::CTLR, ENABLE.into());
        expect(what, 0, on())?;
    }
    write64(base + gicr::PROPBASER, properties | ID_BITS);
    write64(base + gicr::PENDBASER, pending);
    write32(base + gicr::CTLR, ENABLE);
    expect("good tables: GICR_CTLR", ENABLE, on())?;
    for register in [gicr::PROPBASER, gicr::PENDBASER] {
        let before = read64(base + register);
        write64(base + register, monitor | ID_BITS);
        write32(base + register, monitor as u32);
        odd_stores(base + register, monitor);
        let after = read64(base + register);
        ensure!(
            before == after,
            "register {register:#x} in use: expected {before:#x}, seen {after:#x}"
        );
    }
    write32(base + gicr::CTLR, 0);
    expect("LPIs off again: GICR_CTLR", 0, on())
}

fn check_its(base: u64, monitor: u64) -> Outcome {
    let on = || read32(base + gits::CTLR) & ENABLE;
    let clear = || {
        for n in 0..8 {
            write64(base + gits::BASER + 8 * n, 0);
        }
        write64(base + gits::CBASER, 0);
    };
    // A register that is not there stays zero, and is no table.
    let registers = [
        gits::CBASER,
        gits::BASER,
        gits::BASER + 8,
        gits::BASER + 0x38,
    ];
    for register in registers {
        for table in [monitor, monitor - 0x1000, 0, TABLE] {
            clear();
            // Two pages of 4 KiB.
            write64(base + register, VALID | table | 1);
            if read64(base + register) & VALID == 0 {
                continue;
            }
            write32(base + gits::CTLR, ENABLE);
            odd_stores(base + gits::CTLR, ENABLE.into());
            let what = format_args!("register {register:#x} = {table:#x}: GITS_CTLR");
            expect(what, 0, on())?;
        }
    }
    clear();
    check_levels(base)
}

/// No table has two levels, by a store of all of its register or of its upper half.
fn check_levels(base: u64) -> Outcome {
    for register in (0..8).map(|n| base + gits::BASER + 8 * n) {
        let two_levels = VALID | gits::INDIRECT | ARENA.load(Relaxed);
        write64(register, two_levels);
        expect(
            "GITS_BASER<n>.Indirect",
            0,
            read64(register) & gits::INDIRECT,
        )?;
        write32(register + 4, (two_levels >> 32) as u32);
        expect(
            "its upper half: Indirect",
            0,
            read64(register) & gits::INDIRECT,
        )?;
        write64(register, 0);
    }
    say!("no table of the ITS has two levels");
    Ok(())
}

/// Stores of one byte and of two, of a pair of registers, and beside the word.
fn odd_stores(register: u64, value: u64) {
    // SAFETY: what is stored is refused, and the exception is handed to the test.
    let _ = attempt(|| unsafe { asm!("strb {0:w}, [{1}]", in(reg) value, in(reg) register) });
    // SAFETY: as above.
    let _ = attempt(|| unsafe { asm!("strh {0:w}, [{1}]", in(reg) value, in(reg) register) });
    // SAFETY: as above.
    let _ = attempt(|| unsafe { asm!("stp {0}, {0}, [{1}]", in(reg) value, in(reg) register) });
    // SAFETY: as above.
    let _ =
        attempt(|| unsafe { asm!("str {0}, [{1}], #8", in(reg) value, inout(reg) register => _) });
    // SAFETY: as above.
    let _ = attempt(|| unsafe { asm!("str {0:w}, [{1}]", in(reg) value, in(reg) register + 1) });
}
