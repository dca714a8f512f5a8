// SPDX-License-Identifier: Apache-2.0
//! The end of a run: its last line, and SYSTEM_OFF.

use crate::call;
use crate::console::say;
use crate::hints;
use core::fmt::Arguments;

/// Prints the last line of a failed run and powers off.
pub fn fail_and_stop(text: Arguments) -> ! {
    say!("FAIL {text}");
    power_off()
}

/// Prints the last line of a good run and powers off.
pub fn pass_and_stop() -> ! {
    say!("PASS");
    power_off()
}

fn power_off() -> ! {
    call::psci(smccc::psci::PSCI_SYSTEM_OFF, [0; 3]);
    say!("SYSTEM_OFF has returned");
    loop {
        hints::wait_for_interrupt();
    }
}
