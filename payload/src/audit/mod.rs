// SPDX-License-Identifier: Apache-2.0
//! What a kernel finds of the one before it: every register of every CPU, and of the interrupt
//! controller, beside what the architecture or the boot protocol lets it expect.
//!
//! Each row names the step of the monitor's teardown that owns it. The expectations are taken from
//! the specifications: Arm ARM (DDI 0487), GIC (IHI 0069 and IHI 0048B), PSCI (DEN0022), and Linux's
//! `Documentation/arch/arm64/booting.rst`.
//!
//! But for the names of the steps, nothing here is shared with the monitor, though it must know the same
//! registers: an error in what both used would be found by neither.

pub mod dirty;
mod features;
mod indexed;
pub mod interrupts;
mod interrupts_v2;
pub mod its;
pub mod pci;
mod registers;
pub mod sheet;
pub mod smmu;
mod vectors;

use crate::cpu::Cpu;
use crate::entry_state::{BOOT_STATE, EntryState};
use crate::time;
use arm_sysregs::el0::accessors::read_cntvct_el0;
use baton_abi::steps;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use features::Features;
use registers::Register;
use sheet::{Index, Page, SHEET};

/// CPUs that have audited themselves.
pub static AUDITED: AtomicU64 = AtomicU64::new(0);

/// The boot CPU audits itself, as it was entered.
pub fn boot_cpu(this: &'static Cpu) {
    let page = &mut SHEET.lock();
    let entry = BOOT_STATE.get();
    rows(page, registers::AT_BOOT, &entry, this.place());
    cpu(page, &entry, this.place());
}

/// A job: a CPU audits itself, as it was entered.
pub fn at_entry(this: &'static Cpu, _: u64) -> u64 {
    let page = &mut SHEET.lock();
    cpu(page, &this.entry_state.get(), this.place());
    AUDITED.fetch_add(1, Relaxed);
    0
}

/// A job: a CPU audits itself as it is now.
pub fn now(this: &'static Cpu, _: u64) -> u64 {
    let page = &mut SHEET.lock();
    cpu(page, &EntryState::now(), this.place());
    AUDITED.fetch_add(1, Relaxed);
    0
}

fn cpu(page: &mut Page, entry: &EntryState, place: usize) {
    let features = Features::of_this_cpu();
    rows(page, registers::AT_ENTRY, entry, place);
    page.add(
        (steps::ENTRY, "CNTPCT - CNTVCT", Index::None),
        place,
        0,
        !0,
        virtual_offset(),
    );
    for table in [registers::CONTROL, registers::TIMERS, registers::GENERAL] {
        rows(page, table, entry, place);
    }
    indexed::audit(page, &features, place);
    interrupts::audit_cpu_interface(page, place);
    dirty::open_vectors();
    rows(page, registers::VECTOR, entry, place);
    vectors::audit(page, &features, place);
}

fn rows(page: &mut Page, table: &'static [Register], entry: &EntryState, place: usize) {
    let features = Features::of_this_cpu();
    for register in table.iter().filter(|register| (register.there)(&features)) {
        let name = (register.step, register.name, Index::None);
        let found = (register.read)(entry);
        page.add(name, place, register.expected, register.mask, found);
    }
}

/// What the virtual counter lacks, 0 if nothing: it must be the same on all CPUs (booting.rst).
fn virtual_offset() -> u64 {
    let before = time::now();
    let physical = time::physical_now();
    let after = time::now();
    if (before..=after).contains(&physical) {
        return 0;
    }
    physical.wrapping_sub(read_cntvct_el0().bits())
}

/// ISB: what was written to system registers counts from here on.
fn isb() {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
}
