//! Physical memory: who owns which part of it, and who sees it.

#[cfg(target_os = "none")]
pub mod early;
#[cfg(target_os = "none")]
pub mod generation;
#[cfg(target_os = "none")]
pub mod guest_ram;
pub mod guest_walk;
#[cfg(target_os = "none")]
pub mod heap;
pub mod region;
#[cfg(target_os = "none")]
pub mod stage1;
