//! From the first instruction to the guest's: `head.S`, then [`relocate`], then [`primary`].

mod guest;
pub mod image;
mod primary;
mod relocate;
mod secondary;
mod wrong_level;

pub use relocate::{GUARD, STACK};

use core::arch::global_asm;

global_asm!(include_str!("head.S"));
