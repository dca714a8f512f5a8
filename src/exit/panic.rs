// SPDX-License-Identifier: Apache-2.0
//! The end of the monitor: it says where, and resets the machine rather than hang.

use crate::arch::barrier::halt;
use crate::console;
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The boot CPU has panicked before it was told which CPU it is.
static EARLY: AtomicBool = AtomicBool::new(false);

/// A CPU has panicked: no other goes back to its guest.
static OVER: AtomicBool = AtomicBool::new(false);

/// Says what is wrong, stops all CPUs, and resets the machine. For the binary's panic handler.
///
/// A CPU that panics while it says so, as the console may be what is wrong, resets at once. Every
/// wait has a bound, and no lock is waited for without one.
pub fn panicked(info: &PanicInfo) -> ! {
    let cpu = Cpu::current();
    let index = cpu.map_or(0, |cpu| cpu.index);
    let first = !cpu.map_or(&EARLY, |cpu| &cpu.panicked).swap(true, Relaxed);
    if first {
        // In one line, where `info` itself would make two of it.
        let (file, line) = info
            .location()
            .map_or(("?", 0), |at| (at.file(), at.line()));
        let why = info.message();
        console::panic_line(format_args!(
            "cpu {index}: panicked at {file}:{line}: {why}; resetting the machine"
        ));
        // Firmware may refuse: then nothing runs on without a monitor.
        OVER.store(true, Relaxed);
        if let Some(machine) = Machine::installed() {
            machine.generations.stop();
        }
    }
    let refusal = firmware::system_reset();
    if first {
        console::panic_line(format_args!(
            "cpu {index}: firmware refuses SYSTEM_RESET: {refusal}; powering off"
        ));
    }
    let _ = firmware::system_off();
    halt()
}

/// Keeps the CPU that runs this in the monitor if one has panicked.
pub fn stop_if_over() {
    if OVER.load(Relaxed) {
        halt();
    }
}
