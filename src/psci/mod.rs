//! PSCI (DEN0022): what the guest is offered, and what firmware is asked for.

#[cfg(target_os = "none")]
mod cpu;
pub mod decode;
#[cfg(target_os = "none")]
pub mod firmware;
pub mod power;
pub mod power_state;
#[cfg(target_os = "none")]
mod service;
#[cfg(target_os = "none")]
mod system;

pub mod turn;

#[cfg(target_os = "none")]
pub use cpu::code;
#[cfg(target_os = "none")]
pub use service::call;
