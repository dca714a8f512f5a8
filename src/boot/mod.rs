// SPDX-License-Identifier: Apache-2.0
//! From the first instruction to the guest's: `head.S`, then `relocate`, then `primary`.

mod bring_up;
mod configure;
mod description;
mod early_map;
mod efi;
mod el3;
mod first_guest;
mod image;
mod interrupt_controller;
mod layout;
mod loader_tree;
mod map;
mod primary;
mod refused;
mod relocate;
mod secondary;
mod spin_table;
mod stop;

use crate::machine::cpu::Cpu;
use crate::memory::stage1::MmuConfig;
use crate::vcpu::frame::Frame;
use baton_core::devicetree::blob;
use core::arch::global_asm;
use core::mem::offset_of;
use efi::handover::Saved;

// `head.S` turns the MMU on with the `MmuConfig` that a `Cpu` begins with.
const _: () = assert!(offset_of!(Cpu, mmu) == 0);

global_asm!(include_str!("header.S"));
global_asm!(
    include_str!("relocations.S"),
    include_str!("head.S"),
    include_str!("efi/entry.S"),
    CPU_MPIDR = const offset_of!(Cpu, mpidr),
    CPU_SIZE = const size_of::<Cpu>(),
    CPU_STACK_TOP = const offset_of!(Cpu, stack_top),
    TREE_SIZE = const blob::MAX_SIZE,
    FRAME_SIZE = const size_of::<Frame>(),
    SAVED_SIZE = const size_of::<Saved>(),
    MMU_MAIR = const offset_of!(MmuConfig, mair),
    MMU_TCR = const offset_of!(MmuConfig, tcr),
    MMU_TTBR0 = const offset_of!(MmuConfig, ttbr0),
    MMU_SCTLR = const offset_of!(MmuConfig, sctlr),
);
