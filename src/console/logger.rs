// SPDX-License-Identifier: Apache-2.0
//! The `log` facade over a ring in memory and the UART, one whole line at a time.
//!
//! The ring gets every line, and the guest may read it where it is. The UART belongs to the guest once that runs: it gets those before, and
//! later ones only while [`show`] says so.

use super::uart::Uart;
use crate::arch::cache;
use crate::arch::time::Deadline;
use baton_core::devicetree;
use baton_core::log_ring::LogRing;
use baton_core::memory::region::Region;
use baton_core::sync::Lock;
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
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
    /// Lines go to the UART too.
    shown: AtomicBool,
    /// The end of the ring.
    end: AtomicU64,
}

static LOGGER: Logger = Logger {
    console: Lock::new(None),
    shown: AtomicBool::new(true),
    end: AtomicU64::new(0),
};

/// The log, in a section of its own (`linker/baton.ld`): the guest may read its pages, which are whole ones
/// whatever size it has them in.
struct Pages(UnsafeCell<LogRing>);

// SAFETY: Whoever has [`RING`] uses it, and nobody else.
unsafe impl Sync for Pages {}

// All zero: so it is not in the image's file.
#[cfg_attr(target_os = "none", unsafe(link_section = ".bss.log"))]
static PAGES: Pages = Pages(UnsafeCell::new(LogRing::new()));

/// The right to [`PAGES`].
struct Ring(());

static RING: Lock<Ring> = Lock::new(Ring(()));

impl Ring {
    fn log(&mut self) -> &mut LogRing {
        // SAFETY: There is one `Ring`, which is borrowed for as long.
        unsafe { &mut *PAGES.0.get() }
    }
}

/// Takes the log, and sets the least severe level that is kept.
pub fn start(level: LevelFilter) {
    // It fails where it is set already.
    let _ = log::set_logger(&LOGGER);
    set_level(level);
}

/// Sends the log to the UART of `console` too, if it is one that the monitor knows.
///
/// # Safety
///
/// There is one, it is mapped as a device at its own address, and the monitor uses it nowhere else.
pub unsafe fn open(console: &devicetree::console::Console) {
    // SAFETY: Handed on to the caller.
    if let Some(uart) = unsafe { Uart::new(console) } {
        *LOGGER.console.lock() = Some(Console { uart, stuck: false });
    }
}

/// Sets the least severe level that is kept.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Says whether lines go to the UART from here on.
pub fn show(shown: bool) {
    LOGGER.shown.store(shown, Relaxed);
}

/// Returns whether lines go to the UART.
pub fn is_shown() -> bool {
    LOGGER.shown.load(Relaxed)
}

/// Calls `take` with the log as it is kept in memory.
pub fn with_log<T>(take: impl FnOnce(&LogRing) -> T) -> T {
    take(RING.lock().log())
}

/// Returns the pages of the log, on which there is nothing else.
pub fn log_memory() -> Region {
    Region::new(PAGES.0.get() as u64, size_of::<LogRing>() as u64).expect("it is part of the image")
}

/// Returns the offset of the log's next byte, without waiting for who is writing.
pub fn log_end() -> u64 {
    LOGGER.end.load(Relaxed)
}

/// Writes a line, to the UART too, even if another CPU holds either: the monitor is about to reset the
/// machine.
pub fn panic_line(line: fmt::Arguments) {
    let prefix = "error: ";
    with_broken(&RING, |ring| keep(ring.log(), prefix, line));
    with_broken(&LOGGER.console, |console| {
        if let Some(console) = console.as_mut() {
            console.line(prefix, line);
        }
    });
}

/// Writes a line of an error to the UART of `console`, if it is one that the monitor knows, without a lock.
///
/// # Safety
///
/// There is one, the MMU is off, and nothing else uses it.
pub unsafe fn line_without_mmu(console: &devicetree::console::Console, line: fmt::Arguments) {
    // SAFETY: Handed on to the caller; with the MMU off, a device is where it is.
    if let Some(uart) = unsafe { Uart::new(console) } {
        Console { uart, stuck: false }.line(prefix(Level::Error), line);
    }
}

/// Writes a line to the ring, for readers without caches too: Linux maps it as it maps SRAM.
fn keep(ring: &mut LogRing, prefix: &str, line: fmt::Arguments) {
    let end = ring.end();
    ring.push(prefix, line);
    for (_, bytes) in ring.changed_since(end) {
        cache::clean_to_poc(bytes.as_ptr() as usize, bytes.len());
    }
    LOGGER.end.store(ring.end(), Relaxed);
}

/// Calls `then` with what `lock` guards, after a short wait whoever holds it: that may be the CPU that
/// panics.
fn with_broken<T>(lock: &Lock<T>, then: impl FnOnce(&mut T)) {
    let deadline = Deadline::after_us(FIFO_WAIT_US);
    loop {
        if let Some(mut guarded) = lock.try_lock() {
            return then(&mut guarded);
        }
        if deadline.passed() {
            // SAFETY: The machine is about to be reset; two CPUs in the log garble a line at most.
            unsafe { lock.force_unlock() };
        }
        crate::arch::barrier::pause();
    }
}

/// Returns what a line of `level` begins with.
pub fn prefix(level: Level) -> &'static str {
    match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info => "",
        Level::Debug | Level::Trace => "debug: ",
    }
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let prefix = prefix(record.level());
        keep(RING.lock().log(), prefix, *record.args());
        if is_shown()
            && let Some(console) = self.console.lock().as_mut()
        {
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
