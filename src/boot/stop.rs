// SPDX-License-Identifier: Apache-2.0
//! The end before the beginning: a board or a guest that cannot be started.

use crate::arch::barrier::halt;
use crate::firmware;
use core::fmt;

/// Says why the monitor cannot go on, and powers the machine off.
pub fn stop(reason: fmt::Arguments) -> ! {
    log::error!("{reason}; powering off");
    let refusal = firmware::system_off();
    log::error!("firmware refuses SYSTEM_OFF: {refusal}");
    halt()
}
