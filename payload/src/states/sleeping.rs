// SPDX-License-Identifier: Apache-2.0
//! CPUs that wait for an event or an interrupt.

use crate::cpu::Cpu;
use crate::{gic, hints};
use core::sync::atomic::Ordering::Relaxed;

/// Enables interrupts at the CPU, where there is a GIC that the probe knows.
pub fn enable_interrupts(this: &'static Cpu) {
    if this.redistributor.load(Relaxed) != 0 || gic::v2::get().is_some() {
        gic::enable(this, 0);
    }
}

/// WFE, which the event stream ends now and then.
pub fn wfe(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        hints::wait_for_event();
    }
}

/// WFI as a kernel does it: its CPU interface is on, an SGI would wake it.
pub fn wfi(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    masked_wfi(this, argument)
}

/// WFI with the CPU interface as it is at reset: no interrupt can wake the CPU.
pub fn masked_wfi(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        hints::wait_for_interrupt();
    }
}

/// WFI with the CPU interface disabled, and all else as a kernel has it.
pub fn interface_off(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    gic::disable_groups();
    masked_wfi(this, argument)
}

/// WFI with every priority masked.
pub fn priority_mask(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    gic::mask_all();
    masked_wfi(this, argument)
}

/// WFI that an SGI does not end: its priority is lower than the priority mask lets pass.
pub fn low_priority_wfi(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    gic::lower_priority(this);
    masked_wfi(this, argument)
}

/// WFI with the redistributor's SGIs disabled.
pub fn sgis_off(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    gic::disable_private(this);
    masked_wfi(this, argument)
}

/// WFI with the CPU interface disabled, after two with it enabled: the monitor looks at the first WFI
/// alone, and does not learn that the kick cannot wake the CPU any more.
pub fn interface_off_later(this: &'static Cpu, argument: u64) -> u64 {
    enable_interrupts(this);
    // Twice, as a WFI that finds the interrupt pending is none.
    for _ in 0..2 {
        gic::start_timer(20);
        while gic::take().is_none() {
            hints::wait_for_interrupt();
        }
    }
    gic::disable_groups();
    masked_wfi(this, argument)
}
