// SPDX-License-Identifier: Apache-2.0
//! The log on firmware's own console, as long as that is there.

use crate::console;
use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::Relaxed;
use log::{LevelFilter, Log, Metadata, Record};
use r_efi::efi::SystemTable;

/// UTF-16 units that are handed to firmware at once.
const CHUNK: usize = 64;

static SYSTEM_TABLE: AtomicPtr<SystemTable> = AtomicPtr::new(ptr::null_mut());

struct Screen;

/// Characters on their way to firmware's console.
struct Line {
    units: [u16; CHUNK + 1],
    used: usize,
}

/// Sends the log to firmware's console from now on.
///
/// # Safety
///
/// The table is firmware's, and nothing is logged after its boot services are over.
pub unsafe fn start(table: *mut SystemTable) {
    SYSTEM_TABLE.store(table, Relaxed);
    let _ = log::set_logger(&Screen);
    log::set_max_level(LevelFilter::Info);
}

impl Log for Screen {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let prefix = console::prefix(record.level());
        let mut line = Line {
            units: [0; CHUNK + 1],
            used: 0,
        };
        // Firmware's console does not fail here; formatting is the caller's.
        let _ = write!(line, "baton: {prefix}{}\r\n", record.args());
        line.flush();
    }

    fn flush(&self) {}
}

impl Line {
    fn flush(&mut self) {
        self.units[self.used] = 0;
        self.used = 0;
        let table = SYSTEM_TABLE.load(Relaxed);
        // SAFETY: `start` was handed firmware's table, whose console takes a string that ends in 0.
        unsafe {
            let console = (*table).con_out;
            if !console.is_null() {
                ((*console).output_string)(console, self.units.as_mut_ptr());
            }
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for unit in text.encode_utf16() {
            if self.used == CHUNK {
                self.flush();
            }
            self.units[self.used] = unit;
            self.used += 1;
        }
        Ok(())
    }
}
