// SPDX-License-Identifier: Apache-2.0
//! The guest's commands, as the SMMU gets them.

use super::{Fence, Registers};
use crate::arch::barrier;
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::smmu::command::{Changed, admit, admit_unmap};
use safe_mmio::field;

impl Registers {
    /// Makes a store of `value` to CMDQ_PROD, if all commands that it tells of are those of an unmap.
    #[inline(always)]
    pub(super) fn unmap(&mut self, value: u32, memory: &impl GuestMemory) -> Option<()> {
        let fence = self.fence.as_mut()?;
        let (from, to) = fence.guest.told_by(value)?;
        fence.copy_unmaps(from, to, memory)?;
        fence.guest.set_produced(to);
        self.tell(to);
        Some(())
    }

    /// Has the SMMU do all commands before a place. They were copied.
    #[inline(always)]
    pub(super) fn tell(&mut self, place: u32) {
        barrier::dsb_sy();
        field!(self.page, cmdq_prod).write(place);
    }
}

impl Fence {
    /// Copies the commands between two places; `None` if there cannot be as many.
    pub(super) fn copy(&mut self, from: u32, to: u32, memory: &impl GuestMemory) -> Option<()> {
        let queue = self.guest.commands();
        let mut all = false;
        for place in 0..queue.distance(from, to)? {
            let index = queue.index(from.wrapping_add(place));
            let at = queue.base + 16 * u64::from(index);
            let given = memory.read_pair(at).unwrap_or_default();
            let (command, changed) = admit(given, self.stage2.vmid);
            match changed {
                Changed::Nothing => {}
                Changed::Stream(stream) => self.copy_entry(stream, memory),
                Changed::All => all = true,
            }
            self.shadow.places().put(index, command);
        }
        // Once for all commands that say so.
        if all {
            self.copy_table(memory);
        }
        Some(())
    }

    /// Copies the commands between two places, if they follow each other in memory; `None` if they do not, or one is no
    /// command of an unmap. The SMMU has not been told of those that were copied by then.
    #[inline(always)]
    fn copy_unmaps(&self, from: u32, to: u32, memory: &impl GuestMemory) -> Option<()> {
        let queue = self.guest.commands();
        let (index, count) = queue.run(from, to)?;
        let given = memory.read_pairs(queue.base + 16 * u64::from(index), count.into())?;
        let places = self.shadow.places();
        for (place, given) in (index..).zip(given) {
            places.put(place, admit_unmap(given, self.stage2.vmid)?);
        }
        Some(())
    }
}
