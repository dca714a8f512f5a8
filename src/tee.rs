// SPDX-License-Identifier: Apache-2.0
//! The guest's calls of a trusted OS (`tee=forward`): OP-TEE's.

use crate::firmware::Firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::vcpu::frame::Frame;
use baton_core::smccc::NOT_SUPPORTED;
use baton_core::smp::phases::{self, Joined};
use baton_core::tee::call::{Action, action, offered};
use baton_core::tee::mediator::Registers;
use smccc::Call;

/// Answers the call in `frame`, with OP-TEE's help where it is harmless.
///
/// The call of a kernel that is over meanwhile has no results; one whose request was refused gets them when
/// it goes on.
pub fn call(machine: &Machine, cpu: &Cpu, frame: &mut Frame) -> Next {
    let Some(mediator) = &machine.tee else {
        frame.x[0] = NOT_SUPPORTED;
        return Next::Resume;
    };
    let [a0, a1, a2, a3, a4, a5, a6, ..] = frame.x;
    // The client's id is a hypervisor's to give, and there is one client.
    let given = [a0, a1, a2, a3, a4, a5, a6, 0];
    let rendezvous = &machine.takeover.rendezvous;
    let kernel = machine.takeover.reboots();
    if rendezvous.is_over(&cpu.member) {
        frame.repeat_call();
        return Next::Join;
    }
    let mut taken = false;
    let is_over = || {
        taken = rendezvous.is_over(&cpu.member) && phases::join(machine, cpu) == Joined::Parked;
        taken
    };
    let returned = match action(given[0] as u32) {
        Action::Forward => smc(given),
        Action::Capabilities => {
            let [a0, a1, a2, a3, ..] = smc(given);
            let [a0, a1, a2, a3] = offered([a0, a1, a2, a3]);
            [a0, a1, a2, a3, 0, 0, 0, 0]
        }
        Action::Begin => mediator.begin(&machine.ram, kernel, given, smc, is_over),
        Action::Resume => mediator.resume(&machine.ram, kernel, given, smc, is_over),
        Action::Answer(status) => [status, 0, 0, 0, 0, 0, 0, 0],
        Action::Unknown => {
            frame.x[0] = NOT_SUPPORTED;
            return Next::Resume;
        }
    };
    if taken {
        return Next::Park;
    }
    frame.x[..returned.len()].copy_from_slice(&returned);
    Next::Resume
}

/// Calls OP-TEE. It comes back for each interrupt that is not its own, so that no guest, and no takeover,
/// waits for it.
fn smc([function, arguments @ ..]: Registers) -> Registers {
    let mut registers = [0; 17];
    registers[..arguments.len()].copy_from_slice(&arguments);
    let [a0, a1, a2, a3, a4, a5, a6, a7, ..] = Firmware::call64(function as u32, registers);
    [a0, a1, a2, a3, a4, a5, a6, a7]
}
