// SPDX-License-Identifier: Apache-2.0
//! The system registers of EL1 and EL0 as a reset leaves them, where the architecture says how, and
//! zero where it leaves it open (Arm ARM, D24.2).
//!
//! `ACTLR_EL1` and the implementer's own registers stay: they carry what firmware set for the
//! errata of the CPU, and a kernel at EL1 has seldom any access.
//!
//! Registers that firmware may keep for itself (a trap to EL3), and that the boot protocol does not
//! promise to a kernel, are not touched: `ERRSELR_EL1`, `SCXTNUM_ELx`, `ACCDATA_EL1`,
//! `RCWMASK_EL1`, `MAIR2_EL1`. None has an effect on a kernel that does not set it up first.

use crate::arch::barrier;
use crate::arch::verify::reset_registers;
use crate::vcpu::features::Features;
use crate::vcpu::pmu;
use crate::vcpu::{debug, pauth, timer, trace, vector};
use baton_core::devicetree::cpus::Devices;
use baton_core::hw_error::HwError;
use baton_sysreg::{read_sysreg, write_sysreg};

/// `SCTLR_EL1` with the MMU and the caches off: the bits that are RES1 where the feature that gave
/// them a meaning is not there (EOS, TSCXT, EIS, SPAN, nTLSMD, LSMAOE).
pub const SCTLR_EL1_RESET: u64 = 0x30d0_0800;

/// CP15BEN, ITD and SED govern AArch32 at EL0, and are fixed to 0 or 1 where there is none.
const SCTLR_EL1_AARCH32: u64 = 1 << 5 | 1 << 7 | 1 << 8;

/// Gives everything inside this CPU that EL1 can touch its state after a reset, and the PMU.
///
/// The order matters for the GIC, which is not touched: when this has returned, the CPU's own
/// devices (timers, PMU, profiling) signal no interrupt any more, so that a redistributor that is
/// reset afterwards stays quiet.
///
/// # Errors
///
/// The first register that did not take its value. The others are reset all the same.
pub fn reset_cpu(features: &Features, devices: Devices) -> Result<(), HwError> {
    timer::reset().and(reset_woken_cpu(features, devices))
}

/// As [`reset_cpu`], but for the timers: they go on through a power-down, unless the device tree
/// says otherwise (idle-states.yaml, `local-timer-stop`), and a guest is woken by what it has set.
///
/// # Errors
///
/// As [`reset_cpu`].
pub fn reset_woken_cpu(features: &Features, devices: Devices) -> Result<(), HwError> {
    pmu::reset(features)
        .and(trace::reset(features, devices.trace))
        .and(debug::reset(features))
        .and(vector::reset(features))
        .and(pauth::reset(features))
        .and(reset_el1(features))
}

/// Gives the system registers of EL1 and EL0 their state after a reset. Timers, debug, PMU, vectors
/// and keys have functions of their own; [`reset_cpu`] calls all.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset_el1(features: &Features) -> Result<(), HwError> {
    translation_and_exceptions()
        .and(software_registers())
        .and(later_translation(features))
        .and(ordering_regions(features))
        .and(memory_tagging(features))
        .and(guarded_stacks(features))
        .and(errors_and_partitions(features))
}

fn translation_and_exceptions() -> Result<(), HwError> {
    // SAFETY: The registers are there on every CPU, and have no effect at EL2.
    let result = unsafe {
        reset_registers!(
            SCTLR_EL1 = SCTLR_EL1_RESET, mask !SCTLR_EL1_AARCH32;
            CPACR_EL1 = 0;
            TCR_EL1 = 0;
            TTBR0_EL1 = 0;
            TTBR1_EL1 = 0;
            MAIR_EL1 = 0;
            AMAIR_EL1 = 0;
            VBAR_EL1 = 0;
            ESR_EL1 = 0;
            FAR_EL1 = 0;
            AFSR0_EL1 = 0;
            AFSR1_EL1 = 0;
            ELR_EL1 = 0;
            SPSR_EL1 = 0;
            CSSELR_EL1 = 0;
        )
    };
    result.and(address_of_a_translation())
}

/// `PAR_EL1` alone: it is read back between barriers (`Workaround::BarriersAroundPar`).
fn address_of_a_translation() -> Result<(), HwError> {
    // Bits 9 to 11 are no address and may read as one.
    const PAR: u64 = !(7 << 9);
    barrier::dmb_sy();
    // SAFETY: The register is there on every CPU, and has no effect at EL2.
    let result = unsafe { reset_registers!(PAR_EL1 = 0, mask PAR;) };
    barrier::dmb_sy();
    result
}

/// Registers that have a meaning for software only: stack and thread pointers, context numbers.
fn software_registers() -> Result<(), HwError> {
    // SAFETY: The registers are there on every CPU; the monitor runs on SP_EL2.
    unsafe {
        reset_registers!(
            SP_EL0 = 0;
            SP_EL1 = 0;
            CONTEXTIDR_EL1 = 0;
            TPIDR_EL0 = 0;
            TPIDRRO_EL0 = 0;
            TPIDR_EL1 = 0;
        )
    }
}

/// The registers that later versions added to stage 1.
fn later_translation(features: &Features) -> Result<(), HwError> {
    let mut result = Ok(());
    // SAFETY: Each register is there with its feature, and governs EL1 and EL0 alone.
    unsafe {
        if features.tcr2() {
            result = result.and(reset_registers!(TCR2_EL1 = 0;));
        }
        if features.sctlr2() {
            result = result.and(reset_registers!(SCTLR2_EL1 = 0;));
        }
        if features.s1pie() {
            result = result.and(reset_registers!(
                PIRE0_EL1 = 0;
                PIR_EL1 = 0;
            ));
        }
        if features.s1poe() {
            result = result.and(reset_registers!(
                POR_EL0 = 0;
                POR_EL1 = 0;
            ));
        }
        if features.s2poe() {
            result = result.and(reset_registers!(S2POR_EL1 = 0;));
        }
    }
    result
}

/// Each limited ordering region's descriptor is chosen by `LORC_EL1.DS`.
fn ordering_regions(features: &Features) -> Result<(), HwError> {
    if !features.ordering_regions() {
        return Ok(());
    }
    // SAFETY: The registers are there with FEAT_LOR, and order accesses of EL1 and EL0 alone.
    unsafe {
        // LORID_EL1.LD: the number of descriptors.
        let descriptors = read_sysreg!(LORID_EL1) >> 16 & 0xff;
        for descriptor in 0..descriptors {
            // LORC_EL1.DS selects the descriptor, EN is clear; LORSA_EL1.Valid is cleared.
            write_sysreg!(LORC_EL1, descriptor << 2);
            barrier::isb();
            write_sysreg!(LORSA_EL1, 0);
            write_sysreg!(LOREA_EL1, 0);
            write_sysreg!(LORN_EL1, 0);
        }
        reset_registers!(LORC_EL1 = 0;)
    }
}

fn memory_tagging(features: &Features) -> Result<(), HwError> {
    if !features.mte() {
        return Ok(());
    }
    // SAFETY: The registers are there with FEAT_MTE2; the monitor uses no tags.
    unsafe {
        reset_registers!(
            RGSR_EL1 = 0;
            GCR_EL1 = 0;
            TFSR_EL1 = 0;
            TFSRE0_EL1 = 0;
        )
    }
}

/// Guarded control stacks.
fn guarded_stacks(features: &Features) -> Result<(), HwError> {
    if !features.gcs() {
        return Ok(());
    }
    // SAFETY: The registers are there with FEAT_GCS, and govern EL1 and EL0 alone.
    unsafe {
        reset_registers!(
            GCSCR_EL1 = 0;
            GCSPR_EL1 = 0;
            GCSCRE0_EL1 = 0;
            GCSPR_EL0 = 0;
        )
    }
}

fn errors_and_partitions(features: &Features) -> Result<(), HwError> {
    let mut result = Ok(());
    if features.ras() {
        // SAFETY: DISR_EL1 is there with FEAT_RAS. A deferred error that the old kernel did not
        // take is dropped with it.
        result = unsafe { reset_registers!(DISR_EL1 = 0;) };
    }
    if features.mpam() {
        // Partition and monitoring group 0; above are switches, some of them read-only.
        const IDS: u64 = 0xffff_ffff_ffff;
        // SAFETY: The registers are there with FEAT_MPAM; they label the accesses of EL1 and EL0.
        unsafe {
            result = result.and(reset_registers!(
                MPAM1_EL1 = 0, mask IDS;
                MPAM0_EL1 = 0, mask IDS;
            ));
            if features.sme() {
                result = result.and(reset_registers!(MPAMSM_EL1 = 0, mask IDS;));
            }
        }
    }
    result
}

#[cfg(test)]
mod tests;
