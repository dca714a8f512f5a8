//! `test=kexec`: reboots into a copy of itself with its CPUs in all kinds of states.

use super::Context;
use crate::console::say;
use crate::cpu::Cpu;
use crate::entry::BOOT_STATE;
use crate::outcome::Outcome;
use crate::{arrival, kexec, states};
use core::sync::atomic::Ordering::Relaxed;

/// CPUs with this index modulo 8 are never started by generation 0.
const NEVER_STARTED: usize = 7;

/// Spreads the CPUs and reboots, until the wanted generation is there.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    if context.generation == 0 {
        arrival::check_entry_state(cpus.boot, BOOT_STATE.get())?;
        let boot = cpus.boot;
        let started = cpus
            .all
            .iter()
            .enumerate()
            .filter(|(n, _)| n % 8 != NEVER_STARTED);
        let started = started.map(|(_, cpu): (usize, &'static Cpu)| cpu);
        cpus.bring_up(started.filter(move |cpu| !core::ptr::eq(*cpu, boot)))?;
    } else {
        arrival::check(context)?;
    }
    if context.generation >= context.options.generations {
        return Ok(());
    }
    let up = cpus.others().filter(|cpu| cpu.entered.load(Relaxed) > 0);
    let caller = if context.options.last_calls {
        up.clone().last()
    } else {
        None
    };
    let mut prepared = kexec::prepare(context, caller.unwrap_or(cpus.boot))?;
    let spread = up.filter(|cpu| caller.is_none_or(|caller| !core::ptr::eq(*cpu, caller)));
    states::spread(spread.clone(), context.generation, context.arena.moved())?;
    say!("{} CPUs are in their states, rebooting", spread.count());
    match caller {
        Some(caller) => prepared.go_from(caller),
        None => prepared.go(),
    }
}
