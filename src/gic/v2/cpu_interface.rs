// SPDX-License-Identifier: Apache-2.0
//! The CPU interface of the CPU that runs this, by memory (Arm IHI 0048B, 4.4).

use crate::arch::verify::expect;
use crate::gic::v3::redistributor::fill;
use baton_core::hw_error::HwError;
use core::mem::offset_of;
use safe_mmio::fields::{ReadPure, ReadPureWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field, field_shared};

/// `GICC_*`; `arm-gic` has no active priorities.
#[repr(C)]
pub struct Registers {
    ctlr: ReadPureWrite<u32>,
    pmr: ReadPureWrite<u32>,
    bpr: ReadPureWrite<u32>,
    _iar: u32,
    eoir: WriteOnly<u32>,
    rpr: ReadPure<u32>,
    _hppir: u32,
    abpr: ReadPureWrite<u32>,
    _reserved: [u32; 0x2c],
    apr: [ReadPureWrite<u32>; 4],
    nsapr: [ReadPureWrite<u32>; 4],
}

const _: () = assert!(offset_of!(Registers, apr) == 0xd0 && size_of::<Registers>() == 0xf0);

/// `GICC_CTLR`: whether interrupts pass the interface by when it is disabled, which depends on how
/// the chip is wired.
const BYPASS: u32 = 0xf << 5;
/// `GICC_RPR` when no interrupt is being handled: of the lowest priority that there is, or lower.
const IDLE_PRIORITY: u32 = 0xf8;
/// Most levels of preemption.
const LEVELS: u32 = 128;

/// Returns `GICC_CTLR` in the bits that are firmware's to choose.
pub fn bypass(registers: UniqueMmioPointer<Registers>) -> u32 {
    field_shared!(registers, ctlr).read() & BYPASS
}

/// `GICC_CTLR`: both groups; with the Security Extensions the lower bit is of group 1.
const GROUPS: u32 = 3;
/// `GICC_PMR` that lets the highest priority through, of as few as a GIC can have.
const HIGHEST_ALONE: u32 = 0x20;

/// What [`listen`] found, to be put back.
pub struct Saved {
    mask: u32,
    control: u32,
}

/// Returns whether no interrupt reaches this CPU: the groups are off, or the mask lets none
/// through.
pub fn kick_is_masked(registers: UniqueMmioPointer<Registers>) -> bool {
    field_shared!(registers, ctlr).read() & GROUPS == 0 || field_shared!(registers, pmr).read() == 0
}

/// Lets interrupts through to this CPU, those of the highest priorities alone.
///
/// An interrupt of such a priority that is being handled still keeps them away.
pub fn listen(mut registers: UniqueMmioPointer<Registers>) -> Saved {
    let saved = Saved {
        mask: field_shared!(registers, pmr).read(),
        control: field_shared!(registers, ctlr).read(),
    };
    field!(registers, pmr).write(HIGHEST_ALONE);
    field!(registers, ctlr).write(saved.control | GROUPS);
    saved
}

impl Saved {
    /// Undoes [`listen`].
    pub fn restore(self, mut registers: UniqueMmioPointer<Registers>) {
        field!(registers, ctlr).write(self.control);
        field!(registers, pmr).write(self.mask);
    }
}

/// Leaves the interface as at reset: groups disabled, all masked, one-step EOI, and no interrupt
/// being handled. `bypass` is what [`bypass`] was at boot.
///
/// To be called before SGIs are reset: it may deactivate SGI 0. What was being handled stays active
/// until the distributor is told otherwise.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value.
pub fn reset(mut registers: UniqueMmioPointer<Registers>, bypass: u32) -> Result<(), HwError> {
    field!(registers, ctlr).write(bypass);
    fill!(registers, apr[0; 4], 0);
    fill!(registers, nsapr[0; 4], 0);
    // QEMU looks at the above only when an interrupt ends; SGI 0 is this CPU's own.
    for _ in 0..LEVELS {
        if field_shared!(registers, rpr).read() & IDLE_PRIORITY == IDLE_PRIORITY {
            break;
        }
        field!(registers, eoir).write(0);
    }
    // The lowest binary points that there are, which zero selects.
    field!(registers, bpr).write(0);
    field!(registers, abpr).write(0);
    field!(registers, pmr).write(0);
    let found = |register: u32| u64::from(register);
    let rpr = found(field_shared!(registers, rpr).read());
    let pmr = found(field_shared!(registers, pmr).read());
    let ctlr = found(field_shared!(registers, ctlr).read());
    let idle = IDLE_PRIORITY.into();
    expect("GICC_RPR", idle, idle, rpr)
        .and(expect("GICC_PMR", 0, !0, pmr))
        .and(expect("GICC_CTLR", 0, !u64::from(BYPASS), ctlr))
}
