// SPDX-License-Identifier: Apache-2.0
//! A CPU that leaves something in every register it has.

use super::features::Features;
use super::isb;
use super::registers::{self, Register};
use super::{indexed, vectors};
use crate::cpu::Cpu;
use crate::entry_state::EntryState;
use crate::time;
use baton_sysreg::{read_sysreg, write_sysreg};

/// The timers fire so many milliseconds after they were armed.
const FIRES_IN: u64 = 5;

/// SCTLR_EL1: EnIA, EnIB, EnDA, EnDB, where pointers can be authenticated.
const SCTLR_KEYS: u64 = 1 << 31 | 1 << 30 | 1 << 27 | 1 << 13;
/// SCTLR_EL1: ATA, TCF: tag checks, which no page asks for.
const SCTLR_TAGS: u64 = 1 << 43 | 1 << 40;
/// CNTKCTL_EL1: EL0 may read the counters and use the timers. The event stream is on already.
const CNTKCTL: u64 = 0x303;

/// Opens the vector registers to EL1.
pub fn open_vectors() {
    // SAFETY: the probe uses no vectors; where there is no SVE or SME the bits have no effect.
    unsafe { write_sysreg!(CPACR_EL1, 3 << 20 | 3 << 16 | 3 << 24) };
    isb();
}

/// A job: fills every register of the CPU.
pub fn registers(this: &'static Cpu, _: u64) -> u64 {
    let features = Features::of_this_cpu();
    open_vectors();
    vectors::dirty(&features, this.place());
    indexed::dirty(&features);
    for table in [registers::CONTROL, registers::GENERAL, registers::VECTOR] {
        fill(table, &features);
    }
    // SAFETY: the registers are there; the probe has no signed pointers and no tags.
    unsafe {
        let keys = if features.address_auth() {
            SCTLR_KEYS
        } else {
            0
        };
        let tags = if features.mte() { SCTLR_TAGS } else { 0 };
        write_sysreg!(SCTLR_EL1, read_sysreg!(SCTLR_EL1) | keys | tags);
        write_sysreg!(CNTKCTL_EL1, read_sysreg!(CNTKCTL_EL1) | CNTKCTL);
    }
    isb();
    0
}

/// A job: arms both timers.
pub fn timers(_: &'static Cpu, _: u64) -> u64 {
    let soon = time::physical_now() + time::ticks(FIRES_IN);
    // SAFETY: interrupts are masked; the timers have no other effect.
    unsafe {
        write_sysreg!(CNTV_CVAL_EL0, soon);
        write_sysreg!(CNTP_CVAL_EL0, soon);
        write_sysreg!(CNTV_CTL_EL0, 1);
        write_sysreg!(CNTP_CTL_EL0, 1);
    }
    isb();
    0
}

/// Waits until timers that are armed have fired.
pub fn wait_for_timers() {
    time::pause(2 * FIRES_IN);
}

fn fill(table: &[Register], features: &Features) {
    for register in table.iter().filter(|register| (register.there)(features)) {
        if let Some(write) = register.write {
            write(register.dirt);
        }
    }
}

/// The registers that did not take what they were filled with: nothing can be left in them here.
pub fn untouchable() -> impl Iterator<Item = &'static Register> {
    let features = Features::of_this_cpu();
    let entry = EntryState::now();
    let all = [registers::CONTROL, registers::GENERAL, registers::VECTOR];
    all.into_iter().flatten().filter(move |register| {
        (register.there)(&features)
            && ((register.read)(&entry) ^ register.expected) & register.mask == 0
    })
}
