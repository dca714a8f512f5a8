// SPDX-License-Identifier: Apache-2.0
//! The report of a reboot, as text.
#![forbid(unsafe_code)]

pub mod property;
pub mod table;
