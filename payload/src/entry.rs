//! The way in: `start.S`, and what it needs to know.

use crate::cpu::Cpu;
use crate::entry_state::BOOT_STATE;
use crate::{jobs, mmu, run};
use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

/// Size of the boot CPU's stack in bytes.
const BOOT_STACK_SIZE: usize = 64 * 1024;

#[repr(C, align(4096))]
struct Stack(UnsafeCell<[u8; BOOT_STACK_SIZE]>);
// SAFETY: only the boot CPU's stack pointer refers to it.
unsafe impl Sync for Stack {}

static BOOT_STACK: Stack = Stack(UnsafeCell::new([0; BOOT_STACK_SIZE]));

global_asm!(
    include_str!("start.S"),
    first_root = sym mmu::FIRST_ROOT,
    root = sym mmu::ROOT,
    boot_stack = sym BOOT_STACK,
    boot_stack_size = const BOOT_STACK_SIZE,
    boot_state = sym BOOT_STATE,
    cpu_stack = const offset_of!(Cpu, stack_top),
    cpu_guard = const offset_of!(Cpu, guard),
    cpu_entry_state = const offset_of!(Cpu, entry_state),
    probe_main = sym run::probe_main,
    secondary_main = sym jobs::secondary_main,
);
