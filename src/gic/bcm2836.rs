// SPDX-License-Identifier: Apache-2.0
//! The local interrupt controller of a Raspberry Pi 3, which has no GIC (BCM2836 ARM-local
//! peripherals, QA7 rev 3.4): interrupt enables for each CPU, and mailboxes for interrupts between
//! CPUs.

use crate::arch::barrier;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// CPUs that it serves, by `MPIDR_EL1.Aff0`.
const CPUS: u64 = 4;
/// Mailboxes of a CPU.
const MAILBOXES: u64 = 4;

/// Offsets of registers, in bytes.
mod register {
    /// Where interrupts of other devices go: the first CPU at reset.
    pub const GPU_ROUTING: u64 = 0x0c;
    pub const PMU_ROUTING_CLEAR: u64 = 0x14;
    /// The local timer, which is shared: control.
    pub const TIMER: u64 = 0x34;
    /// A word for each CPU: which timers, and which mailboxes, interrupt it.
    pub const TIMERS: u64 = 0x40;
    pub const MAILBOXES: u64 = 0x50;
    /// Four mailboxes for each CPU: bits to set, and to read and clear.
    pub const SET: u64 = 0x80;
    pub const CLEAR: u64 = 0xc0;
}

/// Marks what a CPU's mailboxes were before a kick as known.
const KNOWN: u64 = 1 << 63;

/// The controller.
pub struct Bcm2836 {
    base: NonNull<u8>,
    /// Which mailboxes interrupted each CPU before it was kicked, with [`KNOWN`].
    before_kick: [AtomicU64; CPUS as usize],
}

// SAFETY: Each store is atomic, and no register is read, changed and written back.
unsafe impl Send for Bcm2836 {}
// SAFETY: As above.
unsafe impl Sync for Bcm2836 {}

impl Bcm2836 {
    /// Takes the controller at `base`.
    ///
    /// # Safety
    ///
    /// It is there, and mapped as device memory as long as the monitor lives: 4 KiB.
    pub unsafe fn new(base: NonNull<u8>) -> Self {
        Self {
            base,
            before_kick: [const { AtomicU64::new(0) }; CPUS as usize],
        }
    }

    fn register(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: `new` was promised that the register is there.
        unsafe { self.base.add(offset as usize).cast::<AtomicU32>().as_ref() }
    }

    fn write(&self, offset: u64, value: u32) {
        self.register(offset).store(value, Relaxed);
    }

    /// Interrupts the CPU `mpidr` by its first mailbox, whatever the guest has set up.
    pub fn kick(&self, mpidr: u64) {
        let cpu = mpidr & (CPUS - 1);
        barrier::dsb_ish();
        let found = self.register(register::MAILBOXES + 4 * cpu).load(Relaxed);
        let before = &self.before_kick[cpu as usize];
        // The first kick of several has found what the guest had.
        let _ = before.compare_exchange(0, KNOWN | u64::from(found), Relaxed, Relaxed);
        self.write(register::MAILBOXES + 4 * cpu, 1);
        self.write(register::SET + 16 * cpu, 1);
    }

    /// Kicks every CPU but `mpidr`.
    pub fn kick_all_others(&self, mpidr: u64) {
        (0..CPUS)
            .filter(|&cpu| cpu != mpidr & (CPUS - 1))
            .for_each(|cpu| self.kick(cpu));
    }

    /// Has the mailboxes interrupt each CPU as before it was kicked: its guest goes on.
    pub fn put_back_kicks(&self) {
        for (cpu, before) in (0..).zip(&self.before_kick) {
            let before = before.swap(0, Relaxed);
            if before & KNOWN != 0 {
                self.write(register::MAILBOXES + 4 * cpu, before as u32);
            }
        }
    }

    /// Disables all interrupts of the CPU `mpidr`, and clears its mailboxes.
    pub fn reset_private(&self, mpidr: u64) {
        let cpu = mpidr & (CPUS - 1);
        self.before_kick[cpu as usize].store(0, Relaxed);
        self.write(register::TIMERS + 4 * cpu, 0);
        self.write(register::MAILBOXES + 4 * cpu, 0);
        self.drop_kicks(mpidr);
    }

    /// Clears the mailboxes of the CPU `mpidr`; to be called when nobody sends any more.
    pub fn drop_kicks(&self, mpidr: u64) {
        let cpu = mpidr & (CPUS - 1);
        for mailbox in 0..MAILBOXES {
            self.write(register::CLEAR + 16 * cpu + 4 * mailbox, !0);
        }
    }

    /// Resets what CPUs share. To be called when no other CPU uses it.
    pub fn reset_shared(&self) {
        self.write(register::GPU_ROUTING, 0);
        self.write(register::PMU_ROUTING_CLEAR, !0);
        self.write(register::TIMER, 0);
    }
}

#[cfg(test)]
mod tests;
