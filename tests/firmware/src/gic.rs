// SPDX-License-Identifier: Apache-2.0
//! The GICv3's two security states: firmware leaves every interrupt to the Non-secure one
//! (Arm IHI 0069, 4.6).

use crate::board::{self, GICD, GICR, read32, write32};
use baton_sysreg::gic::{array, gicd, gicr};
use baton_sysreg::write_sysreg;
use core::arch::asm;

/// Size of one redistributor.
const REDISTRIBUTOR: u64 = 2 * gicr::FRAME;

/// The distributor: once.
pub fn init_distributor() {
    write32(GICD + gicd::CTLR, gicd::CTLR_ARE | gicd::CTLR_ARE_NS);
    for n in 1..=u64::from(read32(GICD + gicd::TYPER) & 0x1f) {
        write32(GICD + array::IGROUPR + 4 * n, !0);
    }
}

/// The redistributor of the CPU with this number, and its CPU interface.
pub fn init_cpu(number: usize) {
    let base = GICR + number as u64 * REDISTRIBUTOR;
    let waker = read32(base + gicr::WAKER);
    write32(base + gicr::WAKER, waker & !gicr::WAKER_PROCESSOR_SLEEP);
    write32(base + gicr::FRAME + array::IGROUPR, !0);
    // SAFETY: EL3's own register: system registers at all exception levels, no bypass.
    unsafe {
        write_sysreg!(ICC_SRE_EL3, 0xf);
        asm!("isb");
    }
}

/// Puts the CPU interface into the state that a power-down leaves. With SCR_EL3.NS set, ICC_IGRPEN1_EL1
/// is the Non-secure one.
///
/// Where FIQs go to EL3, Non-secure EL1 can only choose masks from 0x80 on, which it sees as 0 on, and
/// only if the mask is one already.
pub fn lose_cpu_interface() {
    let mask: u64 = if board::fiq_to_el3() { 0x80 } else { 0 };
    // SAFETY: no interrupt is taken to EL3, and the levels below begin anew.
    unsafe {
        write_sysreg!(ICC_IGRPEN1_EL1, 0);
        write_sysreg!(ICC_PMR_EL1, mask);
        asm!("isb");
    }
}
