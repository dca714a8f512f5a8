// SPDX-License-Identifier: Apache-2.0
//! What a CPU does next.

use baton_core::smp::power::Start;

/// What a service has decided that its CPU does next. The service returns it; `exit::run` does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// The guest goes on where its frame says.
    Resume,
    /// The CPU begins in the guest, with its registers as after a reset.
    Enter(Start),
    /// The CPU's generation has ended: it comes to the takeover, and parks, or goes on where its frame says
    /// if that is refused.
    Join,
    /// The CPU is OFF: it waits in the monitor until it is turned on or taken.
    Park,
}
