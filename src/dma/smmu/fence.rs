// SPDX-License-Identifier: Apache-2.0
//! An SMMU with stage 2 of the monitor's in front of its streams (`smmu=fence`).
//!
//! As long as nobody has set it up, stage 2 alone is in front of all of them. When a driver does, its stores come
//! here; what the SMMU reads is a copy of the monitor's.

mod commands;

use super::{CACHED, CMDQ_ERR, Registers, Smmu};
use crate::arch::barrier;
use crate::dma::shadow::{self, Shadow};
use baton_core::hw_error::HwError;
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::memory::region::Region;
use baton_core::smmu::SPLIT;
use baton_core::smmu::entry::{Stage2, is_open};
use baton_core::smmu::identity::{Identity, Unfit};
use baton_core::smmu::registers::{
    Action, CMDQ_PROD, CMDQEN, EVENTQEN, Live, Registers as GuestRegisters, SMMUEN,
};
use safe_mmio::{field, field_shared};
use thiserror::Error;

/// `SMMU_CR0.ATSCHK`: translations that a device brings along are looked at.
const ATSCHK: u32 = 1 << 4;
/// `SMMU_CR2`: streams beyond all are recorded; TLBIs of CPUs are not this SMMU's.
const OWN_TLB: u32 = 1 << 1 | 1 << 2;
/// Bytes of the pages that the guest may not write: all of SMMUv3_PAGE_0, as its maker may have put registers
/// behind the architecture's.
const PAGE_0: u64 = 64 << 10;
/// The first page of it, which the guest reads by the monitor as long as its command queue is off.
const PAGE: u64 = 4 << 10;

/// Why there is no fence.
#[derive(Debug, Error)]
pub enum NoFence {
    /// The SMMU cannot.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// There is no memory for what it reads.
    #[error("there are no {} KiB for its tables", shadow::SIZE >> 10)]
    Memory,
    /// It did not take a value.
    #[error(transparent)]
    Failed(#[from] HwError),
}

/// What a store has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The register that keeps what it had, as the guest may not have what it stored.
    pub refused: Option<&'static str>,
    /// Loads are the SMMU's from now on, or no longer.
    pub readable: Option<bool>,
    /// A stream that is shut, as there is no page for its group; of many, the first since it was set up.
    pub full: Option<u32>,
    /// What the SMMU did not do.
    pub failed: Option<HwError>,
}

/// What is in front of the streams.
pub(super) struct Fence {
    identity: Identity,
    stage2: Stage2,
    shadow: Shadow,
    guest: GuestRegisters,
    /// Nobody has set it up: stage 2 alone is in front of all streams, and the guest sees it off.
    untouched: bool,
    /// The first stream for whose group there is no page.
    full: Option<u32>,
}

impl Smmu {
    /// Returns all pages with registers that the guest may not write.
    pub fn guarded(&self) -> Option<Region> {
        Region::new(self.base & !(PAGE_0 - 1), PAGE_0).ok()
    }

    /// Returns whether those have this physical address.
    #[inline]
    pub fn guards(&self, address: u64) -> bool {
        (address ^ self.base) & !(PAGE_0 - 1) == 0
    }

    /// Returns the page that the guest reads by the monitor at times.
    pub fn page(&self) -> Option<Region> {
        Region::new(self.base, PAGE).ok()
    }

    /// Shuts it, and prepares a fence, where stage 2 has `bits` of address.
    ///
    /// # Errors
    ///
    /// [`NoFence`]; then there is none, and the guest is to have the SMMU as it is.
    pub fn prepare_fence(&self, bits: u32) -> Result<(), NoFence> {
        self.registers.lock().prepare_fence(bits)
    }

    /// Opens all streams to stage 2, where a fence was prepared.
    ///
    /// # Errors
    ///
    /// [`HwError`] if it does not take a value: then it stays shut until a driver sets it up.
    pub fn open_to_stage_2(&self, stage2: Stage2) -> Result<(), HwError> {
        self.registers.lock().open_to_stage_2(stage2)
    }

    /// Returns what a load of the guest's of `size` bytes shows at `offset` from its registers.
    pub fn load(&self, offset: u64, size: u64) -> u64 {
        let registers = self.registers.lock();
        let Some(fence) = registers.fence.as_ref() else {
            return 0;
        };
        let live = |what| registers.live(what, fence.untouched);
        fence.guest.load(offset, size, live)
    }

    /// Returns whether its CMDQ_PROD, by which it is told of commands, is at this physical address.
    #[inline]
    pub fn is_told_at(&self, address: u64) -> bool {
        self.base.wrapping_add(CMDQ_PROD) == address
    }

    /// Makes a store of the guest's of `value` to CMDQ_PROD, if all that is told of by that is unmapping; `None` if it is
    /// not: then [`Smmu::store`] is to make it.
    #[inline(always)]
    pub fn unmap(&self, value: u32, memory: &impl GuestMemory) -> Option<()> {
        self.registers.lock().unmap(value, memory)
    }

    /// Makes a store of the guest's of `size` bytes at `offset` from its registers, as far as it may be made. The
    /// guest's memory is `memory`.
    #[inline(never)]
    pub fn store(&self, offset: u64, size: u64, value: u64, memory: &impl GuestMemory) -> Stored {
        self.registers.lock().store(offset, size, value, memory)
    }
}

impl Registers {
    fn identity(&self) -> Identity {
        Identity {
            idr: [
                field_shared!(self.page, idr0).read(),
                field_shared!(self.page, idr1).read(),
                field_shared!(self.page, idr2).read(),
                field_shared!(self.page, idr3).read(),
                field_shared!(self.page, idr4).read(),
                field_shared!(self.page, idr5).read(),
            ],
            iidr: field_shared!(self.page, iidr).read(),
            aidr: field_shared!(self.page, aidr).read(),
        }
    }

    fn prepare_fence(&mut self, bits: u32) -> Result<(), NoFence> {
        let identity = self.identity();
        identity.fit(bits)?;
        let shadow = Shadow::new(identity.has_two_levels(), identity.stream_bits());
        let shadow = shadow.ok_or(NoFence::Memory)?;
        self.shut()?;
        self.acknowledge_errors();
        self.fence = Some(Fence {
            identity,
            stage2: Stage2::default(),
            shadow,
            guest: GuestRegisters::new(&identity),
            untouched: false,
            full: None,
        });
        Ok(())
    }

    fn open_to_stage_2(&mut self, stage2: Stage2) -> Result<(), HwError> {
        let Some(mut fence) = self.fence.take() else {
            return Ok(());
        };
        fence.stage2 = stage2;
        fence.untouched = true;
        fence.shadow.fill(&stage2.alone());
        self.lead_to(&fence);
        let all = SMMUEN | fence.checked();
        self.fence = Some(fence);
        field!(self.page, cr0).write(all);
        self.wait_for_cr0(all)
    }

    /// Has the SMMU read the monitor's table. To be called while it is off.
    fn lead_to(&mut self, fence: &Fence) {
        let (base, config) = fence.shadow.table();
        barrier::dsb_sy();
        field!(self.page, cr1).write(CACHED);
        field!(self.page, cr2).write(OWN_TLB);
        field!(self.page, strtab_base).write(base);
        field!(self.page, strtab_base_cfg).write(config);
    }

    /// What the guest has set up is over, as [`Registers::shut`] has shut it.
    pub(super) fn forget_guest(&mut self) {
        if let Some(fence) = &mut self.fence {
            fence.guest = GuestRegisters::new(&fence.identity);
            fence.untouched = false;
            fence.full = None;
            fence.shadow.fill(&fence.stage2.none());
        }
    }

    fn live(&self, what: Live, untouched: bool) -> u32 {
        match what {
            Live::Acknowledged => field_shared!(self.page, cr0ack).read(),
            Live::Untranslated if untouched => 0,
            Live::Untranslated => field_shared!(self.page, gbpa).read(),
            Live::Interrupts => field_shared!(self.page, irq_ctrl).read(),
            Live::InterruptsAcknowledged => field_shared!(self.page, irq_ctrlack).read(),
            Live::Errors => field_shared!(self.page, gerror).read(),
            Live::ErrorsAcknowledged => field_shared!(self.page, gerrorn).read(),
        }
    }

    fn store(&mut self, offset: u64, size: u64, value: u64, memory: &impl GuestMemory) -> Stored {
        let mut stored = Stored::default();
        let Some(fence) = self.fence.as_mut() else {
            return stored;
        };
        let full = fence.full;
        match fence.guest.store(offset, size, value, memory) {
            Action::Nothing => {}
            Action::Refused(register) => stored.refused = Some(register),
            Action::Enable(wanted) => {
                if let Some(mut fence) = self.fence.take() {
                    stored.failed = self.enable(&mut fence, wanted, memory).err();
                    stored.readable = Some(fence.is_readable());
                    self.fence = Some(fence);
                }
            }
            Action::Commands(from, to) => match fence.copy(from, to, memory) {
                Some(()) => {
                    fence.guest.set_produced(to);
                    self.tell(to);
                }
                None => stored.refused = Some("SMMU_CMDQ_PROD"),
            },
            Action::Interrupts(enabled) => field!(self.page, irq_ctrl).write(enabled),
            Action::Acknowledge(errors) => {
                if let Some(mut fence) = self.fence.take() {
                    self.acknowledge(&mut fence, errors, memory);
                    self.fence = Some(fence);
                }
            }
        }
        let now = self.fence.as_ref().and_then(|fence| fence.full);
        stored.full = now.filter(|_| full.is_none());
        stored
    }

    /// Gives CR0 what the guest wants of it, and all that has to be there before.
    fn enable(
        &mut self,
        fence: &mut Fence,
        wanted: u32,
        memory: &impl GuestMemory,
    ) -> Result<(), HwError> {
        let mut result = Ok(());
        if fence.untouched {
            // From now on what is not translated is aborted.
            result = self.shut();
            fence.untouched = false;
            fence.shadow.fill(&fence.stage2.none());
        }
        let before = fence.guest.enabled();
        let rises = wanted & !before;
        if before == 0 {
            self.lead_to(fence);
        }
        if rises & CMDQEN != 0 {
            let queue = fence.guest.commands();
            let (end, begin) = fence.guest.places();
            fence.copy(begin, end, memory);
            let base = fence.shadow.queue() | u64::from(queue.bits);
            field!(self.page, cmdq_base).write(base);
            field!(self.page, cmdq_prod).write(end);
            field!(self.page, cmdq_cons).write(begin);
        }
        if rises & EVENTQEN != 0 {
            field!(self.page, eventq_base).write(fence.guest.events_register());
        }
        if rises & SMMUEN != 0 {
            fence.copy_table(memory);
        }
        barrier::dsb_sy();
        let all = wanted | fence.checked();
        field!(self.page, cr0).write(all);
        result = result.and(self.wait_for_cr0(all));
        let consumed = field_shared!(self.page, cmdq_cons).read();
        fence.guest.set_enabled(wanted, consumed);
        result
    }

    /// Acknowledges errors. A driver has changed the command at which the SMMU has stopped, and those behind it may
    /// be others too.
    fn acknowledge(&mut self, fence: &mut Fence, errors: u32, memory: &impl GuestMemory) {
        let goes_on = self.errors() & CMDQ_ERR != 0
            && (errors ^ field_shared!(self.page, gerror).read()) & CMDQ_ERR == 0;
        if goes_on && fence.guest.enabled() & CMDQEN != 0 {
            let begin = field_shared!(self.page, cmdq_cons).read() & fence.guest.commands().mask();
            let (end, _) = fence.guest.places();
            fence.copy(begin, end, memory);
            barrier::dsb_sy();
        }
        field!(self.page, gerrorn).write(errors);
    }
}

impl Fence {
    /// What of CR0 is on whenever it can be.
    fn checked(&self) -> u32 {
        if self.identity.has_ats() { ATSCHK } else { 0 }
    }

    /// Returns whether the SMMU shows the guest what the guest has set up.
    fn is_readable(&self) -> bool {
        self.guest.enabled() & CMDQEN != 0 && self.checked() == 0
    }

    /// Copies the entry of a stream, with stage 2.
    fn copy_entry(&mut self, stream: u32, memory: &impl GuestMemory) {
        let guest = self
            .guest
            .table()
            .and_then(|table| table.entry(memory, stream));
        let none = self.stage2.none();
        let entry = guest.map_or(none, |guest| self.stage2.behind(guest));
        if self.shadow.set(stream, &entry, &none).is_err() {
            self.full = self.full.or(Some(stream));
        }
    }

    /// Copies all entries. Of most streams no more is read than whether anything is let through.
    fn copy_table(&mut self, memory: &impl GuestMemory) {
        let (table, end) = (self.guest.table(), 1 << self.identity.stream_bits());
        let mut stream = 0;
        while stream < end {
            let group_end = end.min(((stream >> SPLIT) + 1) << SPLIT);
            let run = table.and_then(|table| table.run(memory, stream));
            let (at, follow) = run.unwrap_or((0, 0));
            let has = self.shadow.has(stream);
            for place in 0..group_end - stream {
                let first = || memory.read_u64(at + 64 * u64::from(place));
                let is_open = || place < follow && first().is_some_and(is_open);
                if has || is_open() {
                    self.copy_entry(stream + place, memory);
                }
            }
            stream = group_end;
        }
    }
}

#[cfg(test)]
mod tests;
