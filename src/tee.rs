// SPDX-License-Identifier: Apache-2.0
//! The guest's calls of a trusted OS (`tee=forward`): OP-TEE's.

use crate::firmware::Firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::vcpu::frame::Frame;
use baton_core::smccc::NOT_SUPPORTED;
use baton_core::tee::call::{Action, action, offered};
use baton_core::tee::mediator::Registers;
use smccc::Call;

/// Answers the call in `frame`, with OP-TEE's help where it is harmless.
pub fn call(machine: &Machine, cpu: &Cpu, frame: &mut Frame) {
    let Some(mediator) = &machine.tee else {
        frame.x[0] = NOT_SUPPORTED;
        return;
    };
    let [a0, a1, a2, a3, a4, a5, a6, ..] = frame.x;
    // The client's id is a hypervisor's to give, and there is one client.
    let given = [a0, a1, a2, a3, a4, a5, a6, 0];
    let rendezvous = &machine.takeover.rendezvous;
    let generation = cpu.member.generation();
    let is_over = || rendezvous.is_over(&cpu.member);
    let returned = match action(given[0] as u32) {
        Action::Forward => smc(given),
        Action::Capabilities => {
            let [a0, a1, a2, a3, ..] = smc(given);
            let [a0, a1, a2, a3] = offered([a0, a1, a2, a3]);
            [a0, a1, a2, a3, 0, 0, 0, 0]
        }
        Action::Begin => mediator.begin(&machine.ram, generation, given, smc, is_over),
        Action::Resume => mediator.resume(&machine.ram, generation, given, smc, is_over),
        Action::Answer(status) => [status, 0, 0, 0, 0, 0, 0, 0],
        Action::Unknown => {
            frame.x[0] = NOT_SUPPORTED;
            return;
        }
    };
    frame.x[..returned.len()].copy_from_slice(&returned);
}

/// Calls OP-TEE. It comes back for each interrupt that is not its own, so that no guest, and no takeover,
/// waits for it.
fn smc([function, arguments @ ..]: Registers) -> Registers {
    let mut registers = [0; 17];
    registers[..arguments.len()].copy_from_slice(&arguments);
    let [a0, a1, a2, a3, a4, a5, a6, a7, ..] = Firmware::call64(function as u32, registers);
    [a0, a1, a2, a3, a4, a5, a6, a7]
}
