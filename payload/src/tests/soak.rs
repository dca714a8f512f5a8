// SPDX-License-Identifier: Apache-2.0
//! `test=soak`: reboots again and again, each time with CPUs in other states, and looks at memory that
//! nobody writes.

use super::kexec;
use crate::arena::SENTINEL;
use crate::console::say;
use crate::context::Context;
use crate::options::Caller;
use crate::outcome::{Outcome, ensure};
use crate::pattern;
use crate::states::Wanted;

/// What generation 0 fills the sentinel with.
const SEED: u64 = 0x736f_616b;

/// Checks the sentinel, and goes on as `test=kexec` does, by chance.
pub fn run(context: &Context) -> Outcome {
    let at = context.arena.sentinel();
    let mut handover = context.handover;
    // SAFETY: the sentinel is the arena's, and nobody else writes it.
    let sum = || unsafe { pattern::checksum(at, at + SENTINEL) };
    if context.generation == 0 {
        // SAFETY: as above.
        unsafe { pattern::fill(at, SENTINEL, SEED, 0) };
        handover.sentinel = sum();
    }
    let (expected, seen) = (handover.sentinel, sum());
    ensure!(
        expected == seen,
        "checksum of memory that nobody writes: expected {expected:#x}, seen {seen:#x}"
    );
    say!("sentinel intact: {seen:#x}");
    let seed = pattern::word(context.options.seed, context.generation);
    let caller = match seed >> 8 & 3 {
        0 => Caller::Last,
        1 => Caller::Two,
        _ => Caller::Boot,
    };
    kexec::go_on(
        &Context {
            handover,
            ..*context
        },
        Wanted::Random(seed),
        caller,
    )
}
