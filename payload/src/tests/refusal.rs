// SPDX-License-Identifier: Apache-2.0
//! `test=refusal`: how long a request takes that is refused, while all other CPUs are in the state of `state=`.
//! `calls=` times, a line for each. `make bench` reads them: under `-icount shift=0` a nanosecond is an
//! instruction, whichever CPU's.

use super::cost::measure;
use crate::arena::PAGE;
use crate::call::{self, code};
use crate::context::Context;
use crate::outcome::{Outcome, expect};
use crate::states::{self, Wanted};
use crate::{gic, kexec};
use baton_abi::{IND_DESTINATION, IND_DONE, KEXEC};

/// Returns the arguments of a KEXEC with a list that is good but for its end: its last destination is not on a
/// page.
pub fn arguments(context: &Context) -> Outcome<[u64; 3]> {
    let Context {
        arena,
        cpus,
        generation,
        options,
        ..
    } = context;
    let good = kexec::prepare(context, cpus.boot, 0)?;
    let mut list = kexec::ListWriter::new(*arena, good.next_page);
    list.push_copy(arena.slot(generation + 1), arena.kept(), PAGE)?;
    kexec::push_filler(&mut list, context.machine, options.list)?;
    list.push((arena.moved() + 8) | IND_DESTINATION)?;
    list.push(IND_DONE)?;
    Ok([list.finish()?, good.entry, good.tree])
}

/// Asks so, and expects a refusal.
pub fn ask(arguments: [u64; 3]) -> Outcome {
    let answer = call::vendor(KEXEC, arguments);
    expect("KEXEC", code::INVALID_PARAMETERS, answer)
}

/// Asks with such a list.
pub fn run(context: &Context) -> Outcome {
    let Context {
        arena,
        cpus,
        generation,
        options,
        ..
    } = context;
    let arguments = arguments(context)?;
    cpus.bring_up(cpus.others())?;
    if let Some(gic) = &context.machine.gic {
        gic::init(gic, cpus.all)?;
    }
    states::clear_since(*arena, cpus)?;
    let wanted = options.state.map_or(Wanted::Mix, Wanted::One);
    states::spread(cpus.others(), *generation, wanted, arena.moved())?;
    for _ in 0..options.calls {
        measure("refusal", 1, || ask(arguments))?;
    }
    Ok(())
}
