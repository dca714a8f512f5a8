// SPDX-License-Identifier: Apache-2.0
//! The CPU interface, by system registers (Arm IHI 0069, 12.2).

use super::GROUP0;
use crate::audit::isb;
use crate::audit::sheet::{Index, Page};
use crate::cpu::Cpu;
use crate::gic::v2;
use baton_abi::steps;
use baton_sysreg::{read_sysreg, write_sysreg};
use core::sync::atomic::Ordering::Relaxed;

/// Adds what is in the CPU interface of the CPU that runs this (IHI 0069, 12.2).
pub fn audit_cpu_interface(page: &mut Page, place: usize) {
    if let Some(gic) = v2::get() {
        return gic.audit_own(page, place);
    }
    // SAFETY: the registers are there with a GICv3, as ID_AA64PFR0_EL1 says; interrupts are masked
    // by DAIF.
    unsafe {
        if read_sysreg!(ID_AA64PFR0_EL1) >> 24 & 0xf == 0 {
            return;
        }
        write_sysreg!(ICC_SRE_EL1, 7);
        isb();
        let mut add = |name, expected, mask, found| {
            page.add(
                (steps::CPU_INTERFACE, name, Index::None),
                place,
                expected,
                mask,
                found,
            );
        };
        let ctlr = read_sysreg!(ICC_CTLR_EL1);
        let priority_bits = (ctlr >> 8 & 7) + 1;
        add("ICC_IGRPEN1_EL1", 0, 1, read_sysreg!(ICC_IGRPEN1_EL1));
        add("ICC_PMR_EL1", 0, 0xff, read_sysreg!(ICC_PMR_EL1));
        // CBPR, EOImode.
        add("ICC_CTLR_EL1", 0, 3, ctlr);
        // Idle (IHI 0069, 4.8.6).
        add("ICC_RPR_EL1", 0xff, 0xff, read_sysreg!(ICC_RPR_EL1));
        let all = 0xffff_ffff;
        add("ICC_AP1R0_EL1", 0, all, read_sysreg!(ICC_AP1R0_EL1));
        if priority_bits >= 6 {
            add("ICC_AP1R1_EL1", 0, all, read_sysreg!(ICC_AP1R1_EL1));
        }
        if priority_bits >= 7 {
            add("ICC_AP1R2_EL1", 0, all, read_sysreg!(ICC_AP1R2_EL1));
            add("ICC_AP1R3_EL1", 0, all, read_sysreg!(ICC_AP1R3_EL1));
        }
        // A reset gives a binary point the lowest value that there is, and so does writing zero.
        let binary_point = read_sysreg!(ICC_BPR1_EL1);
        write_sysreg!(ICC_BPR1_EL1, 0);
        isb();
        let lowest = read_sysreg!(ICC_BPR1_EL1);
        write_sysreg!(ICC_BPR1_EL1, binary_point);
        add("ICC_BPR1_EL1", lowest, 7, binary_point);
        if GROUP0.load(Relaxed) {
            add("ICC_IGRPEN0_EL1", 0, 1, read_sysreg!(ICC_IGRPEN0_EL1));
            add("ICC_AP0R0_EL1", 0, all, read_sysreg!(ICC_AP0R0_EL1));
            let binary_point = read_sysreg!(ICC_BPR0_EL1);
            write_sysreg!(ICC_BPR0_EL1, 0);
            isb();
            let lowest = read_sysreg!(ICC_BPR0_EL1);
            write_sysreg!(ICC_BPR0_EL1, binary_point);
            add("ICC_BPR0_EL1", lowest, 7, binary_point);
        }
    }
}

/// A job: takes the interrupt that is pending and never ends it. The interrupt's number.
pub fn take(_: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        return gic.take();
    }
    // SAFETY: interrupts are masked by DAIF; the system registers are on.
    let number = unsafe { read_sysreg!(ICC_IAR1_EL1) } & 0xff_ffff;
    isb();
    number
}
