//! Baton: an EL2 monitor that carries an arm64 machine from one kernel to the next.
//!
//! The parts that touch no register are built for the host too, and tested there.
#![cfg_attr(not(any(test, fuzzing)), no_std)]

extern crate alloc;
#[cfg(any(feature = "loom", feature = "shuttle"))]
extern crate std;

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
/// The part of the interrupt controller that touches no register.
#[cfg(not(target_os = "none"))]
pub mod gic {
    /// GICv3 and GICv4.
    pub mod v3 {
        pub mod tables;
    }
}
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
pub mod sync;
pub mod teardown;
#[cfg(target_os = "none")]
pub mod vcpu;
#[cfg(target_os = "none")]
pub mod vendor;
