//! The end of the monitor: it says where, and resets the machine rather than hang.

use crate::arch::barrier;
use crate::console;
use crate::cpu::Cpu;
use crate::psci::firmware;
use core::panic::PanicInfo;

/// Says what is wrong, and resets the machine. For the binary's panic handler.
pub fn panicked(info: &PanicInfo) -> ! {
    let index = Cpu::try_current().map_or(0, |cpu| cpu.index);
    console::panic_line(format_args!("cpu {index}: {info}; resetting the machine"));
    let refusal = firmware::system_reset();
    console::panic_line(format_args!(
        "cpu {index}: SYSTEM_RESET: {refusal}; powering off"
    ));
    let _ = firmware::system_off();
    loop {
        barrier::wfe();
    }
}
