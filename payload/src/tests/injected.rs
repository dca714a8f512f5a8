// SPDX-License-Identifier: Apache-2.0
//! `test=injected`: an exception that the monitor hands on leaves PSTATE as one that the CPU takes by itself (Arm
//! ARM, AArch64.TakeException), whatever was set before.

use crate::console::say;
use crate::context::Context;
use crate::cpu::{Cpu, Frame};
use crate::outcome::{Outcome, ensure};
use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// PSTATE as the last exception left it.
static LEFT: AtomicU64 = AtomicU64::new(0);
/// `SCTLR_EL1.SPAN` and `DSSBS`.
const SPAN: u64 = 1 << 23;
/// PSTATE.DIT, which AArch64.TakeException leaves as it is, and QEMU clears.
const DIT: u64 = 1 << 24;
const DSSBS: u64 = 1 << 44;

/// Reads a field of PSTATE, which is in its place of SPSR_EL1.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: whoever asks has looked whether there is such a field; reading it changes nothing.
        unsafe { asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

/// Sets a field of PSTATE.
macro_rules! write {
    ($name:literal, $value:expr) => {
        // SAFETY: as above; the probe has no page of EL0's, no timing to hide, and no use for speculation.
        unsafe { asm!(concat!("msr ", $name, ", {}"), in(reg) $value, options(nomem, nostack)) }
    };
}

/// Which fields there are.
#[derive(Clone, Copy)]
struct Fields {
    pan: bool,
    uao: bool,
    dit: bool,
    ssbs: bool,
    tco: bool,
}

impl Fields {
    fn of_this_cpu() -> Self {
        let least = |id: u64, low: u32, least: u64| id >> low & 0xf >= least;
        let (pfr0, pfr1) = (read!("ID_AA64PFR0_EL1"), read!("ID_AA64PFR1_EL1"));
        Self {
            pan: least(read!("ID_AA64MMFR1_EL1"), 20, 1),
            uao: least(read!("ID_AA64MMFR2_EL1"), 4, 1),
            dit: least(pfr0, 48, 1),
            ssbs: least(pfr1, 4, 2),
            tco: least(pfr1, 8, 2),
        }
    }

    fn read(self) -> u64 {
        let mut pstate = read!("DAIF") | read!("CurrentEL") | read!("SPSel");
        if self.pan {
            pstate |= read!("S3_0_C4_C2_3");
        }
        if self.uao {
            pstate |= read!("S3_0_C4_C2_4");
        }
        if self.dit {
            pstate |= read!("S3_3_C4_C2_5");
        }
        if self.ssbs {
            pstate |= read!("S3_3_C4_C2_6");
        }
        if self.tco {
            pstate |= read!("S3_3_C4_C2_7");
        }
        pstate
    }

    /// Sets the fields that an exception may keep, or change, all alike.
    fn set(self, on: bool) {
        let all = if on { u64::MAX } else { 0 };
        if self.pan {
            write!("S3_0_C4_C2_3", all & 1 << 22);
        }
        if self.uao {
            write!("S3_0_C4_C2_4", all & 1 << 23);
        }
        if self.dit {
            write!("S3_3_C4_C2_5", all & 1 << 24);
        }
        if self.ssbs {
            write!("S3_3_C4_C2_6", all & 1 << 12);
        }
    }
}

/// Notes PSTATE, and goes on behind the instruction.
fn taken(_: &'static Cpu, frame: &mut Frame) {
    LEFT.store(Fields::of_this_cpu().read(), Relaxed);
    frame.elr += 4;
}

/// Compares what is left by an instruction that is undefined, and by an HVC that the monitor has be so.
pub fn run(context: &Context) -> Outcome {
    let fields = Fields::of_this_cpu();
    context.cpus.boot.set_handler(taken);
    let before = read!("SCTLR_EL1");
    for chosen in 0..4 {
        let bit = |place: u64, bit: u64| if chosen >> place & 1 != 0 { bit } else { 0 };
        let mut sctlr = before & !SPAN | bit(0, SPAN);
        if fields.ssbs {
            sctlr = sctlr & !DSSBS | bit(1, DSSBS);
        }
        // SAFETY: they choose what an exception does with PAN and SSBS, which the probe does without.
        unsafe { asm!("msr sctlr_el1, {}", "isb", in(reg) sctlr, options(nostack)) };
        for on in [false, true] {
            fields.set(on);
            // SAFETY: `taken` goes on behind it.
            unsafe { asm!("udf #0", options(nostack)) };
            let expected = LEFT.swap(0, Relaxed);
            fields.set(on);
            // SAFETY: as above.
            unsafe { asm!("hvc #1", options(nostack)) };
            let seen = LEFT.swap(0, Relaxed);
            ensure!(
                expected & !DIT == seen & !DIT,
                "PSTATE with SCTLR_EL1 {sctlr:#x}, all set {on}: expected {expected:#x} as of the CPU's own exception, seen {seen:#x}"
            );
        }
    }
    fields.set(false);
    // SAFETY: as it was.
    unsafe { asm!("msr sctlr_el1, {}", "isb", in(reg) before, options(nostack)) };
    say!(
        "PSTATE is as of the CPU's own exceptions; PAN {}, UAO {}, DIT {}, SSBS {}, TCO {}",
        fields.pan,
        fields.uao,
        fields.dit,
        fields.ssbs,
        fields.tco
    );
    Ok(())
}
