// SPDX-License-Identifier: Apache-2.0
//! `test=monitor-access`: accesses the monitor's memory, takes the aborts, and runs on.

use crate::arena::PAGE;
use crate::console::say;
use crate::context::Context;
use crate::cpu::Cpu;
use crate::exception::{EC_DATA_ABORT, EC_INSTRUCTION_ABORT, Fault, attempt};
use crate::mmu;
use crate::outcome::{Outcome, ensure, fail};
use baton_abi::log::MAGIC;
use core::arch::asm;

/// A kind of access: its name, the exception class of its abort, and the access.
type Access = (&'static str, u64, fn(u64));

const ACCESSES: &[Access] = &[
    ("load", EC_DATA_ABORT, load),
    ("store", EC_DATA_ABORT, store),
    ("fetch", EC_INSTRUCTION_ABORT, fetch),
];

fn load(address: u64) {
    // SAFETY: a guarded access; if it is not refused the test fails at once.
    unsafe { (address as *const u32).read_volatile() };
}

fn store(address: u64) {
    // SAFETY: as for `load`.
    unsafe { (address as *mut u32).write_volatile(0) };
}

fn fetch(address: u64) {
    // SAFETY: as for `load`; whatever is there, the branch is the last thing that is done.
    unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) };
}

/// A job: tries all accesses to an address. 0 if they ended as they have to.
fn try_all(_: &'static Cpu, address: u64) -> u64 {
    u64::from(check(address).is_err())
}

fn check(address: u64) -> Outcome {
    for &(name, class, access) in ACCESSES {
        match attempt(|| access(address)) {
            Err(fault) if fault.class() == class && fault.far == address => {}
            Err(Fault { esr, far }) => fail!(
                "{name} at {address:#x}: expected class {class:#x} with that address, seen ESR \
                 {esr:#x} FAR {far:#x}"
            ),
            Ok(()) => fail!("{name} at {address:#x}: expected an abort, seen none"),
        }
    }
    Ok(())
}

/// The log may be read. A store of one register there is dropped, one of two ends in an abort, and both change nothing.
fn check_log(log: u64) -> Outcome {
    // SAFETY: as for `load`.
    let seen = || attempt(|| unsafe { (log as *const u64).read_volatile() });
    let whole = |what: &str| {
        let Ok(magic) = seen() else {
            fail!("the log at {log:#x} {what}: expected to read it, seen an abort")
        };
        ensure!(
            magic == MAGIC,
            "the log at {log:#x} {what}: expected {MAGIC:#x}, seen {magic:#x}"
        );
        Ok(())
    };
    whole("at first")?;
    ensure!(
        attempt(|| store(log)).is_ok(),
        "store to the log at {log:#x}: expected it to be dropped, seen an abort"
    );
    whole("after a store")?;
    // SAFETY: as for `load`.
    let pair = || unsafe { asm!("stp xzr, xzr, [{}]", in(reg) log) };
    match attempt(pair) {
        Err(fault) if fault.class() == EC_DATA_ABORT && fault.far == log => {}
        seen => fail!("store of a pair to the log at {log:#x}: expected an abort, seen {seen:x?}"),
    }
    whole("after a store of a pair")?;
    say!("the log at {log:#x} can be read, and not written");
    Ok(())
}

/// Tries every access at the edges and in the middle, on every CPU.
pub fn run(context: &Context) -> Outcome {
    let Some((base, size)) = context.machine.monitor() else {
        fail!("expected a no-map node in /reserved-memory, seen none")
    };
    ensure!(
        mmu::covers(base + size),
        "expected the monitor in reach, seen {base:#x}"
    );
    for address in [base, base + size / 2, base + size - PAGE, base + size - 4] {
        check(address)?;
        say!("load, store and fetch at {address:#x} ended in aborts");
    }
    if let Some((log, _)) = context.machine.log {
        check_log(log)?;
    }
    context.cpus.bring_up(context.cpus.others())?;
    for cpu in context.cpus.others() {
        let wrong = cpu.run(try_all, base)?;
        ensure!(
            wrong == 0,
            "CPU {:#x}: expected aborts as the boot CPU's",
            cpu.mpidr()
        );
    }
    // The last page of RAM is the guest's own.
    if let Some((ram, ram_size)) = context.machine.ram_at(context.arena.0) {
        let last = ram + ram_size - 4;
        ensure!(
            attempt(|| load(last)).is_ok(),
            "load at {last:#x}: expected no abort"
        );
    }
    say!("all {} CPUs run on", context.cpus.all.len());
    Ok(())
}
