// SPDX-License-Identifier: Apache-2.0
//! The console: the monitor's log, in memory and on the UART that the device tree names.

mod logger;
mod uart;

pub use logger::{
    is_shown, line_without_mmu, log_end, log_memory, open, panic_line, prefix, set_level, show,
    start, with_log,
};
