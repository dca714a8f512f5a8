//! Profiling and trace that write to memory by themselves: SPE, TRBE, and the branch records
//! (Arm ARM, D6, D17 and F1).
//!
//! The registers of the trace unit itself stay: without `TRFCR_EL1` it traces nothing of EL1 and
//! EL0, and it may be a debugger's.

use super::features::Features;
use super::verify::reset_registers;
use crate::arch::barrier;
use crate::teardown::error::StepError;
use crate::{read_sysreg, write_sysreg};
use core::arch::asm;

/// `PMBIDR_EL1.P` and `TRBIDR_EL1.P`: a higher exception level keeps the buffer.
const KEPT_ABOVE: u64 = 1 << 4;

/// Stops and drains what writes samples, trace and branch records, and forgets the buffers.
///
/// `filter`: the CPU's trace unit is there to be used. Where no kernel knows of it, firmware may keep
/// `TRFCR_EL1` for itself, which a reset has cleared.
///
/// Returns when no such write to memory is under way on this CPU.
///
/// # Errors
///
/// [`StepError::Sticky`] with the first register that did not take its value.
pub fn reset(filter: bool) -> Result<(), StepError> {
    let features = Features::of_this_cpu();
    let mut result = Ok(());
    if features.spe() {
        result = result.and(samples(&features));
    }
    if filter && features.trace_filter() {
        // SAFETY: TRFCR_EL1 is there with FEAT_TRF; with it clear, EL1 and EL0 are not traced.
        result = result.and(unsafe { reset_registers!("S3_0_C1_C2_1" as "TRFCR_EL1" = 0;) });
    }
    if features.trace_buffer() {
        result = result.and(trace_buffer());
    }
    if features.branch_records() {
        // SAFETY: The registers are there with FEAT_BRBE; BRB IALL (sys #1, C7, C2, #4) drops the
        // records.
        result = result.and(unsafe {
            let stopped = reset_registers!(
                "S2_1_C9_C0_0" as "BRBCR_EL1" = 0;
                "S2_1_C9_C0_1" as "BRBFCR_EL1" = 0;
            );
            asm!("sys #1, C7, C2, #4", options(nostack, preserves_flags));
            barrier::isb();
            stopped
        });
    }
    result
}

/// The statistical profiling extension: no more samples, those on their way out, no buffer.
fn samples(features: &Features) -> Result<(), StepError> {
    // SAFETY: PMBIDR_EL1 is there with SPE.
    if unsafe { read_sysreg!("S3_0_C9_C10_7") } & KEPT_ABOVE != 0 {
        return Ok(());
    }
    // SAFETY: The registers are there with SPE and EL2's to write, as P is clear.
    unsafe {
        // PMSCR_EL1.
        write_sysreg!("S3_0_C9_C9_0", 0);
        barrier::isb();
        // PSB CSYNC, then DSB: all samples are in memory.
        asm!("hint #17", options(nostack, preserves_flags));
        barrier::dsb_sy();
        let mut result = reset_registers!(
            "S3_0_C9_C10_0" as "PMBLIMITR_EL1" = 0;
            "S3_0_C9_C9_0" as "PMSCR_EL1" = 0;
            "S3_0_C9_C10_1" as "PMBPTR_EL1" = 0;
            "S3_0_C9_C10_3" as "PMBSR_EL1" = 0;
            "S3_0_C9_C9_2" as "PMSICR_EL1" = 0;
            "S3_0_C9_C9_3" as "PMSIRR_EL1" = 0;
            "S3_0_C9_C9_4" as "PMSFCR_EL1" = 0;
            "S3_0_C9_C9_5" as "PMSEVFR_EL1" = 0;
            "S3_0_C9_C9_6" as "PMSLATFR_EL1" = 0;
        );
        if features.spe_v1p2() {
            result = result.and(reset_registers!("S3_0_C9_C9_1" as "PMSNEVFR_EL1" = 0;));
        }
        result
    }
}

/// The trace buffer extension: trace is off by `TRFCR_EL1`; drain it and take its buffer away.
fn trace_buffer() -> Result<(), StepError> {
    // SAFETY: TRBIDR_EL1 is there with TRBE.
    if unsafe { read_sysreg!("S3_0_C9_C11_7") } & KEPT_ABOVE != 0 {
        return Ok(());
    }
    // TRBLIMITR_EL1.E.
    const ENABLE: u64 = 1;
    // TRBBASER_EL1 and TRBPTR_EL1 hold addresses, whose lowest bits may be fixed by the CPU.
    const ADDRESS: u64 = !0xfff;
    // SAFETY: The registers are there with TRBE and EL2's to write, as P is clear.
    unsafe {
        // TSB CSYNC, then DSB: all trace is in memory.
        asm!("hint #18", options(nostack, preserves_flags));
        barrier::dsb_sy();
        reset_registers!(
            "S3_0_C9_C11_0" as "TRBLIMITR_EL1" = 0, mask ENABLE;
            "S3_0_C9_C11_3" as "TRBSR_EL1" = 0;
            "S3_0_C9_C11_1" as "TRBPTR_EL1" = 0, mask ADDRESS;
            "S3_0_C9_C11_2" as "TRBBASER_EL1" = 0, mask ADDRESS;
            "S3_0_C9_C11_4" as "TRBMAR_EL1" = 0;
            "S3_0_C9_C11_6" as "TRBTRG_EL1" = 0;
        )
    }
}
