// SPDX-License-Identifier: Apache-2.0
//! The interrupt controller. It is the guest's; for the next kernel the monitor resets it.

pub mod bcm2836;
mod block;
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
    /// No GIC: what a Raspberry Pi 3 has in its place.
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

    /// Returns whether the CPU that runs this can reach what is private to the CPU `mpidr`; what is
    /// out of power holds nothing of a kernel's.
    pub fn can_reach(&self, mpidr: u64) -> bool {
        match self {
            Self::V3(gic) => {
                let frame = gic.frames.of(mpidr);
                frame.is_some_and(|frame| frame.lock().has_power())
            }
            Self::V2(_) | Self::Bcm2836(_) => true,
        }
    }

    /// The CPU that runs this, `mpidr`, has come from firmware.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register that did not take its value.
    pub fn cpu_online(&self, mpidr: u64) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => gic.cpu_online(mpidr),
            Self::V2(gic) => gic.cpu_online(mpidr),
            // Other CPUs can reach what is private to a CPU: there is nothing to learn.
            Self::Bcm2836(_) => Ok(()),
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

    /// Enables SGI `number` (0 to 15) of the CPU `mpidr`, whatever the guest has set up, and sends
    /// it, if the CPU is still `awaited`.
    pub fn kick_from_outside(&self, mpidr: u64, number: u8, awaited: impl FnOnce() -> bool) {
        match self {
            Self::V3(gic) => {
                // If group 1 stays disabled, the CPU does not come, and the report names it.
                let _ = gic.distributor.lock().open_group1();
                if let Some(frame) = gic.frames.of(mpidr) {
                    frame.lock().kick_from_outside(number, awaited);
                }
                sgi::to_one(mpidr, number);
            }
            Self::V2(gic) => {
                if awaited() {
                    gic.kick_from_outside(mpidr);
                }
            }
            Self::Bcm2836(local) => {
                if awaited() {
                    local.kick(mpidr);
                }
            }
        }
    }

    /// Puts back what [`Gic::kick_from_outside`] with SGI `number` has changed on any CPU: their guest goes on.
    /// The interrupts that it made pending may stay, where the guest has them enabled.
    pub fn put_back_kicks(&self, number: u8) {
        match self {
            Self::V3(gic) => {
                if gic.distributor.lock().put_back() {
                    for frame in gic.frames.iter() {
                        frame.lock().put_back(number);
                    }
                }
            }
            Self::V2(gic) => gic.put_back_kicks(),
            Self::Bcm2836(local) => local.put_back_kicks(),
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

    /// Runs `wait` while the CPU interface of the CPU that runs this lets a kick through, and no
    /// interrupt of a lower priority.
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
            // A CPU that has not come yet resets its own when it comes.
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

    /// Resets the interrupts that all CPUs share, and routes them to the CPU `mpidr`; those of a
    /// GICv2 have no target after a reset. To be called when no other CPU uses the GIC.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn reset_distributor(&self, mpidr: u64) -> Result<(), HwError> {
        self.quiesce_distributor().and(self.reset_spis(mpidr, 0, 1))
    }

    /// Switches off, and disables, the interrupts that all CPUs share. To be called when no other CPU uses
    /// the GIC.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn quiesce_distributor(&self) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => gic.distributor.lock().quiesce(&gic.spis),
            Self::V2(gic) => {
                gic.quiesce();
                Ok(())
            }
            Self::Bcm2836(local) => {
                local.reset_shared();
                Ok(())
            }
        }
    }

    /// Resets the part `place`, counted from 0, of `of` parts of the SPIs, and routes them to the CPU
    /// `mpidr`. Many CPUs may do so at once, each its own part, when [`Gic::quiesce_distributor`] has
    /// returned; where there are fewer registers than parts, some have nothing to do.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn reset_spis(&self, mpidr: u64, place: usize, of: usize) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => gic.spis.reset_share(mpidr, place, of),
            Self::V2(gic) => gic.reset_spis(place, of),
            Self::Bcm2836(_) => Ok(()),
        }
    }

    /// Resets the interrupt translation services. To be called when no other CPU uses the GIC.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    pub fn reset_its(&self) -> Result<(), HwError> {
        match self {
            Self::V3(gic) => {
                // If one fails, the others are reset all the same.
                let mut result = Ok(());
                for its in &gic.its {
                    result = result.and(its.lock().reset());
                }
                result
            }
            _ => Ok(()),
        }
    }

    /// Returns how many bytes of memory, aligned to 64 KiB, the tables of LPIs need if LPIs cannot
    /// be switched off once they are on. `keep`: assume that they cannot. To be called on the CPU `mpidr`.
    pub fn lpi_tables(&self, mpidr: u64, keep: bool) -> Option<u64> {
        match self {
            Self::V3(gic) => gic.lpi_tables(mpidr, keep),
            _ => None,
        }
    }

    /// Where LPIs cannot be switched off, switches them on with tables in `memory`: of the CPU
    /// `mpidr`, which runs this, at once, of the others as they come ([`Gic::cpu_online`]). Returns
    /// whether they are on.
    ///
    /// # Errors
    ///
    /// [`HwError`], naming the register.
    ///
    /// # Safety
    ///
    /// `memory` is zero, and nothing else ever uses it.
    pub unsafe fn preset_lpis(
        &self,
        mpidr: u64,
        memory: Region,
        keep: bool,
    ) -> Result<bool, HwError> {
        match self {
            Self::V3(gic) => {
                // SAFETY: Handed on to the caller.
                unsafe { gic.offer_lpi_tables(memory, keep) };
                gic.preset_lpis(mpidr)
            }
            _ => Ok(false),
        }
    }

    /// Where LPIs cannot be switched off, disables each of them. To be called when no other CPU
    /// uses the GIC.
    pub fn disable_kept_lpis(&self) {
        if let Self::V3(gic) = self {
            gic.disable_kept_lpis();
        }
    }

    /// Returns whether any redistributor has LPIs on, and so uses tables in memory.
    pub fn has_lpis_on(&self) -> bool {
        match self {
            Self::V3(gic) => gic.has_lpis_on(),
            _ => false,
        }
    }

    /// Drops what the redistributor of the CPU `mpidr` has cached of the LPIs' configuration, after
    /// [`Gic::disable_kept_lpis`].
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

    /// Returns the pages of registers that hold addresses of tables in memory: a guest may only
    /// read them, and its stores go to [`Gic::store`].
    pub fn guarded(&self) -> impl Iterator<Item = Region> {
        let v3 = match self {
            Self::V3(gic) => Some(gic),
            _ => None,
        };
        v3.into_iter().flat_map(v3::GicV3::guarded)
    }

    /// Makes a guest's store of `size` bytes at physical `address`, unless the GIC could then write
    /// to what is not in `memory`; `None` if the address is in no guarded page.
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

    /// Has the SPI `intid`, which is disabled, come once for each time that its device begins to signal.
    ///
    /// # Errors
    ///
    /// [`HwError::Absent`] if there is no such SPI, or the interrupt controller is no GICv3.
    pub fn trigger_by_edge(&self, intid: u32) -> Result<(), HwError> {
        let done = match self {
            Self::V3(gic) => gic.distributor.lock().trigger_by_edge(intid),
            Self::V2(_) | Self::Bcm2836(_) => false,
        };
        done.then_some(()).ok_or(HwError::Absent {
            what: "SPI of a GICv3",
            id: intid.into(),
        })
    }

    /// Routes shared interrupts that go to the CPU `from` to the CPU `to`.
    pub fn move_shared(&self, from: u64, to: u64) {
        match self {
            Self::V3(gic) => {
                gic.distributor.lock().move_spis(&gic.spis, from, to);
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
