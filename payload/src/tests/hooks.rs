// SPDX-License-Identifier: Apache-2.0
//! `test=hooks`: makes the HVCs of the monitor's hooks at addresses where it has patched none.

use super::kexec;
use crate::console::say;
use crate::context::Context;
use crate::exception::{EC_UNKNOWN, attempt};
use crate::options::After;
use crate::outcome::{Outcome, fail};
use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;

/// Makes each of the two HVCs, and expects it to be undefined.
fn try_all() -> Outcome {
    // SAFETY: a guarded instruction, which leaves nothing behind when it is undefined.
    let one = attempt(|| unsafe { asm!("hvc #0xba71", out("x0") _) });
    // SAFETY: as above; were it answered, x0 leads nowhere.
    let two = attempt(|| unsafe { asm!("hvc #0xba72", inout("x0") 0_u64 => _) });
    for (what, result) in [("hvc #0xba71", one), ("hvc #0xba72", two)] {
        match result {
            Err(fault) if fault.class() == EC_UNKNOWN => {}
            Err(fault) => fail!("{what}: expected it undefined, seen ESR {:#x}", fault.esr),
            Ok(()) => fail!("{what}: expected it undefined, seen it answered"),
        }
    }
    crate::kexec::HOOKS.store(2, Relaxed);
    say!("both hooks are undefined here");
    Ok(())
}

/// Tries them in every generation, and reboots. After Linux it only tries them: the monitor has not yet
/// looked for a kernel to patch here.
pub fn run(context: &Context) -> Outcome {
    try_all()?;
    match context.options.after {
        After::Linux => Ok(()),
        After::Probe => kexec::run(context),
    }
}
