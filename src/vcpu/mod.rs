//! One CPU of the machine as the guest sees it: what EL2 lets through, and its state after a reset.

pub mod features;
pub mod verify;

#[cfg(target_os = "none")]
pub mod debug;
#[cfg(target_os = "none")]
pub mod el2;
#[cfg(target_os = "none")]
pub mod pauth;
#[cfg(target_os = "none")]
pub mod reset;
#[cfg(target_os = "none")]
pub mod timer;
#[cfg(target_os = "none")]
pub mod trace;
#[cfg(target_os = "none")]
pub mod vector;
