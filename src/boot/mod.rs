//! From the first instruction to the guest's: `head.S`, then [`relocate`], then [`primary`].

mod guest;
pub mod image;
mod primary;
mod relocate;
mod secondary;
mod spin_table;
mod wrong_level;

pub use relocate::{GUARD, STACK};

use crate::cpu::Cpu;
use core::arch::global_asm;
use core::mem::offset_of;

global_asm!(
    include_str!("head.S"),
    cpu_mpidr = const offset_of!(Cpu, mpidr),
    cpu_size = const size_of::<Cpu>(),
);
