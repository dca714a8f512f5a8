//! The way in: `start.S`, and the registers that each CPU was entered with.

use crate::exception::{Fault, attempt};
use crate::outcome::{Outcome, fail};
use crate::{call, cpu, mmu};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;

/// Size of the boot CPU's stack in bytes.
const BOOT_STACK_SIZE: usize = 64 * 1024;

#[repr(C, align(4096))]
struct Stack(UnsafeCell<[u8; BOOT_STACK_SIZE]>);
// SAFETY: only the boot CPU's stack pointer refers to it.
unsafe impl Sync for Stack {}

static BOOT_STACK: Stack = Stack(UnsafeCell::new([0; BOOT_STACK_SIZE]));

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

global_asm!(
    include_str!("start.S"),
    first_root = sym mmu::FIRST_ROOT,
    root = sym mmu::ROOT,
    boot_stack = sym BOOT_STACK,
    boot_stack_size = const BOOT_STACK_SIZE,
    boot_state = sym BOOT_STATE,
    cpu_stack = const offset_of!(cpu::Cpu, stack_top),
    cpu_guard = const offset_of!(cpu::Cpu, guard),
    cpu_entry_state = const offset_of!(cpu::Cpu, entry_state),
    probe_main = sym crate::probe_main,
    secondary_main = sym cpu::secondary_main,
);

unsafe extern "C" {
    /// Where `CPU_ON` starts a CPU: x0 is the address of its [`cpu::Cpu`].
    fn secondary_start();
    /// Where a CPU begins that lost its power in what [`attempt`] runs: x0 is the address of its
    /// [`cpu::Cpu`].
    fn resume_start();
    /// First byte of the image.
    static image_start: u8;
    /// End of what never changes: text, read-only data, relocations.
    static constant_end: u8;
    /// End of the image, `.bss` included.
    static image_end: u8;
}

/// Address of the entry of secondary CPUs.
pub fn secondary_entry() -> u64 {
    secondary_start as *const () as u64
}

/// What [`suspend`] returns if the CPU came back through the entry that it gave.
pub const CAME_BACK: i64 = 1;

/// Makes the `SYSTEM_SUSPEND` of this function id. If the CPU comes back through its entry, what it was
/// entered with is its `entry_state`.
pub fn suspend(id: u32) -> Outcome<i64> {
    let this = cpu::current();
    this.fault_esr.store(0, Relaxed);
    let context = &raw const *this as u64;
    match attempt(|| call::psci(id, [resume_start as *const () as u64, context, 0])) {
        Ok(code) => Ok(code),
        Err(Fault { esr: 0, .. }) => Ok(CAME_BACK),
        Err(fault) => fail!("SYSTEM_SUSPEND: expected no exception, seen {fault:x?}"),
    }
}

/// Address range of the running image.
pub fn image() -> (u64, u64) {
    (&raw const image_start as u64, &raw const image_end as u64)
}

/// The part of the image that is the same in every generation, whatever address it runs at.
///
/// Text and relocations only: relocated data lies behind it.
pub fn constant_image() -> (u64, u64) {
    (
        &raw const image_start as u64,
        &raw const constant_end as u64,
    )
}
