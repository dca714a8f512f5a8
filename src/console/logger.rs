// SPDX-License-Identifier: Apache-2.0
//! The `log` facade over the UART, one whole line at a time.

use super::uart::Uart;
use crate::arch::time::Deadline;
use baton_core::devicetree;
use baton_core::sync::Lock;
use core::fmt::{self, Write};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// How long a full FIFO is waited for before a character is dropped, in microseconds: ten
/// characters at 9600 baud.
const FIFO_WAIT_US: u64 = 10_000;

/// The UART, and whether it stopped taking characters.
struct Console {
    uart: Uart,
    stuck: bool,
}

struct Logger {
    console: Lock<Option<Console>>,
}

static LOGGER: Logger = Logger {
    console: Lock::new(None),
};

/// Sends the log to the UART of `console`, if it is one that the monitor knows.
///
/// # Safety
///
/// There is one, it is mapped as a device at its own address, and the monitor uses it nowhere else.
pub unsafe fn init(console: &devicetree::console::Console, level: LevelFilter) {
    // SAFETY: Handed on to the caller.
    let Some(uart) = (unsafe { Uart::new(console) }) else {
        return;
    };
    *LOGGER.console.lock() = Some(Console { uart, stuck: false });
    // It fails where it is set already.
    let _ = log::set_logger(&LOGGER);
    set_level(level);
}

/// Sets the least severe level that is shown.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Writes a line even if another CPU holds the UART: the monitor is about to reset the machine.
pub fn panic_line(line: fmt::Arguments) {
    // A CPU that holds the lock may be the one that panics: a short wait, then the line goes out.
    let deadline = Deadline::after_us(FIFO_WAIT_US);
    loop {
        if let Some(mut console) = LOGGER.console.try_lock() {
            if let Some(console) = console.as_mut() {
                console.line("error: ", line);
            }
            return;
        }
        if deadline.passed() {
            // SAFETY: The machine is about to be reset; two CPUs in the UART garble a line at most.
            unsafe { LOGGER.console.force_unlock() };
        }
        crate::arch::barrier::pause();
    }
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let prefix = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug | Level::Trace => "debug: ",
        };
        if let Some(console) = self.console.lock().as_mut() {
            console.line(prefix, *record.args());
        }
    }

    fn flush(&self) {}
}

impl Console {
    fn line(&mut self, prefix: &str, line: fmt::Arguments) {
        // Writing to a UART does not fail; formatting is the caller's.
        let _ = write!(self, "baton: {prefix}{line}\r\n");
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if !self.stuck && self.uart.is_full() {
                let deadline = Deadline::after_us(FIFO_WAIT_US);
                while self.uart.is_full() && !deadline.passed() {
                    crate::arch::barrier::pause();
                }
            }
            // After a wait in vain there is no other wait until the UART takes a character again.
            self.stuck = self.uart.is_full();
            if !self.stuck {
                self.uart.send(byte);
            }
        }
        Ok(())
    }
}
