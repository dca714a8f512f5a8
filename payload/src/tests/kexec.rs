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
    let mut prepared = kexec::prepare(context)?;
    let up = cpus.others().filter(|cpu| cpu.entered.load(Relaxed) > 0);
    states::spread(up.clone(), context.generation)?;
    say!("{} CPUs are in their states, rebooting", up.count());
    prepared.go()
}
