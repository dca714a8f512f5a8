// SPDX-License-Identifier: Apache-2.0
//! What a generation does from its first line of Rust to its last.

use crate::arena::Arena;
use crate::console::say;
use crate::context::Context;
use crate::cpus::Cpus;
use crate::finish::{fail_and_stop, pass_and_stop};
use crate::handover::Handover;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::{call, console, cpu, firmware_tables, gic, hints, mmu, monitor, tests, time, tree};
use baton_core::devicetree::uefi::is_stub;

/// Where `start.S` goes, with the MMU on, on the boot CPU: `x0` as the image was entered with.
pub extern "C" fn probe_main(x0: u64) -> ! {
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
    let by_firmware = is_stub(&fdt);
    let uart = match by_firmware {
        true => firmware_tables::console(fdt),
        false => tree::console(fdt),
    };
    if let Some(uart) = uart {
        console::init(uart);
    }
    let handover = Handover::read();
    let generation = handover.generation;
    let machine = match by_firmware {
        true => firmware_tables::read(fdt)?,
        false => tree::read(fdt)?,
    };
    call::set_psci_conduit(machine.psci);
    monitor::set_memory(machine.monitor().unwrap_or_default().0);
    let own = cpu::own_mpidr();
    let count = machine.cpus.len();
    say!("generation {generation} on CPU {own:#x} (MPIDR), {count} CPUs in the tree");
    mmu::init(&machine);
    time::init_event_stream();
    let options = Options::parse(machine.bootargs)?;
    let test = tests::find(options.test)?;
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
    (test.run)(&context)
}
