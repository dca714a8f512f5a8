// SPDX-License-Identifier: Apache-2.0
//! The ways in: `start.S` and, by UEFI firmware, `efi.S`; and what they need to know.

use crate::cpu::Cpu;
use crate::entry_state::{BOOT_STATE, EntryState};
use crate::{efi, jobs, mmu, run};
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

global_asm!(include_str!("../../src/boot/header.S"));
global_asm!(
    include_str!("../../src/boot/relocations.S"),
    include_str!("start.S"),
    include_str!("efi/efi.S"),
    first_root = sym mmu::FIRST_ROOT,
    root = sym mmu::ROOT,
    boot_stack = sym BOOT_STACK,
    boot_stack_size = const BOOT_STACK_SIZE,
    boot_state = sym BOOT_STATE,
    cpu_stack = const offset_of!(Cpu, stack_top),
    cpu_guard = const offset_of!(Cpu, guard),
    cpu_entry_state = const offset_of!(Cpu, entry_state),
    entry_sctlr_el1 = const offset_of!(EntryState, sctlr_el1),
    entry_tcr_el1 = const offset_of!(EntryState, tcr_el1),
    entry_mair_el1 = const offset_of!(EntryState, mair_el1),
    entry_ttbr0_el1 = const offset_of!(EntryState, ttbr0_el1),
    entry_vbar_el1 = const offset_of!(EntryState, vbar_el1),
    entry_tpidr_el1 = const offset_of!(EntryState, tpidr_el1),
    entry_daif = const offset_of!(EntryState, daif),
    entry_spsel = const offset_of!(EntryState, spsel),
    entry_currentel = const offset_of!(EntryState, currentel),
    entry_sp_el1 = const offset_of!(EntryState, sp_el1),
    entry_cntkctl_el1 = const offset_of!(EntryState, cntkctl_el1),
    entry_x1 = const offset_of!(EntryState, x1),
    entry_x2 = const offset_of!(EntryState, x2),
    entry_x3 = const offset_of!(EntryState, x3),
    device_block = const mmu::DEVICE,
    normal_block = const mmu::NORMAL,
    map_entries = const mmu::ENTRIES,
    probe_main = sym run::probe_main,
    secondary_main = sym jobs::secondary_main,
    leave_firmware = sym efi::leave_firmware,
);
