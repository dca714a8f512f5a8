// SPDX-License-Identifier: Apache-2.0
//! Any CPU that firmware starts or wakes for us, or that comes from a spin table.

use super::configure::configure;
use crate::arch::barrier;
use crate::exit::run;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::vcpu::frame::Frame;
use baton_core::memory::geometry::TooFewBits;
use baton_core::smp::on_off;

/// Called by `head.S` with the MMU on, on the CPU's own stack, which has `frame` at its top. Returns
/// when the CPU begins in the guest, as `frame` then says.
#[unsafe(no_mangle)]
extern "C" fn boot_secondary(cpu: &'static Cpu, frame: *mut Frame) {
    let Some(machine) = Machine::installed() else {
        panic!("cpu {} comes before the machine is installed", cpu.index);
    };
    configure(machine, cpu);
    if let Err(error) = machine.generations.fit_this_cpu() {
        refuse(machine, cpu, &error);
    }
    if cpu.in_spin_table {
        cpu.power.park_unless_claimed();
    }
    let mut begins = Frame::beginning_at(0, 0);
    run::run(machine, cpu, Next::Park, &mut begins);
    // SAFETY: It is memory of this CPU's stack that nothing else is in.
    unsafe { frame.write(begins) }
}

/// The guest goes on without this CPU.
fn refuse(machine: &Machine, cpu: &Cpu, error: &TooFewBits) -> ! {
    log::error!("cpu {}: {error}; it stays OFF", cpu.index);
    if !cpu.in_spin_table {
        on_off::refuse(machine, cpu);
    }
    barrier::halt()
}
