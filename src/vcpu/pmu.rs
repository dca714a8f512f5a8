// SPDX-License-Identifier: Apache-2.0
//! The performance monitors of a CPU and of its cluster (Arm ARM, D13).

use crate::arch::barrier;
use crate::arch::verify::{expect, reset_registers};
use crate::vcpu::features::Features;
use baton_core::hw_error::HwError;
use baton_sysreg::{read_sysreg, write_sysreg};

/// `PMCR_EL0` fields.
mod pmcr {
    /// Zero all event counters.
    pub const P: u64 = 1 << 1;
    /// Zero the cycle counter.
    pub const C: u64 = 1 << 2;
    /// The cycle counter overflows at 64 bits; fixed to one where there is no AArch32.
    pub const LC: u64 = 1 << 6;
    /// E, P, C, D, X, DP: what may not be left set.
    pub const SWITCHES: u64 = 0x3f;
    /// Where the number of event counters is.
    pub const N_SHIFT: u64 = 11;
}

/// `ID_AA64DFR0_EL1.PMUVer` of PMUv3 for Armv8.9.
const V3P9: u64 = 9;

/// Stops and clears this CPU's PMU: counters, enables, interrupts, overflows, events, filters, and
/// what EL0 may use; and EL0's access to the activity monitors. Without a PMU, only the latter.
///
/// Its interrupt line is low afterwards.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset(features: &Features) -> Result<(), HwError> {
    let mut result = Ok(());
    if let Some(version) = features.pmu() {
        result = counters_off(features)
            .and(each_counter())
            .and(others(features, version));
    }
    if features.amu() {
        // The counters themselves are firmware's to enable, and only count up.
        // SAFETY: AMUSERENR_EL0 is there with FEAT_AMUv1.
        result = result.and(unsafe { reset_registers!(AMUSERENR_EL0 = 0;) });
    }
    result
}

/// Every counter, the cycle counter (31), and the instruction counter (32) if there is one.
fn all_counters(features: &Features) -> u64 {
    if features.pmu_instruction_counter() {
        0x1_ffff_ffff
    } else {
        0xffff_ffff
    }
}

fn counters_off(features: &Features) -> Result<(), HwError> {
    let all = all_counters(features);
    // SAFETY: The registers are there with a PMU, which the monitor does not use. From EL2,
    // PMCR_EL0.P reaches all counters.
    unsafe {
        write_sysreg!(PMCR_EL0, pmcr::P | pmcr::C | pmcr::LC);
        write_sysreg!(PMCNTENCLR_EL0, all);
        write_sysreg!(PMINTENCLR_EL1, all);
        barrier::isb();
        // After the counters stopped: no new overflow comes behind.
        write_sysreg!(PMOVSCLR_EL0, all);
        barrier::isb();
        expect("PMCR_EL0", pmcr::LC, pmcr::SWITCHES, read_sysreg!(PMCR_EL0))
            .and(expect(
                "PMCNTENCLR_EL0",
                0,
                all,
                read_sysreg!(PMCNTENCLR_EL0),
            ))
            .and(expect(
                "PMINTENCLR_EL1",
                0,
                all,
                read_sysreg!(PMINTENCLR_EL1),
            ))
            .and(expect("PMOVSCLR_EL0", 0, all, read_sysreg!(PMOVSCLR_EL0)))
    }
}

fn each_counter() -> Result<(), HwError> {
    let mut result = Ok(());
    // SAFETY: PMCR_EL0.N counts the event counters that PMSELR_EL0 can select.
    unsafe {
        let counters = read_sysreg!(PMCR_EL0) >> pmcr::N_SHIFT & 0x1f;
        for counter in 0..counters {
            write_sysreg!(PMSELR_EL0, counter);
            barrier::isb();
            result = result.and(reset_registers!(
                PMXEVTYPER_EL0 = 0;
                PMXEVCNTR_EL0 = 0;
            ));
        }
    }
    result
}

fn others(features: &Features, version: u64) -> Result<(), HwError> {
    // SAFETY: The registers are there with a PMU.
    let mut result = unsafe {
        reset_registers!(
            PMCCNTR_EL0 = 0;
            PMCCFILTR_EL0 = 0;
            PMSELR_EL0 = 0;
            PMUSERENR_EL0 = 0;
        )
    };
    if version >= V3P9 {
        // SAFETY: PMUACR_EL1 is there from PMUv3p9 on.
        result = result.and(unsafe { reset_registers!(PMUACR_EL1 = 0;) });
    }
    if features.pmu_instruction_counter() {
        // SAFETY: The registers are there with FEAT_PMUv3_ICNTR.
        result = result.and(unsafe {
            reset_registers!(
                PMICNTR_EL0 = 0;
                PMICFILTR_EL0 = 0;
            )
        });
    }
    result
}

/// Stops and clears the PMU of this CPU's DynamIQ cluster (Arm DSU TRM, "PMU registers"): one CPU
/// of each cluster is enough, and several do no harm.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
///
/// # Safety
///
/// The CPU must have these implementation defined registers, and firmware must have opened them to
/// EL2: an `arm,dsu-pmu` node of the device tree names this CPU.
pub unsafe fn reset_cluster() -> Result<(), HwError> {
    // CLUSTERPMCR_EL1 has E, P and C where PMCR_EL0 has them, and the count too.
    const ALL: u64 = 0xffff_ffff;
    // SAFETY: The caller says that the registers are there.
    unsafe {
        write_sysreg!(CLUSTERPMCR_EL1, pmcr::P | pmcr::C);
        write_sysreg!(CLUSTERPMCNTENCLR_EL1, ALL);
        write_sysreg!(CLUSTERPMINTENCLR_EL1, ALL);
        barrier::isb();
        write_sysreg!(CLUSTERPMOVSCLR_EL1, ALL);
        barrier::isb();
        let control = read_sysreg!(CLUSTERPMCR_EL1);
        let mut result = expect("CLUSTERPMCR_EL1", 0, 1, control)
            .and(expect(
                "CLUSTERPMCNTENCLR_EL1",
                0,
                ALL,
                read_sysreg!(CLUSTERPMCNTENCLR_EL1),
            ))
            .and(expect(
                "CLUSTERPMINTENCLR_EL1",
                0,
                ALL,
                read_sysreg!(CLUSTERPMINTENCLR_EL1),
            ))
            .and(expect(
                "CLUSTERPMOVSCLR_EL1",
                0,
                ALL,
                read_sysreg!(CLUSTERPMOVSCLR_EL1),
            ));
        for counter in 0..control >> pmcr::N_SHIFT & 0x1f {
            write_sysreg!(CLUSTERPMSELR_EL1, counter);
            barrier::isb();
            result = result.and(reset_registers!(
                CLUSTERPMXEVTYPER_EL1 = 0;
                CLUSTERPMXEVCNTR_EL1 = 0;
            ));
        }
        result.and(reset_registers!(
            CLUSTERPMSELR_EL1 = 0;
            CLUSTERPMCCNTR_EL1 = 0;
        ))
    }
}

#[cfg(test)]
mod tests;
