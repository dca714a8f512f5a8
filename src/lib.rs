//! Baton: an EL2 monitor that carries an arm64 machine from one kernel to the next.
//!
//! The parts that touch no register are built for the host too, and tested there.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod abi;
pub mod devicetree;
pub mod linux;
pub mod memory;
pub mod options;
