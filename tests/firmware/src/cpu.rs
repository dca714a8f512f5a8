// SPDX-License-Identifier: Apache-2.0
//! The CPUs, as firmware sees them.

use crate::board::{CLUSTER, MAX_CPUS, has_psci};
use core::arch::asm;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU8, AtomicU64};
use smccc::psci::AffinityState;

/// Memory is zero when QEMU starts, and a reset ends QEMU.
const OFF: u8 = 0;
const ON_PENDING: u8 = 1;
const ON: u8 = 2;

/// Where a CPU begins at EL2.
#[derive(Clone, Copy)]
pub struct Start {
    /// Physical address.
    pub entry: u64,
    /// What is in x0.
    pub context: u64,
}

/// A CPU. With the MMU off memory is Device memory, where exclusives need not work: nothing here is
/// read and written in one. Two CPU_ONs of one CPU at once would both succeed; the monitor above makes
/// one of them.
pub struct Cpu {
    state: AtomicU8,
    entry: AtomicU64,
    context: AtomicU64,
}

static CPUS: [Cpu; MAX_CPUS] = [const { Cpu::new() }; MAX_CPUS];

impl Cpu {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(0),
            entry: AtomicU64::new(0),
            context: AtomicU64::new(0),
        }
    }

    /// The CPU with these affinity fields, whether the machine has it or not, unless it is one of a spin
    /// table.
    pub fn by_mpidr(mpidr: u64) -> Option<&'static Self> {
        let (aff1, aff0) = (mpidr >> 8, mpidr & 0xff);
        if aff0 >= CLUSTER {
            return None;
        }
        let number = usize::try_from(aff1.checked_mul(CLUSTER)? + aff0).ok()?;
        CPUS.get(number).filter(|_| has_psci(number))
    }

    /// The CPU with this number.
    pub fn by_number(number: usize) -> &'static Self {
        &CPUS[number]
    }

    /// Whether all CPUs but this one are off.
    pub fn is_last(&self) -> bool {
        let mut others = CPUS.iter().filter(|cpu| !core::ptr::eq(*cpu, self));
        others.all(|cpu| cpu.state() == AffinityState::Off)
    }

    /// What AFFINITY_INFO says of it.
    pub fn state(&self) -> AffinityState {
        match self.state.load(Acquire) {
            OFF => AffinityState::Off,
            ON_PENDING => AffinityState::OnPending,
            _ => AffinityState::On,
        }
    }

    /// The CPU itself: it is on.
    pub fn set_on(&self) {
        self.state.store(ON, Release);
    }

    /// Lets a CPU that is off begin at `start`.
    pub fn turn_on(&self, start: Start) {
        self.entry.store(start.entry, Relaxed);
        self.context.store(start.context, Relaxed);
        self.state.store(ON_PENDING, Release);
        // SAFETY: a barrier and a hint.
        unsafe { asm!("dsb sy", "sev") };
    }

    /// The CPU itself: it is off.
    pub fn set_off(&self) {
        self.state.store(OFF, Release);
    }

    /// The CPU itself, off: waits until somebody turns it on, which may have been before it came here.
    pub fn wait_off(&self) -> Start {
        while self.state() != AffinityState::OnPending {
            // SAFETY: a hint.
            unsafe { asm!("wfe") };
        }
        self.set_on();
        Start {
            entry: self.entry.load(Relaxed),
            context: self.context.load(Relaxed),
        }
    }
}

/// Sleeps until an interrupt is pending, whatever level it is for.
pub fn sleep() {
    // SAFETY: what was stored before can be seen by others while this CPU sleeps.
    unsafe { asm!("dsb sy", "wfi") };
}
