//! The probe: a bare-metal guest at EL1 that tries the monitor.
//!
//! A flat binary, entered at its first byte with x0 = device tree, MMU and caches off. Its console
//! lines begin with `probe: `, and the last one says `PASS` or `FAIL` with what was expected and
//! what was seen. `/chosen/bootargs` says what to do: see [`options`] for the words and [`tests`]
//! for the tests. Nothing here is for a host: it is empty there.
#![no_std]
#![cfg(target_os = "none")]
#![expect(
    clippy::result_large_err,
    reason = "a failure carries its text, there is no heap, and it ends the run"
)]

/// The monitor's own file: its library has code for EL2 that a guest has no use for.
#[path = "../../src/abi.rs"]
#[allow(dead_code, reason = "not all of it is of use here")]
mod abi;
mod arena;
mod arrival;
mod audit;
mod call;
mod console;
mod cpu;
mod entry;
mod exception;
mod gic;
mod handover;
mod heap;
mod hints;
mod kexec;
mod list;
mod mmio;
mod mmu;
mod monitor;
mod options;
mod outcome;
mod pattern;
mod report;
mod states;
mod tests;
mod time;
mod tree;

use crate::arena::Arena;
use crate::console::say;
use crate::cpu::Cpus;
use crate::handover::Handover;
use crate::options::Options;
use crate::outcome::{Outcome, fail_and_stop, pass_and_stop};
use crate::tests::Context;
use crate::tree::Machine;

/// Where `start.S` goes, with the MMU on, on the boot CPU: `x0` as the image was entered with.
extern "C" fn probe_main(x0: u64) -> ! {
    match run(x0) {
        Ok(()) => pass_and_stop(),
        Err(failure) => fail_and_stop(format_args!("{failure}")),
    }
}

fn run(x0: u64) -> Outcome {
    let Some(fdt) = tree::find(x0) else {
        // Without a device tree there is neither a console nor a way to power off.
        loop {
            hints::wait_for_interrupt();
        }
    };
    if let Some(uart) = tree::console(fdt) {
        console::init(uart);
    }
    let handover = Handover::read();
    let generation = handover.generation;
    let machine = Machine::read(fdt)?;
    call::set_psci_conduit(machine.psci);
    monitor::set_memory(machine.monitor().unwrap_or_default().0);
    let own = cpu::own_mpidr();
    let count = machine.cpus.len();
    say!("generation {generation} on CPU {own:#x} (MPIDR), {count} CPUs in the tree");
    mmu::init(&machine);
    time::init_event_stream();
    let options = Options::parse(machine.bootargs)?;
    let arena = match generation {
        0 => Arena::pick(&machine)?,
        _ => Arena(handover.arena),
    };
    arena.make_running();
    let cpus = Cpus::new(&machine, arena.stacks())?;
    if let Some(gic) = &machine.gic {
        gic::v2::set(gic);
        gic::v2::learn(cpus.boot);
    }
    let context = Context {
        machine: &machine,
        options: &options,
        cpus,
        arena,
        handover,
        generation,
    };
    (options.test.run)(&context)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    fail_and_stop(format_args!("no panic expected, seen {info}"))
}
