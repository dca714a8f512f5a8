// SPDX-License-Identifier: Apache-2.0
//! Accesses to the monitor's memory, HVC and SMC with any immediate, and registers of EL2 and EL3.

use super::numbers::Numbers;
use crate::cpu::Cpu;
use crate::exception::{EC_DATA_ABORT, EC_INSTRUCTION_ABORT, Fault, attempt};
use crate::mmu;
use crate::outcome::{Outcome, ensure, fail};
use baton_sysreg::read_sysreg;
use core::arch::asm;
use core::fmt::Display;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `ESR_EL1.EC` of an instruction that is not there.
const EC_UNKNOWN: u64 = 0;
/// ISS.DFSC: synchronous external abort; of a table walk, with the walk's level in bits 1 and 0.
const DFSC: u64 = 0x3f;
const EXTERNAL: u64 = 0x10;
const EXTERNAL_WALK: u64 = 0x14;

static ABORTS: AtomicU64 = AtomicU64::new(0);

/// Accesses that were answered by an abort, on all CPUs.
pub fn aborted() -> u64 {
    ABORTS.load(Relaxed)
}

/// Expects an access to have been answered by an abort, and nothing else.
fn expect_abort<T>(
    what: impl Display,
    address: u64,
    class: u64,
    seen: Result<T, Fault>,
) -> Outcome {
    match seen {
        Err(fault)
            if fault.class() == class && fault.far == address && fault.esr & DFSC == EXTERNAL =>
        {
            ABORTS.fetch_add(1, Relaxed);
            Ok(())
        }
        Err(Fault { esr, far }) => fail!(
            "{what} at {address:#x}: expected an external abort, seen ESR {esr:#x} FAR {far:#x}"
        ),
        Ok(_) => fail!("{what} at {address:#x}: expected an abort, seen none"),
    }
}

/// Loads of every size.
pub fn load(numbers: &Numbers) -> Outcome {
    let address = numbers.in_monitor();
    // SAFETY: guarded accesses; one that is not refused fails the test.
    let seen = unsafe {
        match numbers.below(4) {
            0 => attempt(|| u64::from((address as *const u8).read_volatile())),
            1 => attempt(|| u64::from((address as *const u16).read_volatile())),
            2 => attempt(|| u64::from((address as *const u32).read_volatile())),
            _ => attempt(|| (address as *const u64).read_volatile()),
        }
    };
    expect_abort("load", address, EC_DATA_ABORT, seen)
}

/// Stores of every size.
pub fn store(numbers: &Numbers) -> Outcome {
    let (address, value) = (numbers.in_monitor(), numbers.any());
    // SAFETY: as for `load`.
    let seen = unsafe {
        match numbers.below(4) {
            0 => attempt(|| (address as *mut u8).write_volatile(value as u8)),
            1 => attempt(|| (address as *mut u16).write_volatile(value as u16)),
            2 => attempt(|| (address as *mut u32).write_volatile(value as u32)),
            _ => attempt(|| (address as *mut u64).write_volatile(value)),
        }
    };
    expect_abort("store", address, EC_DATA_ABORT, seen)
}

/// A branch into the monitor.
pub fn fetch(numbers: &Numbers) -> Outcome {
    let address = numbers.in_monitor();
    // SAFETY: as for `load`; whatever is there, the branch is the last thing that is done.
    let seen = attempt(|| unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) });
    expect_abort("fetch", address, EC_INSTRUCTION_ABORT, seen)
}

/// Accesses without a valid syndrome: pairs, exclusives, writeback, DC ZVA.
pub fn odd(_: &Cpu, numbers: &Numbers) -> Outcome {
    let address = numbers.in_monitor() & !0xf;
    let value = numbers.any();
    // SAFETY: as for `load`.
    unsafe {
        match numbers.below(6) {
            0 => {
                let seen = attempt(|| asm!("stp {0}, {0}, [{1}]", in(reg) value, in(reg) address));
                expect_abort("stp", address, EC_DATA_ABORT, seen)
            }
            1 => {
                let seen = attempt(
                    || asm!("ldp {0}, {1}, [{2}]", out(reg) _, out(reg) _, in(reg) address),
                );
                expect_abort("ldp", address, EC_DATA_ABORT, seen)
            }
            2 => {
                let seen = attempt(|| asm!("ldaxr {0}, [{1}]", out(reg) _, in(reg) address));
                expect_abort("ldaxr", address, EC_DATA_ABORT, seen)
            }
            3 => {
                let seen =
                    attempt(|| asm!("str {0}, [{1}], #16", in(reg) value, inout(reg) address => _));
                expect_abort("str with writeback", address, EC_DATA_ABORT, seen)
            }
            4 => {
                let line = address & !0x7f;
                let seen = attempt(|| asm!("dc zva, {}", in(reg) line));
                expect_abort("dc zva", line, EC_DATA_ABORT, seen)
            }
            // Hints, and maintenance that changes nothing, may be refused or not.
            _ => {
                let _ = attempt(
                    || asm!("prfm pstl1keep, [{0}]", "dc civac, {0}", "dc ivac, {0}", in(reg) address),
                );
                let _ = attempt(|| asm!("ic ivau, {0}", "at s1e1w, {0}", in(reg) address));
                Ok(())
            }
        }
    }
}

/// A table of stage 1 in the monitor's memory.
pub fn walk(this: &Cpu, numbers: &Numbers) -> Outcome {
    let table = numbers.in_monitor() & !0xfff;
    let Some((address, seen)) = mmu::through(this.place(), table, |address| {
        // SAFETY: as for `load`.
        attempt(|| unsafe { (address as *const u64).read_volatile() })
    }) else {
        return Ok(());
    };
    // The root is of level 1.
    match seen {
        Err(fault)
            if fault.class() == EC_DATA_ABORT
                && fault.far == address
                && fault.esr & DFSC == EXTERNAL_WALK + 2 =>
        {
            ABORTS.fetch_add(1, Relaxed);
            Ok(())
        }
        seen => fail!(
            "walk through {table:#x}: expected an external abort of a walk at level 2, seen {seen:x?}"
        ),
    }
}

/// HVC and SMC with any immediate but 0, those of the monitor's hooks among them: undefined.
pub fn immediate(this: &Cpu, numbers: &Numbers) -> Outcome {
    let immediate = match numbers.below(4) {
        0 => 0xba71,
        1 => 0xba72,
        _ => 1 + numbers.below(0xffff) as u32,
    };
    let call = match numbers.below(2) {
        0 => 0xd400_0002,
        _ => 0xd400_0003,
    } | immediate << 5;
    let code = numbers.field.page(this, 7);
    let (x0, x1) = (numbers.argument(), numbers.argument());
    // SAFETY: the page is this CPU's own; RET is written behind the call, and both are fetched anew.
    let seen = unsafe {
        (code as *mut u32).write_volatile(call);
        (code as *mut u32).add(1).write_volatile(0xd65f_03c0);
        asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) code);
        attempt(|| asm!("blr {}", in(reg) code, in("x0") x0, in("x1") x1, clobber_abi("C")))
    };
    match seen {
        Err(fault) if fault.class() == EC_UNKNOWN => Ok(()),
        seen => fail!("instruction {call:#x}: expected to be undefined, seen {seen:x?}"),
    }
}

/// Picks one of the registers, and how it is read.
macro_rules! closed {
    ($numbers:ident: $($name:ident)*) => {{
        let readers: &[(&str, fn())] = &[$((
            stringify!($name),
            // SAFETY: a guarded read of a register that is another exception level's.
            || unsafe { _ = read_sysreg!($name) },
        ),)*];
        $numbers.of(readers)
    }};
}

/// Reads a register of EL2 or EL3, which is undefined at EL1.
pub fn register(numbers: &Numbers) -> Outcome {
    let Some((name, read)) = closed!(numbers: HCR_EL2 VTTBR_EL2 VTCR_EL2 TTBR0_EL2 TCR_EL2
        SCTLR_EL2 VBAR_EL2 ELR_EL2 SPSR_EL2 SP_EL1 TPIDR_EL2 ESR_EL2 FAR_EL2 HPFAR_EL2
        MDCR_EL2 CPTR_EL2 HSTR_EL2 HACR_EL2 ACTLR_EL2 CNTHCTL_EL2 CNTVOFF_EL2 CNTHP_CTL_EL2
        VMPIDR_EL2 VPIDR_EL2 MAIR_EL2 AMAIR_EL2 RMR_EL2 ICC_SRE_EL2 ICH_HCR_EL2
        ICH_VTR_EL2 ICH_LR0_EL2 SCR_EL3 VBAR_EL3 SCTLR_EL3 ICC_SRE_EL3)
    else {
        return Ok(());
    };
    let seen = attempt(read);
    ensure!(
        matches!(seen, Err(fault) if fault.class() == EC_UNKNOWN),
        "{name}: expected to be undefined, seen {seen:x?}"
    );
    Ok(())
}
