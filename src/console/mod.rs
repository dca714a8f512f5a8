// SPDX-License-Identifier: Apache-2.0
//! The console: the monitor's log, on the UART that the device tree names.

mod logger;
mod uart;

pub use logger::{init, panic_line, set_level};
