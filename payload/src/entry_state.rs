// SPDX-License-Identifier: Apache-2.0
//! The registers that each CPU was entered with.

use core::arch::asm;
use core::cell::UnsafeCell;

/// Registers as a CPU was entered with them, before `start.S` changes them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EntryState {
    pub sctlr_el1: u64,
    pub tcr_el1: u64,
    pub mair_el1: u64,
    pub ttbr0_el1: u64,
    pub vbar_el1: u64,
    pub tpidr_el1: u64,
    pub daif: u64,
    pub spsel: u64,
    pub currentel: u64,
    pub sp_el1: u64,
    pub cntkctl_el1: u64,
    pub x1: u64,
    pub x2: u64,
    pub x3: u64,
}

impl EntryState {
    const EMPTY: Self = Self {
        sctlr_el1: 0,
        tcr_el1: 0,
        mair_el1: 0,
        ttbr0_el1: 0,
        vbar_el1: 0,
        tpidr_el1: 0,
        daif: 0,
        spsel: 0,
        currentel: 0,
        sp_el1: 0,
        cntkctl_el1: 0,
        x1: 0,
        x2: 0,
        x3: 0,
    };

    /// The same registers of this CPU as they are now.
    pub fn now() -> Self {
        let mut state = Self::EMPTY;
        // SAFETY: reads registers that belong to the probe.
        unsafe {
            asm!(
                "mrs {0}, sctlr_el1",
                "mrs {1}, tcr_el1",
                "mrs {2}, mair_el1",
                "mrs {3}, ttbr0_el1",
                "mrs {4}, vbar_el1",
                "mrs {5}, tpidr_el1",
                "mrs {6}, daif",
                "mrs {7}, spsel",
                "mrs {8}, currentel",
                "mov {9}, sp",
                "mrs {10}, cntkctl_el1",
                out(reg) state.sctlr_el1,
                out(reg) state.tcr_el1,
                out(reg) state.mair_el1,
                out(reg) state.ttbr0_el1,
                out(reg) state.vbar_el1,
                out(reg) state.tpidr_el1,
                out(reg) state.daif,
                out(reg) state.spsel,
                out(reg) state.currentel,
                out(reg) state.sp_el1,
                out(reg) state.cntkctl_el1,
                options(nomem, nostack, preserves_flags),
            );
        }
        state
    }
}

/// Room for an [`EntryState`] that `start.S` writes before the CPU runs any Rust.
#[derive(Default)]
#[repr(C)]
pub struct EntryStateCell(UnsafeCell<EntryState>);
// SAFETY: it is written by its CPU alone on its way in, and read when the CPU has said that it is up.
unsafe impl Sync for EntryStateCell {}

impl EntryStateCell {
    /// An empty one.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(EntryState::EMPTY))
    }

    /// What the CPU was entered with.
    pub fn get(&self) -> EntryState {
        // SAFETY: the pointer is to a live, aligned EntryState; see `Sync` above for the order.
        unsafe { self.0.get().read_volatile() }
    }
}

/// What the boot CPU was entered with.
pub static BOOT_STATE: EntryStateCell = EntryStateCell::new();
