// SPDX-License-Identifier: Apache-2.0
//! The console: a PL011, written by one CPU at a time, a line at a time.

use crate::hints;
use crate::mmio;
use core::fmt::{Arguments, Write};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// UARTDR (PL011 TRM, 3.3.1).
const DR: u64 = 0x000;
/// UARTFR: bit 5, transmit FIFO full.
const FR: u64 = 0x018;
/// UARTCR: bit 0 enables the UART, bit 8 its transmitter.
const CR: u64 = 0x030;

static BASE: AtomicU64 = AtomicU64::new(0);
static LOCK: AtomicBool = AtomicBool::new(false);

/// Sets the physical address of the PL011, and enables it if nobody has.
pub fn init(base: u64) {
    if mmio::read32(base + CR) & 1 == 0 {
        mmio::write32(base + CR, 1 | 1 << 8);
    }
    BASE.store(base, Release);
}

struct Uart(u64);

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            while mmio::read32(self.0 + FR) & 1 << 5 != 0 {
                hints::relax();
            }
            mmio::write32(self.0 + DR, byte.into());
        }
        Ok(())
    }
}

/// Prints a line that begins with `probe: `. Without a console it is lost.
pub fn line(text: Arguments) {
    let base = BASE.load(Acquire);
    if base == 0 {
        return;
    }
    while LOCK
        .compare_exchange(false, true, Acquire, Relaxed)
        .is_err()
    {
        hints::relax();
    }
    // The writer has no errors.
    let _ = Uart(base).write_fmt(format_args!("probe: {text}\r\n"));
    LOCK.store(false, Release);
}

/// Prints a line that begins with `probe: `.
macro_rules! say {
    ($($argument:tt)*) => { $crate::console::line(format_args!($($argument)*)) };
}
pub(crate) use say;
