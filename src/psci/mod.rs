// SPDX-License-Identifier: Apache-2.0
//! The guest's PSCI calls (DEN0022): PSCI 1.1, answered as firmware would.

mod answer;
mod cpu;
mod parked;
mod service;
mod suspend_mode;
mod system;

pub use service::call;
