// SPDX-License-Identifier: Apache-2.0
//! The CPU interface, by system registers (Arm IHI 0069, 12.2).

use crate::arch::barrier;
use crate::arch::verify::{expect, reset_registers};
use baton_core::hw_error::HwError;
use baton_sysreg::{read_sysreg, write_sysreg};

/// `ICC_RPR_EL1` when no interrupt is being handled.
const IDLE_PRIORITY: u64 = 0xff;

/// `ICC_CTLR_EL1`: CBPR, EOImode, PMHE.
const CTLR_CHOICES: u64 = 1 << 0 | 1 << 1 | 1 << 6;

/// `ICC_CTLR_EL1.EOImode`, the one of them that is writable whatever firmware set up.
const CTLR_EOIMODE: u64 = 1 << 1;

/// With two security states, priorities of Non-secure interrupts lie in the lower half, from here on, and
/// their registers hide that. `ICC_PMR_EL1` hides it too if `SCR_EL3.FIQ` is set, and else does not
/// (Arm IHI 0069, 4.8.6).
const SHIFTED: u64 = 0x80;

/// Leaves this CPU's interface as at reset: groups disabled, all masked, one-step EOI, and no
/// interrupt being handled. `ICC_SRE_EL1` stays: the guest uses these registers, and no others.
///
/// To be called before the redistributor is reset: it may deactivate SGI 0.
///
/// An interrupt that was being handled stays active until the redistributor, or the distributor, is
/// told otherwise: this only brings the running priority back.
///
/// # Errors
///
/// [`HwError::Sticky`] with the first register that did not take its value; `ICC_SRE_EL1` if the
/// system registers are off, so that there is nothing to reset here.
pub fn reset() -> Result<(), HwError> {
    // SAFETY: The registers are there on a CPU with a GICv3 once SRE is set, which is looked at
    // first; the monitor takes no interrupts.
    unsafe {
        expect("ICC_SRE_EL1", 1, 1, read_sysreg!(ICC_SRE_EL1))?;

        let ctlr = read_sysreg!(ICC_CTLR_EL1);
        let priority_bits = priority_bits(ctlr);
        let group0 = group0_is_ours(priority_bits);
        let mut result = reset_registers!(ICC_IGRPEN1_EL1 = 0;);
        if group0 {
            result = result.and(reset_registers!(ICC_IGRPEN0_EL1 = 0;));
        }
        result = result.and(active_priorities(priority_bits, group0));
        // The lowest binary point that there is, which zero selects.
        write_sysreg!(ICC_BPR1_EL1, 0);
        if group0 {
            write_sysreg!(ICC_BPR0_EL1, 0);
        }
        result.and(reset_registers!(
            ICC_CTLR_EL1 = ctlr & !CTLR_CHOICES, mask CTLR_EOIMODE;
            ICC_PMR_EL1 = 0;
        ))
    }
}

/// What [`listen`] found, to be put back.
pub struct Saved {
    mask: u64,
    group1: u64,
}

/// Returns whether no interrupt of group 1 reaches this CPU, of whatever priority: the group is off,
/// or the mask lets nothing through. `two_states`: as [`listen`].
pub fn kick_is_masked(two_states: bool) -> bool {
    // SAFETY: Reading ICC_IGRPEN1_EL1 and ICC_PMR_EL1 changes nothing; they are there.
    unsafe {
        let mask = read_sysreg!(ICC_PMR_EL1);
        read_sysreg!(ICC_IGRPEN1_EL1) & 1 == 0
            || mask <= SHIFTED && mask < lowest_open_mask(two_states)
    }
}

/// Lets interrupts of group 1 through to this CPU, those of the highest priority alone.
/// `two_states`: the GIC has two security states.
///
/// An interrupt of that priority that is being handled still keeps them away.
pub fn listen(two_states: bool) -> Saved {
    // SAFETY: The monitor takes no interrupts, and the guest does not run before it is undone.
    unsafe {
        let saved = Saved {
            mask: read_sysreg!(ICC_PMR_EL1),
            group1: read_sysreg!(ICC_IGRPEN1_EL1),
        };
        let mask = lowest_open_mask(two_states);
        write_sysreg!(ICC_PMR_EL1, mask);
        write_sysreg!(ICC_IGRPEN1_EL1, saved.group1 | 1);
        barrier::isb();
        saved
    }
}

/// Returns the `ICC_PMR_EL1` that lets a priority of 0 through, as an interrupt's own register has it,
/// and no other.
///
/// # Safety
///
/// `ICC_SRE_EL1.SRE` must be set.
unsafe fn lowest_open_mask(two_states: bool) -> u64 {
    // SAFETY: The caller says that ICC_CTLR_EL1 is there; the rest is handed on.
    let (priority_bits, group0) = unsafe {
        let priority_bits = priority_bits(read_sysreg!(ICC_CTLR_EL1));
        (priority_bits, group0_is_ours(priority_bits))
    };
    match group0 {
        true if two_states => SHIFTED | 1 << (8 - priority_bits),
        true => 1 << (8 - priority_bits),
        // The lowest bit is not in sight.
        false => 1 << (9 - priority_bits),
    }
}

/// Returns how many bits a priority has, by `ICC_CTLR_EL1.PRIbits`.
fn priority_bits(ctlr: u64) -> u64 {
    (ctlr >> 8 & 7) + 1
}

impl Saved {
    /// Undoes [`listen`].
    pub fn restore(self) {
        // SAFETY: They are the guest's own values.
        unsafe {
            write_sysreg!(ICC_IGRPEN1_EL1, self.group1);
            write_sysreg!(ICC_PMR_EL1, self.mask);
        }
        barrier::isb();
    }
}

/// Returns whether group 0 can be accessed. With `SCR_EL3.FIQ` set it is EL3's, accesses would trap
/// there, and priorities are shown in the Non-secure half: the lowest bit of one is lost.
///
/// # Safety
///
/// `ICC_SRE_EL1.SRE` must be set.
unsafe fn group0_is_ours(priority_bits: u64) -> bool {
    // SAFETY: The caller says that ICC_PMR_EL1 is there; it masks interrupts, which EL2 has off.
    unsafe {
        let before = read_sysreg!(ICC_PMR_EL1);
        write_sysreg!(ICC_PMR_EL1, 1 << (8 - priority_bits));
        barrier::isb();
        let found = read_sysreg!(ICC_PMR_EL1);
        write_sysreg!(ICC_PMR_EL1, before);
        found != 0
    }
}

/// Ends, for the running priority, whatever is being handled. One register has 32 levels of
/// preemption: there are two from six bits of priority on, four from seven.
///
/// # Safety
///
/// `ICC_SRE_EL1.SRE` must be set; `group0` must be what [`group0_is_ours`] returned.
unsafe fn active_priorities(priority_bits: u64, group0: bool) -> Result<(), HwError> {
    // SAFETY: The caller says that the registers are there; zero is always valid in them.
    unsafe {
        if priority_bits >= 7 {
            write_sysreg!(ICC_AP1R3_EL1, 0);
            write_sysreg!(ICC_AP1R2_EL1, 0);
        }
        if priority_bits >= 6 {
            write_sysreg!(ICC_AP1R1_EL1, 0);
        }
        write_sysreg!(ICC_AP1R0_EL1, 0);
        if group0 {
            if priority_bits >= 7 {
                write_sysreg!(ICC_AP0R3_EL1, 0);
                write_sysreg!(ICC_AP0R2_EL1, 0);
            }
            if priority_bits >= 6 {
                write_sysreg!(ICC_AP0R1_EL1, 0);
            }
            write_sysreg!(ICC_AP0R0_EL1, 0);
        }
        barrier::isb();
        // QEMU with two security states ignores the above. Each end of interrupt drops one level,
        // whatever its number; SGI 0 is this CPU's own.
        for _ in 0..1 << priority_bits {
            if running_priority() == IDLE_PRIORITY {
                break;
            }
            write_sysreg!(ICC_EOIR1_EL1, 0);
            barrier::isb();
        }
        expect("ICC_RPR_EL1", IDLE_PRIORITY, 0xff, running_priority())
    }
}

/// Returns the priority of what is being handled.
///
/// # Safety
///
/// `ICC_SRE_EL1.SRE` must be set.
unsafe fn running_priority() -> u64 {
    // SAFETY: The caller says that ICC_RPR_EL1 is there.
    unsafe { read_sysreg!(ICC_RPR_EL1) & 0xff }
}

#[cfg(test)]
mod tests;
