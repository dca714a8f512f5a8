//! The end of the monitor: it says where, and resets the machine rather than hang.

use crate::arch::barrier;
use crate::console;
use crate::cpu::Cpu;
use crate::psci::firmware;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The boot CPU has panicked before it was told which CPU it is.
static EARLY: AtomicBool = AtomicBool::new(false);

/// Says what is wrong, and resets the machine. For the binary's panic handler.
///
/// A CPU that panics while it says so, as the console may be what is wrong, resets at once.
pub fn panicked(info: &PanicInfo) -> ! {
    let cpu = Cpu::try_current();
    let index = cpu.map_or(0, |cpu| cpu.index);
    let first = !cpu.map_or(&EARLY, |cpu| &cpu.panicked).swap(true, Relaxed);
    if first {
        console::panic_line(format_args!("cpu {index}: {info}; resetting the machine"));
    }
    let refusal = firmware::system_reset();
    if first {
        console::panic_line(format_args!(
            "cpu {index}: SYSTEM_RESET: {refusal}; powering off"
        ));
    }
    let _ = firmware::system_off();
    loop {
        barrier::wfe();
    }
}
