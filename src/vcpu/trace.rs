// SPDX-License-Identifier: Apache-2.0
//! Profiling and trace that write to memory by themselves: SPE, TRBE, and the branch records
//! (Arm ARM, D6, D17 and F1).
//!
//! The registers of the trace unit itself stay: without `TRFCR_EL1` it traces nothing of EL1 and
//! EL0, and it may be a debugger's.

use crate::arch::barrier;
use crate::arch::verify::reset_registers;
use crate::vcpu::features::Features;
use baton_core::hw_error::HwError;
use baton_sysreg::{instruction, read_sysreg, write_sysreg};

/// `PMBIDR_EL1.P` and `TRBIDR_EL1.P`: a higher exception level keeps the buffer.
const KEPT_ABOVE: u64 = 1 << 4;

/// Stops and drains what writes samples, trace and branch records, and forgets the buffers.
///
/// `filter`: the CPU's trace unit is there to be used. Where no kernel knows of it, firmware may
/// keep `TRFCR_EL1` for itself, which a reset has cleared.
///
/// Returns when no such write to memory is under way on this CPU.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset(features: &Features, filter: bool) -> Result<(), HwError> {
    let mut result = Ok(());
    if features.spe() {
        result = result.and(samples(features));
    }
    if filter && features.trace_filter() {
        // SAFETY: TRFCR_EL1 is there with FEAT_TRF; with it clear, EL1 and EL0 are not traced.
        result = result.and(unsafe { reset_registers!(TRFCR_EL1 = 0;) });
    }
    if features.trace_buffer() {
        result = result.and(trace_buffer());
    }
    if features.branch_records() {
        // SAFETY: The registers are there with FEAT_BRBE, and BRB IALL, which drops the records.
        result = result.and(unsafe {
            let stopped = reset_registers!(
                BRBCR_EL1 = 0;
                BRBFCR_EL1 = 0;
            );
            instruction!("brb iall");
            barrier::isb();
            stopped
        });
    }
    result
}

/// The statistical profiling extension: no more samples, those on their way out, no buffer.
fn samples(features: &Features) -> Result<(), HwError> {
    // SAFETY: PMBIDR_EL1 is there with SPE.
    if unsafe { read_sysreg!(PMBIDR_EL1) } & KEPT_ABOVE != 0 {
        return Ok(());
    }
    // SAFETY: The registers are there with SPE and EL2's to write, as P is clear.
    unsafe {
        write_sysreg!(PMSCR_EL1, 0);
        barrier::isb();
        barrier::drain_samples();
        let mut result = reset_registers!(
            PMBLIMITR_EL1 = 0;
            PMSCR_EL1 = 0;
            PMBPTR_EL1 = 0;
            PMBSR_EL1 = 0;
            PMSICR_EL1 = 0;
            PMSIRR_EL1 = 0;
            PMSFCR_EL1 = 0;
            PMSEVFR_EL1 = 0;
            PMSLATFR_EL1 = 0;
        );
        if features.spe_v1p2() {
            result = result.and(reset_registers!(PMSNEVFR_EL1 = 0;));
        }
        result
    }
}

/// The trace buffer extension: trace is off by `TRFCR_EL1`; drain it and take its buffer away. It is drained
/// again when that is disabled, as its other registers may take no write before (`Workaround::DrainWhenDisabled`).
fn trace_buffer() -> Result<(), HwError> {
    // SAFETY: TRBIDR_EL1 is there with TRBE.
    if unsafe { read_sysreg!(TRBIDR_EL1) } & KEPT_ABOVE != 0 {
        return Ok(());
    }
    // TRBLIMITR_EL1.E.
    const ENABLE: u64 = 1;
    // TRBBASER_EL1 and TRBPTR_EL1 hold addresses, whose lowest bits may be fixed by the CPU.
    const ADDRESS: u64 = !0xfff;
    // SAFETY: The registers are there with TRBE and EL2's to write, as P is clear.
    unsafe {
        barrier::drain_trace();
        let disabled = reset_registers!(TRBLIMITR_EL1 = 0, mask ENABLE;);
        barrier::drain_trace();
        barrier::isb();
        disabled.and(reset_registers!(
            TRBSR_EL1 = 0;
            TRBPTR_EL1 = 0, mask ADDRESS;
            TRBBASER_EL1 = 0, mask ADDRESS;
            TRBMAR_EL1 = 0;
            TRBTRG_EL1 = 0;
        ))
    }
}

#[cfg(test)]
mod tests;
