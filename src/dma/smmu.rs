// SPDX-License-Identifier: Apache-2.0
//! An SMMUv3 (Arm IHI 0070), by its first page of registers.
//!
//! A stream table of the monitor's own is not needed to shut all streams: with SMMUEN = 0 the SMMU looks at none,
//! and does what GBPA says (6.3.9.6).

pub mod fence;

use crate::arch::verify::{self, expect};
use crate::arch::{cache, probe};
use alloc::boxed::Box;
use baton_core::hw_error::HwError;
use baton_core::memory::region::Region;
use baton_core::smmu::command::Command;
use baton_core::smmu::registers::{CMDQEN, SMMUEN};
use baton_core::sync::Lock;
use core::num::NonZero;
use core::ptr::NonNull;
use fence::Fence;
use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How long it may take to take a value on, or to do a few commands, in microseconds.
const ACKNOWLEDGED_US: u64 = 10_000;

/// `SMMU_IDR0.Hyp`: it has translations of EL2.
const HYP: u32 = 1 << 9;
/// `SMMU_IDR1.TABLES_PRESET`, `QUEUES_PRESET`: they are where they are.
const QUEUES_PRESET: u32 = 1 << 29;
/// All fields of `SMMU_CR0` that every SMMU may have set.
const ENABLES: u32 = 0xf;
/// `SMMU_CR1`: queues are inner shareable, write-back; and tables too.
const CACHED_QUEUES: u32 = 3 << 4 | 1 << 2 | 1;
const CACHED: u32 = CACHED_QUEUES << 6 | CACHED_QUEUES;
/// `SMMU_GBPA.Update`, `ABORT`.
const UPDATE: u32 = 1 << 31;
const ABORT: u32 = 1 << 20;
/// `SMMU_GERROR.CMDQ_ERR`.
const CMDQ_ERR: u32 = 1 << 0;

/// Commands (chapter 4). All of the configuration is forgotten: CMD_CFGI_ALL.
const CFGI_ALL: Command = [0x04, 31];
/// All translations of EL1 and EL0, and of EL2.
const TLBI_NSNH_ALL: Command = [0x30, 0];
const TLBI_EL2_ALL: Command = [0x20, 0];
/// What went before is complete: CMD_SYNC, without a signal.
const SYNC: Command = [0x46, 0];
/// How many commands the queue has room for, as a power of two: it begins at a multiple of its size.
const QUEUE_BITS: u64 = 3;

/// The registers of SMMUv3_PAGE_0, as far as they are used.
#[derive(Clone, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C, align(8))]
struct Page0 {
    /// `SMMU_IDR0`, at 0.
    idr0: ReadPure<u32>,
    /// `SMMU_IDR1`, at 4.
    idr1: ReadPure<u32>,
    /// `SMMU_IDR2` to `SMMU_IDR5`, from 8 on.
    idr2: ReadPure<u32>,
    idr3: ReadPure<u32>,
    idr4: ReadPure<u32>,
    idr5: ReadPure<u32>,
    /// `SMMU_IIDR`, at 0x18.
    iidr: ReadPure<u32>,
    /// `SMMU_AIDR`, at 0x1c.
    aidr: ReadPure<u32>,
    /// `SMMU_CR0`, at 0x20.
    cr0: ReadPureWrite<u32>,
    /// `SMMU_CR0ACK`, at 0x24.
    cr0ack: ReadPure<u32>,
    /// `SMMU_CR1`, at 0x28.
    cr1: ReadPureWrite<u32>,
    /// `SMMU_CR2`, at 0x2c.
    cr2: ReadPureWrite<u32>,
    _reserved1: [u32; 5],
    /// `SMMU_GBPA`, at 0x44.
    gbpa: ReadPureWrite<u32>,
    _reserved2: [u32; 2],
    /// `SMMU_IRQ_CTRL`, at 0x50.
    irq_ctrl: ReadPureWrite<u32>,
    /// `SMMU_IRQ_CTRLACK`, at 0x54.
    irq_ctrlack: ReadPure<u32>,
    _reserved3: [u32; 2],
    /// `SMMU_GERROR`, at 0x60.
    gerror: ReadPure<u32>,
    /// `SMMU_GERRORN`, at 0x64.
    gerrorn: ReadPureWrite<u32>,
    _reserved4: [u32; 6],
    /// `SMMU_STRTAB_BASE`, at 0x80.
    strtab_base: ReadPureWrite<u64>,
    /// `SMMU_STRTAB_BASE_CFG`, at 0x88.
    strtab_base_cfg: ReadPureWrite<u32>,
    _reserved5: u32,
    /// `SMMU_CMDQ_BASE`, at 0x90.
    cmdq_base: ReadPureWrite<u64>,
    /// `SMMU_CMDQ_PROD`, at 0x98.
    cmdq_prod: ReadPureWrite<u32>,
    /// `SMMU_CMDQ_CONS`, at 0x9c.
    cmdq_cons: ReadPureWrite<u32>,
    /// `SMMU_EVENTQ_BASE`, at 0xa0.
    eventq_base: ReadPureWrite<u64>,
}

const _: () = {
    assert!(core::mem::offset_of!(Page0, cr0) == 0x20);
    assert!(core::mem::offset_of!(Page0, gbpa) == 0x44);
    assert!(core::mem::offset_of!(Page0, irq_ctrl) == 0x50);
    assert!(core::mem::offset_of!(Page0, gerror) == 0x60);
    assert!(core::mem::offset_of!(Page0, strtab_base) == 0x80);
    assert!(core::mem::offset_of!(Page0, cmdq_base) == 0x90);
    assert!(core::mem::offset_of!(Page0, cmdq_cons) == 0x9c);
    assert!(core::mem::offset_of!(Page0, eventq_base) == 0xa0);
};

/// The monitor's command queue: the guest's may be anything.
#[repr(C, align(128))]
struct Queue([Command; 1 << QUEUE_BITS]);

/// One SMMU. What is locked at each unmap is where it begins.
#[repr(C)]
pub struct Smmu {
    registers: Lock<Registers>,
    base: u64,
}

/// Its registers, and what the monitor gives it.
struct Registers {
    page: UniqueMmioPointer<'static, Page0>,
    queue: Box<Queue>,
    /// What is in front of its streams, if anything is.
    fence: Option<Fence>,
}

impl Smmu {
    /// Takes the SMMU with these registers; `None` if none answers there.
    ///
    /// # Safety
    ///
    /// They are there, and mapped as device memory as long as the monitor lives. There is no other pointer to them.
    pub unsafe fn new(registers: &Region) -> Option<Self> {
        let address = NonZero::new(registers.start() as usize)?;
        // SAFETY: The caller's promise; IDR0 comes first, and a load of it changes nothing.
        let idr0 = unsafe { probe::word(registers.start()) };
        if matches!(idr0, 0 | u32::MAX) {
            return None;
        }
        // SAFETY: The caller's promise.
        let page =
            unsafe { UniqueMmioPointer::<Page0>::new(NonNull::with_exposed_provenance(address)) };
        let base = registers.start();
        let registers = Registers {
            page,
            queue: Box::new(Queue([[0; 2]; 1 << QUEUE_BITS])),
            fence: None,
        };
        Some(Self {
            base,
            registers: Lock::new(registers),
        })
    }

    /// Returns the physical address of its registers.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Shuts all streams: what arrives from now on is aborted, and what was translated is in memory when this
    /// returns. Then, if `open` is set, lets everything through untranslated. Its queues are off, and so are its
    /// interrupts, as they are before a driver has set it up.
    ///
    /// To be called when no other CPU uses it.
    ///
    /// # Errors
    ///
    /// [`HwError`] with the first register that did not take its value in time. All that can be done was done.
    pub fn shut(&self, open: bool) -> Result<(), HwError> {
        let mut registers = self.registers.lock();
        let shut = registers.shut();
        registers.acknowledge_errors();
        registers.forget_guest();
        if open && shut.is_ok() {
            return registers.set_abort(false);
        }
        shut
    }
}

impl Registers {
    fn shut(&mut self) -> Result<(), HwError> {
        if let Err(error) = self.set_abort(true) {
            // Translated, devices reach what they did; they must not reach more.
            let translates = field_shared!(self.page, cr0).read() & SMMUEN;
            return self.disable(translates).and(Err(error));
        }
        self.disable(0)?;
        let drained = self.drain();
        // Whatever became of the commands: the queue is the monitor's.
        self.disable(0)?;
        field!(self.page, cmdq_base).write(0);
        field!(self.page, cmdq_prod).write(0);
        field!(self.page, cmdq_cons).write(0);
        drained
    }

    /// Sets what becomes of transactions when translation is off (6.3.14.1).
    fn set_abort(&mut self, abort: bool) -> Result<(), HwError> {
        self.wait_for_gbpa()?;
        let now = field_shared!(self.page, gbpa).read();
        let wanted = if abort { now | ABORT } else { now & !ABORT };
        field!(self.page, gbpa).write(wanted | UPDATE);
        let found = self.wait_for_gbpa()?;
        expect("SMMU_GBPA", wanted.into(), ABORT.into(), found.into())
    }

    fn wait_for_gbpa(&self) -> Result<u32, HwError> {
        let read = || field_shared!(self.page, gbpa).read();
        wait("SMMU_GBPA", read, |gbpa| gbpa & UPDATE == 0)
    }

    /// Turns the queues off, interrupts, and translation unless `rest` has SMMUEN.
    fn disable(&mut self, rest: u32) -> Result<(), HwError> {
        // A field is not written anew before it was acknowledged; one that never is is no reason to leave it on.
        let before = field_shared!(self.page, cr0).read() & ENABLES;
        let read = || field_shared!(self.page, cr0ack).read();
        let _ = wait("SMMU_CR0ACK", read, |ack| ack & ENABLES == before);
        field!(self.page, irq_ctrl).write(0);
        field!(self.page, cr0).write(rest);
        let acknowledged = self.wait_for_cr0(rest);
        let read = || field_shared!(self.page, irq_ctrlack).read();
        acknowledged.and(wait("SMMU_IRQ_CTRLACK", read, |ack| ack == 0).map(|_| ()))
    }

    fn wait_for_cr0(&self, wanted: u32) -> Result<(), HwError> {
        let read = || field_shared!(self.page, cr0ack).read();
        wait("SMMU_CR0ACK", read, |ack| ack == wanted).map(|_| ())
    }

    /// Has it forget configuration and translations. By then all that was translated by those is in memory
    /// (3.21.1), which SMMUEN = 0 does not say; commands are done all the same (6.3.9.6).
    fn drain(&mut self) -> Result<(), HwError> {
        if field_shared!(self.page, idr1).read() & QUEUES_PRESET != 0 {
            return Err(HwError::Sticky {
                register: "SMMU_IDR1",
                wanted: 0,
                found: QUEUES_PRESET.into(),
            });
        }
        self.acknowledge_errors();
        let hyp = field_shared!(self.page, idr0).read() & HYP != 0;
        let last = if hyp { TLBI_EL2_ALL } else { TLBI_NSNH_ALL };
        let commands = [CFGI_ALL, TLBI_NSNH_ALL, last, SYNC];
        self.queue.0[..commands.len()].copy_from_slice(&commands);
        let queue = (&raw const *self.queue).expose_provenance();
        // It may look past the caches.
        cache::clean_to_poc(queue, size_of::<Queue>());
        field!(self.page, cr1).write(CACHED_QUEUES);
        field!(self.page, cmdq_base).write(queue as u64 | QUEUE_BITS);
        field!(self.page, cmdq_prod).write(0);
        field!(self.page, cmdq_cons).write(0);
        field!(self.page, cr0).write(CMDQEN);
        self.wait_for_cr0(CMDQEN)?;
        let end = commands.len() as u32;
        field!(self.page, cmdq_prod).write(end);
        let read = || field_shared!(self.page, cmdq_cons).read();
        wait("SMMU_CMDQ_CONS", read, |cons| cons == end)?;
        expect("SMMU_GERROR", 0, CMDQ_ERR.into(), self.errors().into())
    }

    /// Returns the errors that are not acknowledged.
    fn errors(&self) -> u32 {
        let (gerror, gerrorn) = (
            field_shared!(self.page, gerror),
            field_shared!(self.page, gerrorn),
        );
        gerror.read() ^ gerrorn.read()
    }

    fn acknowledge_errors(&mut self) {
        let gerror = field_shared!(self.page, gerror).read();
        field!(self.page, gerrorn).write(gerror);
    }
}

/// Waits until what `read` returns is `done`, and returns that.
fn wait(
    register: &'static str,
    read: impl Fn() -> u32,
    done: impl Fn(u32) -> bool,
) -> Result<u32, HwError> {
    let (read, done) = (|| read().into(), |found| done(found as u32));
    verify::wait(register, ACKNOWLEDGED_US, read, done).map(|found| found as u32)
}

#[cfg(test)]
mod tests;
