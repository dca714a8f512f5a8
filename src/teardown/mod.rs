//! Taking the CPUs from one kernel for the next, in three phases.
//!
//! Every CPU walks the table of steps (`steps::TABLE`) from ONLINE to IDLE_DEAD:
//!
//! 1. ONLINE to TEARDOWN_CPU, all at once: each CPU clears what is its own.
//! 2. Sync: the boot CPU waits for all, and clears what there is once.
//! 3. TEARDOWN_CPU to IDLE_DEAD, all at once: the next kernel is copied into place, and all but the
//!    boot CPU park, OFF for PSCI and ready to be turned on.
//!
//! There is no way back: a step that fails, or a CPU that does not come, is reported, and the
//! reboot goes on.

pub mod arrival;
pub mod barrier;
pub mod error;
pub mod gate;
pub mod hardware;
pub mod kick;
pub mod phases;
pub mod rendezvous;
pub mod table;
pub mod tree_report;

#[cfg(target_os = "none")]
mod copy;
#[cfg(target_os = "none")]
mod door;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod mistake;
#[cfg(target_os = "none")]
pub mod report;
pub mod report_table;
#[cfg(target_os = "none")]
mod steps;
#[cfg(target_os = "none")]
mod takeover;

#[cfg(target_os = "none")]
pub use door::{Refusal, call, hook};
#[cfg(target_os = "none")]
pub use machine::{join, say_serial_steps};
#[cfg(target_os = "none")]
pub use takeover::Takeover;
