// SPDX-License-Identifier: Apache-2.0
//! `test=far-memory`: uses memory beyond 512 GiB, which one table of level 1 does not cover, and the
//! monitor's, which must be missing there too.

use crate::console::say;
use crate::context::Context;
use crate::exception::attempt;
use crate::mmio::{read64, write64};
use crate::mmu::{self, NORMAL};
use crate::outcome::{Outcome, ensure, fail};

const BLOCK: u64 = 2 << 20;
const VALUE: u64 = 0x0123_4567_89ab_cdef;

/// The first block beyond, the one below the monitor, and the monitor's first.
pub fn run(context: &Context) -> Outcome {
    let Some((monitor, _)) = context.machine.monitor() else {
        fail!("expected a no-map node in /reserved-memory, seen none")
    };
    ensure!(
        !mmu::covers(monitor),
        "expected the monitor beyond 512 GiB, seen {monitor:#x}"
    );
    for block in [mmu::END, monitor - BLOCK] {
        let seen = value_in(context, block)?;
        ensure!(
            seen == Ok(VALUE),
            "memory at {block:#x}: expected {VALUE:#x}, seen {seen:x?}"
        );
    }
    let seen = value_in(context, monitor)?;
    ensure!(
        seen.is_err(),
        "the monitor's memory at {monitor:#x}: expected an abort, seen {seen:x?}"
    );
    say!("memory is there from {:#x} to {monitor:#x}", mmu::END);
    Ok(())
}

/// Stores to a block by way of a GiB that is mapped to it, and loads it again; `Err` has the class of an abort.
fn value_in(context: &Context, block: u64) -> Outcome<Result<u64, u64>> {
    let table = context.arena.scratch(0);
    write64(table, block | NORMAL);
    let used = mmu::through(0, table, |window| {
        attempt(|| write64(window, VALUE)).map(|()| read64(window))
    });
    match used {
        Some((_, seen)) => Ok(seen.map_err(|fault| fault.class())),
        None => fail!("expected room for one more GiB in the map, seen none"),
    }
}
