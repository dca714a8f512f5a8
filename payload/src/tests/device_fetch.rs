// SPDX-License-Identifier: Apache-2.0
//! `test=device-fetch`: executes a device's registers, which its own stage 1 allows, takes the abort, and
//! runs on.

use crate::console::say;
use crate::context::Context;
use crate::exception::{EC_INSTRUCTION_ABORT, attempt};
use crate::mmio::write64;
use crate::mmu;
use crate::outcome::{Outcome, fail};
use core::arch::asm;

const BLOCK: u64 = 2 << 20;
/// [`mmu::DEVICE`] without UXN and PXN.
const EXECUTABLE: u64 = mmu::DEVICE & !(3 << 53);
/// ISS.IFSC, and that of an external abort that is not of a walk.
const IFSC: u64 = 0x3f;
const EXTERNAL: u64 = 0x10;

/// Maps the block of the UART once more, to be executed.
pub fn run(context: &Context) -> Outcome {
    let (uart, table) = (context.machine.uart, context.arena.scratch(0));
    write64(table, uart & !(BLOCK - 1) | EXECUTABLE);
    let offset = uart % BLOCK;
    let Some((window, seen)) = mmu::through(0, table, |window| {
        let address = window + offset;
        // SAFETY: a guarded access; whatever is there, the branch is the last thing that is done.
        attempt(|| unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) })
    }) else {
        fail!("expected room for one more GiB in the map, seen none")
    };
    match seen {
        Err(fault)
            if fault.class() == EC_INSTRUCTION_ABORT
                && fault.far == window + offset
                && fault.esr & IFSC == EXTERNAL =>
        {
            say!("a fetch from the UART at {uart:#x} ended in an external abort");
            Ok(())
        }
        seen => fail!(
            "fetch from the UART at {uart:#x}, mapped at {window:#x}: expected an external abort, seen {seen:x?}"
        ),
    }
}
