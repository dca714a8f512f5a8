// SPDX-License-Identifier: Apache-2.0
//! EL2 for a guest that owns the machine: nothing is trapped without need, and every feature of the
//! CPU is enabled (Linux, Documentation/arch/arm64/booting.rst, "the following requirements").
//!
//! Not written here: what the monitor itself runs on (`SCTLR_EL2`, `TCR_EL2`, `MAIR_EL2`,
//! `TTBR0_EL2`, `VBAR_EL2`), stage 2 (`VTCR_EL2`, `VTTBR_EL2`), and `ACTLR_EL2`, which is
//! implementation defined: what firmware chose there holds for the errata of the CPU; but see
//! `implementer_registers`.

use crate::arch::barrier;
use crate::arch::verify::expect;
use crate::vcpu::features::Features;
use arm_sysregs::el2::registers::{
    CnthctlEl2, HcrEl2, HcrxEl2, HdfgrtrEl2, HdfgwtrEl2, HfgitrEl2, HfgrtrEl2, HfgwtrEl2, IccSreEl2,
};
use baton_core::devicetree::cpus::Devices;
use baton_core::hw_error::HwError;
use baton_sysreg::{read_sysreg, write_sysreg};

/// Sets this CPU's EL2 up for the guest.
///
/// `HCR_EL2.VM` is set: stage 2 must be in place before. To be called once on every CPU, and again when a CPU
/// comes back from a sleep that loses its state.
///
/// # Errors
///
/// [`HwError::Sticky`] if the CPU does not take `HCR_EL2` (one that can only run with
/// `HCR_EL2.E2H` set), or keeps the GIC's system registers off. The rest is set all the same.
pub fn configure(features: &Features, devices: Devices) -> Result<(), HwError> {
    let result = hypervisor_control(features, devices);
    identity();
    features_for_el1(features);
    fine_traps(features);
    performance_and_debug(features, devices.trace);
    timers(features);
    let result = result.and(gic(features));
    barrier::isb();
    result
}

/// Traps WFI of the guest on this CPU (`HCR_EL2.TWI`), or leaves it alone.
pub fn trap_wfi(trap: bool) {
    let mut hcr = hypervisor_configuration();
    hcr.set(HcrEl2::TWI, trap);
    // SAFETY: It governs EL1 and EL0 alone.
    unsafe { write_hypervisor_configuration(hcr) };
}

/// Waits at EL2 until an interrupt reaches this CPU, which does not take it.
pub fn wait_for_interrupt() {
    let hcr = hypervisor_configuration();
    // Only interrupts that are routed to this level, or above it, end a wait here (Arm ARM, "WFI
    // wake-up events").
    // SAFETY: EL2 has interrupts masked, and the guest does not run before it is undone.
    unsafe { write_hypervisor_configuration(hcr | HcrEl2::IMO | HcrEl2::FMO) };
    barrier::wfi();
    // SAFETY: As it was before.
    unsafe { write_hypervisor_configuration(hcr) };
}

/// Returns `HCR_EL2`.
fn hypervisor_configuration() -> HcrEl2 {
    // SAFETY: HCR_EL2 is there on every CPU with EL2.
    HcrEl2::from_bits_retain(unsafe { read_sysreg!(HCR_EL2) })
}

/// Writes `HCR_EL2`, while no translation is under way that it could spoil (`Workaround::BarriersAroundHcr`).
///
/// # Safety
///
/// As `write_sysreg!`.
unsafe fn write_hypervisor_configuration(hcr: HcrEl2) {
    barrier::dsb_nsh();
    // SAFETY: The caller's promise.
    unsafe { write_sysreg!(HCR_EL2, hcr.bits()) };
    barrier::isb();
}

fn hypervisor_control(features: &Features, devices: Devices) -> Result<(), HwError> {
    // Interrupts and errors go to EL1 (no IMO, FMO, AMO), waits are not trapped (no TWI, TWE; but
    // see `trap_wfi`), SMC is: the monitor answers PSCI. Faults cannot be injected into error
    // records (no FIEN): the monitor uses them too.
    // An invalidation by set and way cleans too (SWIO), as with stage 2 it could discard what is another's.
    let mut hcr = HcrEl2::RW | HcrEl2::VM | HcrEl2::TSC | HcrEl2::SWIO;
    hcr.set(HcrEl2::TIDCP, !implementer_registers(devices));
    hcr.set(
        HcrEl2::API | HcrEl2::APK,
        features.address_auth() || features.generic_auth(),
    );
    hcr.set(HcrEl2::ATA, features.mte());
    hcr.set(HcrEl2::ENSCXT, features.scxtnum());
    // SAFETY: The monitor runs without VHE, on which alone these bits have an effect at EL2.
    unsafe { write_hypervisor_configuration(hcr) };
    // The bits that the monitor depends on; others may read as zero where the feature is not there.
    let vital = hcr | HcrEl2::E2H | HcrEl2::TGE | HcrEl2::IMO | HcrEl2::FMO | HcrEl2::AMO;
    let result = expect(
        "HCR_EL2",
        hcr.bits(),
        (vital - HcrEl2::ENSCXT).bits(),
        hypervisor_configuration().bits(),
    );

    if features.hcrx() {
        let mut hcrx = HcrxEl2::empty();
        hcrx.set(HcrxEl2::ENALS, features.ls64());
        hcrx.set(HcrxEl2::ENASR, features.ls64_v());
        hcrx.set(HcrxEl2::ENAS0, features.ls64_accdata());
        // Without MCE2, a memory copy exception goes to EL1: a guest whose CPUs are all alike, or
        // that handles it, needs no help.
        hcrx.set(HcrxEl2::MSCEN, features.mops());
        hcrx.set(HcrxEl2::TCR2EN, features.tcr2());
        hcrx.set(HcrxEl2::SCTLR2EN, features.sctlr2());
        hcrx.set(HcrxEl2::D128EN, features.d128());
        hcrx.set(
            HcrxEl2::ENIDCP128,
            features.sysreg128() || features.sysinstr128(),
        );
        hcrx.set(HcrxEl2::ENSNERR, features.anerr());
        hcrx.set(HcrxEl2::ENSDERR, features.aderr());
        hcrx.set(HcrxEl2::GCSEN, features.gcs());
        hcrx.set(HcrxEl2::ENFPM, features.fpmr());
        hcrx.set(HcrxEl2::PACMEN, features.pacm());
        // SAFETY: The register is there, and governs EL1 and EL0 alone.
        unsafe { write_sysreg!(HCRX_EL2, hcrx.bits()) };
    }
    result
}

/// Returns whether the guest may use what the implementer defines: it may show what is in the caches, or change
/// how the CPU works at all levels. Where a driver of Linux needs some of it, `ACTLR_EL2` has to keep the rest.
fn implementer_registers(devices: Devices) -> bool {
    if devices.dsu_pmu {
        // CLUSTERPMUEN (Cortex-A76 TRM, B2.6, and that of each CPU that has a DSU).
        const CLUSTER_PMU: u64 = 1 << 12;
        // SAFETY: It lets EL1 write the PMU's registers, and nothing else: the other bits are of the same kind.
        unsafe { write_sysreg!(ACTLR_EL2, CLUSTER_PMU) };
    }
    devices.dsu_pmu || devices.implementer
}

/// The guest sees the CPU's own identity; no trap of AArch32 or of the implementer is enabled.
fn identity() {
    // SAFETY: These registers are there on every CPU with EL2, and govern EL1 and EL0 alone.
    unsafe {
        write_sysreg!(VPIDR_EL2, read_sysreg!(MIDR_EL1));
        write_sysreg!(VMPIDR_EL2, read_sysreg!(MPIDR_EL1));
        write_sysreg!(HSTR_EL2, 0);
        write_sysreg!(HACR_EL2, 0);
    }
}

/// Vectors of every length, and memory partitions.
fn features_for_el1(features: &Features) {
    // The bits that are RES1 without VHE; TZ and TSM are so only without SVE and SME.
    const CPTR_RES1: u64 = 0x33ff;
    const CPTR_TZ: u64 = 1 << 8;
    const CPTR_TSM: u64 = 1 << 12;
    let mut cptr = CPTR_RES1;
    if features.sve() {
        cptr &= !CPTR_TZ;
    }
    if features.sme() {
        cptr &= !CPTR_TSM;
    }
    // SAFETY: The monitor is built without floating point and keeps nothing in vector registers.
    unsafe { write_sysreg!(CPTR_EL2, cptr) };
    barrier::isb();

    // The CPU rounds a length down to the longest that it has.
    const LONGEST: u64 = 0xf;
    if features.sve() {
        // SAFETY: ZCR_EL2 is there with SVE, and just made accessible.
        unsafe { write_sysreg!(ZCR_EL2, LONGEST) };
    }
    if features.sme() {
        const FA64: u64 = 1 << 31;
        const EZT0: u64 = 1 << 30;
        let mut smcr = LONGEST;
        if features.sme_fa64() {
            smcr |= FA64;
        }
        if features.sme2() {
            smcr |= EZT0;
        }
        // SAFETY: SMCR_EL2 and SMPRIMAP_EL2 are there with SME, and just made accessible.
        unsafe {
            write_sysreg!(SMCR_EL2, smcr);
            write_sysreg!(SMPRIMAP_EL2, 0);
        }
    }

    if features.mpam() {
        const EN_MPAMSM: u64 = 1 << 50;
        const HAS_HCR: u64 = 1 << 17;
        let mpam2 = if features.sme() { EN_MPAMSM } else { 0 };
        // SAFETY: MPAM2_EL2 and MPAMIDR_EL1 are there with MPAM, MPAMHCR_EL2 where HAS_HCR says so.
        unsafe {
            write_sysreg!(MPAM2_EL2, mpam2);
            if read_sysreg!(MPAMIDR_EL1) & HAS_HCR != 0 {
                write_sysreg!(MPAMHCR_EL2, 0);
            }
        }
    }
    if features.gcs() {
        // SAFETY: GCSCR_EL2 is there with FEAT_GCS; the monitor has no guarded stack.
        unsafe { write_sysreg!(GCSCR_EL2, 0) };
    }
    if features.ras() {
        // SAFETY: VDISR_EL2 is there with RAS; no virtual error is pending for the guest.
        unsafe { write_sysreg!(VDISR_EL2, 0) };
    }
}

/// Disables all fine-grained traps. Most bits trap when they are 1; those called n… trap when they
/// are 0, and belong to features that a hypervisor may not know. Where such a feature is not there,
/// its bit has no effect.
fn fine_traps(features: &Features) {
    if !features.fine_traps() {
        return;
    }
    let registers = HfgrtrEl2::NACCDATA_EL1
        | HfgrtrEl2::NGCS_EL0
        | HfgrtrEl2::NGCS_EL1
        | HfgrtrEl2::NSMPRI_EL1
        | HfgrtrEl2::NTPIDR2_EL0
        | HfgrtrEl2::NRCWMASK_EL1
        | HfgrtrEl2::NPIRE0_EL1
        | HfgrtrEl2::NPIR_EL1
        | HfgrtrEl2::NPOR_EL0
        | HfgrtrEl2::NPOR_EL1
        | HfgrtrEl2::NS2POR_EL1
        | HfgrtrEl2::NMAIR2_EL1
        | HfgrtrEl2::NAMAIR2_EL1;
    let instructions = HfgitrEl2::NBRBINJ
        | HfgitrEl2::NBRBIALL
        | HfgitrEl2::NGCSPUSHM_EL1
        | HfgitrEl2::NGCSSTR_EL1
        | HfgitrEl2::NGCSEPP;
    let debug_reads = HdfgrtrEl2::NBRBIDR
        | HdfgrtrEl2::NBRBCTL
        | HdfgrtrEl2::NBRBDATA
        | HdfgrtrEl2::NPMSNEVFR_EL1;
    let debug_writes = HdfgwtrEl2::NBRBCTL | HdfgwtrEl2::NBRBDATA | HdfgwtrEl2::NPMSNEVFR_EL1;
    // SAFETY: The registers are there with FEAT_FGT, and govern EL1 and EL0 alone.
    unsafe {
        // The n… bits have the same places in both.
        write_sysreg!(HFGRTR_EL2, registers.bits());
        write_sysreg!(
            HFGWTR_EL2,
            HfgwtrEl2::from_bits_truncate(registers.bits()).bits()
        );
        write_sysreg!(HFGITR_EL2, instructions.bits());
        write_sysreg!(HDFGRTR_EL2, debug_reads.bits());
        write_sysreg!(HDFGWTR_EL2, debug_writes.bits());
        if features.amu() {
            write_sysreg!(HAFGRTR_EL2, 0);
        }
    }
    if features.fine_traps2() {
        second_fine_traps();
    }
}

/// The same for the registers of `FEAT_FGT2`.
fn second_fine_traps() {
    use arm_sysregs::el2::registers::{
        Hdfgrtr2El2, Hdfgwtr2El2, Hfgitr2El2, Hfgrtr2El2, Hfgwtr2El2,
    };
    let positive_registers =
        Hfgrtr2El2::TFSR_EL1 | Hfgrtr2El2::RGSR_EL1 | Hfgrtr2El2::GCR_EL1 | Hfgrtr2El2::ACTLR_EL1;
    let registers = Hfgrtr2El2::all() - positive_registers;
    let writes = Hfgwtr2El2::from_bits_truncate(registers.bits());
    // SAFETY: The registers are there with FEAT_FGT2, and govern EL1 and EL0 alone.
    unsafe {
        write_sysreg!(HFGRTR2_EL2, registers.bits());
        write_sysreg!(HFGWTR2_EL2, writes.bits());
        write_sysreg!(HFGITR2_EL2, Hfgitr2El2::NDCCIVAPS.bits());
        write_sysreg!(HDFGRTR2_EL2, Hdfgrtr2El2::all().bits());
        write_sysreg!(HDFGWTR2_EL2, Hdfgwtr2El2::all().bits());
    }
}

/// Counters, profiling and trace belong to EL1; nothing counts or traces the monitor.
fn performance_and_debug(features: &Features, trace: bool) {
    use arm_sysregs::el2::registers::MdcrEl2;
    // The buffers of SPE and TRBE are EL1's, in its own translation, and not trapped.
    const E2PB_EL1: u64 = 3 << 12;
    const E2TB_EL1: u64 = 3 << 24;
    // The guest's locks of the debug registers are not the CPU's (`baton_core::os_lock`).
    let mut mdcr = MdcrEl2::TDOSA.bits();
    if features.pmu().is_some() {
        // SAFETY: PMCR_EL0 is there with a PMU; reading it changes nothing.
        let pmcr = unsafe { read_sysreg!(PMCR_EL0) };
        // HPMN: all counters are the guest's.
        mdcr |= pmcr >> 11 & 0x1f;
    }
    // They do not count at EL2: events from PMUv3p1 on, cycles from PMUv3p5 on.
    let version = features.pmu().unwrap_or(0);
    if version >= 4 {
        mdcr |= MdcrEl2::HPMD.bits();
    }
    if version >= 6 {
        mdcr |= MdcrEl2::HCCD.bits();
    }
    if features.multi_thread_pmu() {
        mdcr |= MdcrEl2::MTPME.bits();
    }
    if features.system_pmu() {
        mdcr |= MdcrEl2::ENSPM.bits();
    }
    if features.debug_banks() {
        mdcr |= MdcrEl2::EBWE.bits();
    }
    if features.spe() {
        mdcr |= E2PB_EL1;
        // PA: samples may carry physical addresses. PCT: and the physical counter.
        const PMSCR_PA: u64 = 1 << 4;
        const PMSCR_PCT_PHYSICAL: u64 = 1 << 6;
        const PMBIDR_P: u64 = 1 << 4;
        // SAFETY: PMBIDR_EL1 is there with SPE, PMSCR_EL2 is ours where EL3 does not keep SPE (P).
        unsafe {
            if read_sysreg!(PMBIDR_EL1) & PMBIDR_P == 0 {
                write_sysreg!(PMSCR_EL2, PMSCR_PA | PMSCR_PCT_PHYSICAL);
            }
        }
    }
    if features.trace_buffer() {
        mdcr |= E2TB_EL1;
    }
    if trace && features.trace_filter() {
        // EL2 is not traced, nor after a reset.
        // SAFETY: The register is there with FEAT_TRF.
        unsafe { write_sysreg!(TRFCR_EL2, 0) };
    }
    if features.branch_records() {
        // Nor recorded (E2BRE); CC and MPRED let EL1 have cycles and mispredictions.
        const CC_MPRED: u64 = 3 << 3;
        // SAFETY: The register is there with FEAT_BRBE.
        unsafe { write_sysreg!(BRBCR_EL2, CC_MPRED) };
    }
    // SAFETY: MDCR_EL2 is there on every CPU with EL2; with TDE clear, debug exceptions are EL1's.
    unsafe { write_sysreg!(MDCR_EL2, mdcr) };
}

/// The guest's counters show the machine's time, and EL2's timers are off. Without CNTHCTL_EL2.ECV,
/// CNTPOFF_EL2, which firmware may keep for itself, does not count.
fn timers(features: &Features) {
    let open = CnthctlEl2::EL0PCTEN | CnthctlEl2::EL1PCEN;
    // SAFETY: The monitor uses no timer of EL2; the registers are there as far as it was asked.
    unsafe {
        write_sysreg!(CNTHCTL_EL2, open.bits());
        write_sysreg!(CNTVOFF_EL2, 0);
        write_sysreg!(CNTHP_CTL_EL2, 0);
        if features.vhe() {
            write_sysreg!(CNTHV_CTL_EL2, 0);
        }
    }
}

/// The GIC is the guest's, by system registers, and no virtual one stands before it.
fn gic(features: &Features) -> Result<(), HwError> {
    if !features.gic_registers() {
        return Ok(());
    }
    let sre = IccSreEl2::SRE | IccSreEl2::DFB | IccSreEl2::DIB | IccSreEl2::ENABLE;
    // SAFETY: The register is there with the GIC's system registers, which the guest shall use.
    unsafe { write_sysreg!(ICC_SRE_EL2, sre.bits()) };
    barrier::isb();
    // SAFETY: As above.
    let found = unsafe { read_sysreg!(ICC_SRE_EL2) };
    expect(
        "ICC_SRE_EL2",
        sre.bits(),
        (IccSreEl2::SRE | IccSreEl2::ENABLE).bits(),
        found,
    )?;
    // SAFETY: ICH_HCR_EL2 can be accessed with ICC_SRE_EL2.SRE set, as was just read.
    unsafe { write_sysreg!(ICH_HCR_EL2, 0) };
    Ok(())
}

#[cfg(test)]
mod tests;
