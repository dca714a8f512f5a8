// SPDX-License-Identifier: Apache-2.0
//! The distributor: interrupts of all CPUs, and SGIs and PPIs of the one that runs this (Arm IHI
//! 0048B, 4.3).

use crate::arch::verify::expect;
use crate::gic::v3::redistributor::{any, fill};
use arm_gic::gicv2::registers::{Gicd, GicdCtlr};
use baton_core::hw_error::HwError;
use core::mem::offset_of;
use core::ops::Range;
use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{UniqueMmioPointer, field, field_shared};

/// `GICD_*`, with what `arm-gic` does not name.
#[repr(C)]
pub struct Registers {
    gicd: Gicd,
    _reserved: [u32; 2],
    cpendsgir: [ReadPureWrite<u32>; 4],
    spendsgir: [ReadPureWrite<u32>; 4],
    _reserved_1: [u32; 0x2e],
    pidr2: ReadPure<u32>,
    _reserved_2: [u32; 5],
}

/// A byte for each interrupt, with a bit for each CPU interface.
type Targets = [ReadPureWrite<u8>; 1024];

const _: () = {
    assert!(offset_of!(Registers, cpendsgir) == 0xf10);
    assert!(offset_of!(Registers, pidr2) == 0xfe8);
    assert!(size_of::<Registers>() == 0x1000);
    assert!(size_of::<Targets>() == offset_of!(Gicd, icfgr) - offset_of!(Gicd, itargetsr));
};

/// SGIs are the first 16 interrupts of a CPU.
const SGIS: u32 = 0xffff;
/// SGIs and PPIs.
const PRIVATE: usize = 32;
/// `GICD_SGIR.TargetListFilter`: all but the CPU that writes it.
const ALL_OTHERS: u32 = 1 << 24;

/// Returns `GICD_PIDR2.ArchRev`.
pub fn revision(registers: UniqueMmioPointer<Registers>) -> u32 {
    field_shared!(registers, pidr2).read() >> 4 & 0xf
}

/// Returns the CPU that runs this as a target of interrupts; 0 if it is the only one.
pub fn own_targets(mut registers: UniqueMmioPointer<Registers>) -> u32 {
    // Its private interrupts have it as their target; those that are not implemented have none.
    let mut private = targets(&mut registers);
    let all = private.iter().take(PRIVATE).map(|target| target.read());
    all.fold(0, |all, target| all | u32::from(target))
}

/// Returns the targets, byte by byte: a guest that runs may change another one of the same word.
fn targets<'a>(registers: &'a mut UniqueMmioPointer<Registers>) -> UniqueMmioPointer<'a, Targets> {
    let base = registers.ptr_nonnull().cast::<u8>();
    // SAFETY: The offset is that of GICD_ITARGETSR0, inside of `registers`.
    unsafe {
        let targets = base.add(offset_of!(Gicd, itargetsr)).cast();
        registers.child(targets)
    }
}

/// Sends SGI `sgi` (0 to 15) to every other CPU.
pub fn send_to_all_others(mut registers: UniqueMmioPointer<Registers>, sgi: u8) {
    let mut gicd = field!(registers, gicd);
    field!(gicd, sgir).write(ALL_OTHERS | u32::from(sgi & 0xf));
}

/// The first 32 SPIs, and what enables them, as a kick from outside found them.
pub struct BeforeKick {
    targets: [u8; 32],
    priorities: [u32; 8],
    in_group1: u32,
    enabled: u32,
    pending: u32,
    ctlr: GicdCtlr,
}

impl BeforeKick {
    /// Reads them.
    pub fn read(mut registers: UniqueMmioPointer<Registers>) -> Self {
        let mut found = [0; 32];
        let mut all = targets(&mut registers);
        for (found, target) in found.iter_mut().zip(all.iter().skip(PRIVATE)) {
            *found = target.read();
        }
        let gicd = field!(registers, gicd);
        let mut priorities = [0; 8];
        let found_priorities = field_shared!(gicd, ipriorityr);
        for (found, priority) in priorities.iter_mut().zip(found_priorities.iter().skip(8)) {
            *found = priority.read();
        }
        Self {
            targets: found,
            priorities,
            in_group1: any!(gicd, igroupr[1; 1]),
            enabled: any!(gicd, isenabler[1; 1]),
            pending: any!(gicd, ispendr[1; 1]),
            ctlr: field_shared!(gicd, ctlr).read(),
        }
    }

    /// Puts them back. One that the guest has enabled stays pending: it may be its device's.
    pub fn put_back(&self, mut registers: UniqueMmioPointer<Registers>) {
        let mut gicd = field!(registers, gicd);
        fill!(gicd, icenabler[1; 1], !self.enabled);
        fill!(gicd, icpendr[1; 1], !self.pending & !self.enabled);
        fill!(gicd, igroupr[1; 1], self.in_group1);
        let mut priorities = field!(gicd, ipriorityr);
        for (before, mut priority) in self.priorities.iter().zip(priorities.iter().skip(8)) {
            priority.write(*before);
        }
        field!(gicd, ctlr).write(self.ctlr);
        let mut all = targets(&mut registers);
        for (before, mut target) in self.targets.iter().zip(all.iter().skip(PRIVATE)) {
            target.write(*before);
        }
    }
}

/// Makes the first 32 SPIs pending for `target` too, of the highest priority, half of them in each
/// group.
pub fn raise_shared(mut registers: UniqueMmioPointer<Registers>, target: u8) {
    for mut targets in targets(&mut registers).iter().skip(PRIVATE).take(32) {
        targets.modify(|others| others | target);
    }
    let mut gicd = field!(registers, gicd);
    fill!(gicd, igroupr[1; 1], 0xaaaa_aaaa);
    fill!(gicd, ipriorityr[8; 8], 0);
    fill!(gicd, isenabler[1; 1], !0);
    fill!(gicd, ispendr[1; 1], !0);
    field!(gicd, ctlr).write(GicdCtlr::all());
}

/// Leaves SGIs and PPIs of this CPU disabled, not pending, not active, in group 0, of the highest
/// priority, PPIs level-sensitive where they can be.
///
/// The CPU's own devices should be quiet before: a level-sensitive interrupt that is still
/// signalled stays pending.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value. Pending SGIs are not
/// checked: a kick can still arrive; [`drop_sgis`] checks them.
pub fn reset_private(mut registers: UniqueMmioPointer<Registers>) -> Result<(), HwError> {
    fill!(registers, cpendsgir[0; 4], !0);
    let mut gicd = field!(registers, gicd);
    fill!(gicd, icenabler[0; 1], !0);
    // SGIs may be enabled permanently (IHI 0048B, 4.3.5).
    reset(gicd, 0..1, !SGIS)
}

/// Leaves no SGI pending: to be called when no CPU sends any more.
///
/// # Errors
///
/// [`HwError::Sticky`] if one is still pending.
pub fn drop_sgis(mut registers: UniqueMmioPointer<Registers>) -> Result<(), HwError> {
    fill!(registers, cpendsgir[0; 4], !0);
    let pending = any!(registers, spendsgir[0; 4]);
    expect("GICD_SPENDSGIR<n>", 0, !0, pending.into())
}

/// Switches both groups off, and disables all SPIs.
pub fn quiesce(mut registers: UniqueMmioPointer<Registers>) {
    let words = words(&registers);
    let mut gicd = field!(registers, gicd);
    field!(gicd, ctlr).write(GicdCtlr::empty());
    fill!(gicd, icenabler[1; words - 1], !0);
}

/// Returns how many registers of 32 interrupts there are, those of SGIs and PPIs too.
fn words(registers: &UniqueMmioPointer<Registers>) -> usize {
    let gicd = field_shared!(registers, gicd);
    field_shared!(gicd, typer).read().num_irqs() as usize / 32
}

/// Leaves SPIs, which [`quiesce`] has disabled, as at reset: not pending, not active, in group 0, of the
/// highest priority, level-sensitive, and for no CPU. Of all registers of 32 SPIs, these are every `of`th
/// from the one at `place` on.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value. The rest is done all
/// the same.
pub fn reset_spis(
    mut registers: UniqueMmioPointer<Registers>,
    place: usize,
    of: usize,
) -> Result<(), HwError> {
    let mut result = Ok(());
    for word in (1..words(&registers)).skip(place).step_by(of.max(1)) {
        for mut targets in targets(&mut registers).iter().skip(32 * word).take(32) {
            targets.write(0);
        }
        result = result.and(reset(field!(registers, gicd), word..word + 1, !0));
    }
    result
}

/// Resets the interrupts of `words`, registers of 32 interrupts each, which have been disabled, and checks
/// that those of `enables` in each are.
fn reset(
    mut gicd: UniqueMmioPointer<Gicd>,
    words: Range<usize>,
    enables: u32,
) -> Result<(), HwError> {
    let (first, count) = (words.start, words.len());
    // Before pending is cleared: a level-sensitive interrupt keeps no edge.
    fill!(gicd, icfgr[2 * first; 2 * count], 0);
    fill!(gicd, icpendr[first; count], !0);
    fill!(gicd, icactiver[first; count], !0);
    fill!(gicd, igroupr[first; count], 0);
    fill!(gicd, ipriorityr[8 * first; 8 * count], 0);
    let enabled = any!(gicd, isenabler[first; count]) & enables;
    let active = any!(gicd, isactiver[first; count]);
    let group = any!(gicd, igroupr[first; count]);
    let priority = any!(gicd, ipriorityr[8 * first; 8 * count]);
    expect("GICD_ISENABLER<n>", 0, !0, enabled.into())
        .and(expect("GICD_ISACTIVER<n>", 0, !0, active.into()))
        .and(expect("GICD_IGROUPR<n>", 0, !0, group.into()))
        .and(expect("GICD_IPRIORITYR<n>", 0, !0, priority.into()))
}

/// Has every SPI that goes to the CPU interface `from` alone go to `to` instead, and none to
/// `from`.
pub fn retarget(mut registers: UniqueMmioPointer<Registers>, from: u8, to: u8) {
    for mut targets in targets(&mut registers).iter().skip(PRIVATE) {
        let before = targets.read();
        if before & from != 0 {
            let others = before & !from;
            targets.write(if others == 0 { to } else { others });
        }
    }
}
