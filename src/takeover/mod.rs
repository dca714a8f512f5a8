// SPDX-License-Identifier: Apache-2.0
//! Taking the CPUs from one kernel for the next, in three phases.
//!
//! For a [`request`] all CPUs are stopped, and check it together; if it does not hold, each goes on where it
//! was. Then every CPU walks the table of teardown [`steps`] from ONLINE to IDLE_DEAD:
//!
//! 1. ONLINE to TEARDOWN_CPU, all at once: each CPU clears what is its own.
//! 2. Sync: the boot CPU waits for all, and clears what there is once.
//! 3. TEARDOWN_CPU to IDLE_DEAD, all at once: the next kernel is copied into place, and all but the
//!    boot CPU park, OFF for PSCI and ready to be turned on.
//!
//! There is no way back: a step that fails, or a CPU that does not come, is reported, and the
//! reboot goes on. The protocol itself is `baton_core::smp::phases`, on any [`platform`].

mod beside_copy;
mod copy;
mod crash;
pub mod crash_interrupt;
mod fault_injection;
pub mod guest_console;
pub mod interrupts;
pub mod listen;
mod memory_reserve;
pub mod platform;
pub mod request;
pub mod steps;
