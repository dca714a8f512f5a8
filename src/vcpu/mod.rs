// SPDX-License-Identifier: Apache-2.0
//! One CPU of the machine as the guest sees it: what EL2 lets through, and its state after a reset.

pub mod debug;
pub mod el2;
#[cfg(test)]
pub mod fake;
pub mod features;
pub mod frame;
pub mod pauth;
pub mod pmu;
pub mod reset;
pub mod timer;
pub mod trace;
pub mod vector;
