// SPDX-License-Identifier: Apache-2.0
//! The interrupt controller, which belongs to the guest and is left by the monitor as at reset.

pub mod bcm2836;
#[cfg(test)]
pub mod fake;
pub mod v2;
pub mod v3;

use crate::arch::sysreg::current_mpidr;
use baton_core::gic_tables::Refused;
use baton_core::hw_error::HwError;
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::memory::region::Region;
use v3::{cpu_interface, sgi};

/// The interrupt controller of the machine.
pub enum Gic {
    /// GICv3 or GICv4.
    V3(v3::GicV3),
    /// GICv2.
    V2(v2::GicV2),
    /// None, but what a Raspberry Pi 3 has in its place.
    Bcm2836(bcm2836::Bcm2836),
}

impl Gic {
    /// Returns whether there is an interface for the CPU `mpidr`: one without is not in the machine,
    /// whatever the device tree says.
    pub fn has_cpu(&self, mpidr: u64) -> bool {
        match self {
            Self::V3(gic) => gic.frames.of(mpidr).is_some(),
            // What each CPU has of its own is behind one address.
            Self::V2(_) | Self::Bcm2836(_) => true,
        }
    }

    /// The CPU that runs this, `mpidr`, is the monitor's from now on.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register that did not take its value.
    pub fn cpu_online(&self, mpidr: u64) -> Result<(), HwError> {
        match self {
            // What a CPU has of its own can be reached from outside.
            Self::V3(_) | Self::Bcm2836(_) => Ok(()),
            Self::V2(gic) => gic.cpu_online(mpidr),
        }
    }

    /// The CPU `mpidr` goes back to firmware.
    pub fn cpu_offline(&self, mpidr: u64) {
        match self {
            Self::V3(_) | Self::Bcm2836(_) => {}
            Self::V2(gic) => gic.cpu_offline(mpidr),
        }
    }

    /// Sends SGI `number` (0 to 15) to every CPU but the one that runs this.
    pub fn kick_all_others(&self, number: u8) {
        match self {
            Self::V3(_) => sgi::to_all_others(number),
            Self::V2(gic) => gic.send_to_all_others(number),
            Self::Bcm2836(local) => local.kick_all_others(current_mpidr()),
        }
    }

    /// Lets SGI `number` (0 to 15) through to the CPU `mpidr` whatever the guest made of it, and
    /// sends it, unless the CPU is not `still_out`.
    pub fn kick_from_outside(&self, mpidr: u64, number: u8, still_out: impl FnOnce() -> bool) {
        match self {
            Self::V3(gic) => {
                // What cannot be opened is reported by the CPU's absence.
                let _ = gic.distributor.lock().open_group1();
                if let Some(frame) = gic.frames.of(mpidr) {
                    frame.lock().kick_from_outside(number, still_out);
                }
                sgi::to_one(mpidr, number);
            }
            Self::V2(gic) => {
                if still_out() {
                    gic.kick_from_outside(mpidr);
                }
            }
            Self::Bcm2836(local) => {
                if still_out() {
                    local.kick(mpidr);
                }
            }
        }
    }

    /// Returns whether no kick can wake the CPU that runs this.
    pub fn kick_is_masked(&self) -> bool {
        match self {
            Self::V3(gic) => cpu_interface::kick_is_masked(gic.two_states),
            Self::V2(gic) => gic.kick_is_masked(),
            // Its mailboxes are opened from outside.
            Self::Bcm2836(_) => false,
        }
    }

    /// Runs `wait` with the CPU interface of the CPU that runs this open for a kick, and nothing else
    /// that a guest would use.
    pub fn listening<T>(&self, wait: impl FnOnce() -> T) -> T {
        match self {
            Self::V3(gic) => {
                let saved = cpu_interface::listen(gic.two_states);
                let result = wait();
                saved.restore();
                result
            }
            Self::V2(gic) => gic.listening(wait),
            Self::Bcm2836(_) => wait(),
        }
    }

    /// Resets the CPU interface of the CPU that runs this.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn reset_cpu_interface(&self) -> Result<(), HwError> {
        match self {
            Self::V3(_) => cpu_interface::reset(),
            Self::V2(gic) => gic.reset_cpu_interface(),
            Self::Bcm2836(_) => Ok(()),
        }
    }

    /// Resets the SGIs and PPIs of the CPU `mpidr`.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register, or that there is nothing for this CPU.
    pub fn reset_private(&self, mpidr: u64) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => frame(gic, mpidr)?.lock().reset_private(),
            // One that never came resets them as it comes.
            Self::V2(_) if mpidr != current_mpidr() => Ok(()),
            Self::V2(gic) => gic.reset_private(),
            Self::Bcm2836(local) => {
                local.reset_private(mpidr);
                Ok(())
            }
        }
    }

    /// Switches the LPIs of the CPU `mpidr` off, and forgets their tables.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register, or that there is nothing for this CPU.
    pub fn reset_lpis(&self, mpidr: u64) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => frame(gic, mpidr)?.lock().reset_lpis(),
            _ => Ok(()),
        }
    }

    /// Leaves no SGI pending on the CPU `mpidr`, when nobody sends any more.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register, or that there is nothing for this CPU.
    pub fn drop_sgis(&self, mpidr: u64) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => frame(gic, mpidr)?.lock().drop_sgis(),
            Self::V2(_) if mpidr != current_mpidr() => Ok(()),
            Self::V2(gic) => gic.drop_sgis(),
            Self::Bcm2836(local) => {
                local.drop_kicks(mpidr);
                Ok(())
            }
        }
    }

    /// Resets what all CPUs share, and routes it to the CPU `mpidr`; of a GICv2, a reset leaves it
    /// without a target. With all CPUs quiet.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn reset_distributor(&self, mpidr: u64) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => gic.distributor.lock().reset(mpidr),
            Self::V2(gic) => gic.reset_distributor(),
            Self::Bcm2836(local) => {
                local.reset_shared();
                Ok(())
            }
        }
    }

    /// Resets the translation of messages to interrupts. With all CPUs quiet.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn reset_its(&self) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => {
                // All of them, whatever becomes of one.
                let mut result = Ok(());
                for its in &gic.its {
                    result = result.and(its.lock().reset());
                }
                result
            }
            _ => Ok(()),
        }
    }

    /// Returns the bytes of memory, from a multiple of 64 KiB on, in which LPIs stay for ever, where
    /// they cannot be switched off. `keep`: as if they could not.
    pub fn lpi_tables(&self, keep: bool) -> Option<u64> {
        match self {
            Self::V3(gic) => gic.lpi_tables(keep),
            _ => None,
        }
    }

    /// Switches LPIs on with tables in `memory`, where they cannot be switched off.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    ///
    /// # Safety
    ///
    /// `memory` is zero, and for LPIs alone.
    pub unsafe fn preset_lpis(&self, memory: Region, keep: bool) -> Result<(), HwError> {
        match self {
            // SAFETY: Handed on to the caller.
            Self::V3(gic) => unsafe { gic.preset_lpis(memory, keep) },
            _ => Ok(()),
        }
    }

    /// Disables every LPI where they cannot be switched off. With all CPUs quiet.
    pub fn disable_kept_lpis(&self) {
        if let Self::V3(gic) = self {
            gic.disable_kept_lpis();
        }
    }

    /// Lets the CPU `mpidr` know of [`Gic::disable_kept_lpis`].
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register, or that there is nothing for this CPU.
    pub fn forget_lpis(&self, mpidr: u64) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => frame(gic, mpidr)?.lock().forget_properties(),
            _ => Ok(()),
        }
    }

    /// Returns the pages of registers that lead the GIC to memory: a guest may only read them, and its
    /// stores are for [`Gic::store`].
    pub fn guarded(&self) -> impl Iterator<Item = Region> {
        let v3 = match self {
            Self::V3(gic) => Some(gic),
            _ => None,
        };
        v3.into_iter().flat_map(v3::GicV3::guarded)
    }

    /// Makes a guest's store of `size` bytes at physical `address`, unless the GIC could then write to
    /// what is not in `memory`; `None` if the address is in no guarded page.
    pub fn store(
        &self,
        address: u64,
        size: u64,
        value: u64,
        memory: &impl GuestMemory,
    ) -> Option<Result<(), Refused>> {
        match self {
            Self::V3(gic) => gic.store(address, size, value, memory),
            _ => None,
        }
    }

    /// Routes shared interrupts that go to the CPU `from` to the CPU `to`.
    pub fn move_shared(&self, from: u64, to: u64) {
        match self {
            Self::V3(gic) => {
                gic.distributor.lock().move_spis(from, to);
            }
            Self::V2(gic) => gic.move_spis(from, to),
            Self::Bcm2836(_) => {}
        }
    }
}

fn frame(gic: &v3::GicV3, mpidr: u64) -> Result<&v3::frames::Frame, HwError> {
    gic.frames.of(mpidr).ok_or(HwError::Absent {
        what: "redistributor",
        id: mpidr,
    })
}
