// SPDX-License-Identifier: Apache-2.0
//! As much of a GICv3, or GICv2, as it takes to be woken: SGI 0 and the virtual timer's PPI.
//!
//! Interrupts stay masked by DAIF; they end WFI and are taken by hand.

mod ids;
pub mod v2;

pub use ids::{SGI, VIRTUAL_TIMER};

use crate::cpu::Cpu;
use crate::hints;
use crate::machine::Gic;
use crate::mmio::{read32, read64, write32};
use crate::outcome::{Outcome, ensure};
use crate::time;
use arm_sysregs::el0::accessors::{write_cntv_ctl_el0, write_cntv_tval_el0};
use arm_sysregs::el0::registers::{CntvCtlEl0, CntvTvalEl0};
use arm_sysregs::el1::accessors::{
    read_icc_iar1_el1, write_icc_eoir1_el1, write_icc_igrpen1_el1, write_icc_pmr_el1,
    write_icc_sgi1r_el1,
};
use arm_sysregs::el1::registers::{IccEoir1El1, IccIgrpen1El1, IccPmrEl1, IccSgi1rEl1};
use baton_sysreg::gic::{array, gicd, gicr};
use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;
use ids::{LOW, MASK};

/// Special interrupt ids: nothing is pending that can be taken.
const SPECIAL: core::ops::RangeInclusive<u32> = 1020..=1023;

/// Enables the distributor and finds each CPU's redistributor.
pub fn init(gic: &Gic, cpus: &[Cpu]) -> Outcome {
    if let Some(gic) = v2::get() {
        gic.init();
        return Ok(());
    }
    // Where there are two security states, bit 4 is ARE_NS in the view from EL1.
    let on = gicd::CTLR_GRP1 | gicd::CTLR_ARE;
    write32(gic.distributor + gicd::CTLR, on);
    let quiet = time::wait_until(1000, || {
        read32(gic.distributor + gicd::CTLR) & gicd::CTLR_RWP == 0
    });
    ensure!(quiet, "GICD_CTLR.RWP: expected 0 within 1000 ms, seen 1");
    find_redistributors(gic, cpus);
    Ok(())
}

/// Finds each CPU's redistributor; a CPU that has none takes no interrupt.
pub fn find_redistributors(gic: &Gic, cpus: &[Cpu]) {
    for &(base, size) in gic.redistributors.iter() {
        let mut frame = base;
        while frame + 2 * gicr::FRAME <= base + size {
            let kind = read64(frame + gicr::TYPER);
            let (aff3, aff) = (kind >> 56 & 0xff, kind >> 32 & 0xff_ffff);
            if let Some(cpu) = cpus.iter().find(|cpu| cpu.mpidr() == aff3 << 32 | aff) {
                cpu.redistributor.store(frame, Relaxed);
            }
            if kind & gicr::TYPER_LAST != 0 {
                break;
            }
            frame += if kind & gicr::TYPER_VLPIS != 0 {
                4 * gicr::FRAME
            } else {
                2 * gicr::FRAME
            };
        }
    }
}

/// Wakes the redistributor at this address; returns whether it is awake within a second.
pub fn wake(base: u64) -> bool {
    let waker = read32(base + gicr::WAKER);
    write32(base + gicr::WAKER, waker & !gicr::WAKER_PROCESSOR_SLEEP);
    time::wait_until(1000, || {
        read32(base + gicr::WAKER) & gicr::WAKER_CHILDREN_ASLEEP == 0
    })
}

/// A job: enables [`SGI`] and [`VIRTUAL_TIMER`] on the CPU. 0 if its redistributor wakes up.
pub fn enable(this: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        gic.enable();
        return 0;
    }
    let base = this.redistributor.load(Relaxed);
    if base == 0 {
        return 0;
    }
    if !wake(base) {
        return 1;
    }
    let sgi = base + gicr::FRAME;
    write32(sgi + array::IGROUPR, !0);
    write32(sgi + array::ICENABLER, !0);
    for n in (0..32).step_by(4) {
        write32(sgi + array::IPRIORITYR + n, 0xa0a0_a0a0);
    }
    write32(sgi + array::ISENABLER, 1 << SGI | 1 << VIRTUAL_TIMER);
    // SAFETY: the system register interface is what all of the probe uses (ICC_SRE_EL1.SRE).
    unsafe {
        asm!("msr icc_sre_el1, {}", "isb", in(reg) 7_u64, options(nomem, nostack));
    }
    write_icc_pmr_el1(IccPmrEl1::from_bits_retain(0xff));
    write_icc_igrpen1_el1(IccIgrpen1El1::from_bits_retain(1));
    0
}

/// Masks what [`enable`] has enabled on the CPU, by its priority.
pub fn lower_priority(this: &Cpu) {
    if let Some(gic) = v2::get() {
        return gic.lower_priority();
    }
    let base = this.redistributor.load(Relaxed);
    if base != 0 {
        write32(base + gicr::FRAME + array::IPRIORITYR, LOW);
        write_icc_pmr_el1(IccPmrEl1::from_bits_retain(MASK.into()));
    }
}

/// Disables all groups at this CPU's interface.
pub fn disable_groups() {
    if let Some(gic) = v2::get() {
        return gic.disable_groups();
    }
    write_icc_igrpen1_el1(IccIgrpen1El1::empty());
}

/// Masks interrupts of every priority at this CPU's interface.
pub fn mask_all() {
    if let Some(gic) = v2::get() {
        return gic.mask_all();
    }
    write_icc_pmr_el1(IccPmrEl1::empty());
}

/// Disables the SGIs and PPIs of a CPU.
pub fn disable_private(this: &Cpu) {
    if let Some(gic) = v2::get() {
        return gic.disable_private();
    }
    let sgi = this.redistributor.load(Relaxed) + gicr::FRAME;
    write32(sgi + array::ICENABLER, !0);
}

/// Takes the pending interrupt of this CPU, ends it, and returns its id.
pub fn take() -> Option<u32> {
    let v2 = v2::get();
    let (id, value) = match v2 {
        Some(gic) => gic.acknowledge(),
        None => {
            let id = read_icc_iar1_el1().bits() as u32 & 0xff_ffff;
            (id, id)
        }
    };
    if SPECIAL.contains(&id) {
        return None;
    }
    if id == VIRTUAL_TIMER {
        stop_timer();
    }
    match v2 {
        Some(gic) => gic.end(value),
        None => write_icc_eoir1_el1(IccEoir1El1::from_bits_retain(id.into())),
    }
    Some(id)
}

/// Makes the virtual timer of this CPU fire.
pub fn start_timer(milliseconds: u64) {
    write_cntv_tval_el0(CntvTvalEl0::from_bits_retain(
        time::ticks(milliseconds) & 0x7fff_ffff,
    ));
    write_cntv_ctl_el0(CntvCtlEl0::from_bits_retain(1));
}

/// Stops the virtual timer of this CPU.
pub fn stop_timer() {
    write_cntv_ctl_el0(CntvCtlEl0::from_bits_retain(0));
}

/// Sends [`SGI`] to a CPU.
pub fn send(target: &Cpu) {
    if let Some(gic) = v2::get() {
        hints::send_event();
        return gic.send(target, SGI);
    }
    let mpidr = target.mpidr();
    let aff = |n: u64| mpidr >> n & 0xff;
    let value = aff(32) << 48
        | aff(16) << 32
        | u64::from(SGI) << 24
        | aff(8) << 16
        | (aff(0) >> 4) << 44
        | 1 << (aff(0) & 0xf);
    hints::send_event();
    write_icc_sgi1r_el1(IccSgi1rEl1::from_bits_retain(value));
}
