//! Baton: an EL2 monitor that carries an arm64 machine from one kernel to the next.
//!
//! The parts that touch no register are built for the host too, and tested there.
#![cfg_attr(not(any(test, fuzzing)), no_std)]

extern crate alloc;

pub mod abi;
#[cfg(target_os = "none")]
pub mod arch;
#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
pub mod cpu;
pub mod devicetree;
#[cfg(target_os = "none")]
pub mod exit;
#[cfg(target_os = "none")]
pub mod gic;
#[cfg(target_os = "none")]
pub mod hooks;
pub mod linux;
#[cfg(target_os = "none")]
pub mod machine;
pub mod memory;
pub mod options;
#[cfg(target_os = "none")]
pub mod pmu;
pub mod psci;
pub mod teardown;
#[cfg(target_os = "none")]
pub mod vcpu;
#[cfg(target_os = "none")]
pub mod vendor;
