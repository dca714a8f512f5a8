// SPDX-License-Identifier: Apache-2.0
//! Which function a call is, and who answers it.

use super::answer::Answer;
use super::{cpu, suspend_mode, system};
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::vcpu::frame::Frame;
use arm_psci::{EntryPoint, ErrorCode, Function, PsciFeature};
use baton_core::psci::decode::{Request, decode, is_denied, is_mandatory};
use baton_core::smccc::error_answer;
use baton_core::smp::on_off::{self, NotOn};
use baton_core::smp::power::Start;

/// What PSCI_VERSION says: 1.1.
const VERSION: u64 = 1 << 16 | 1;

/// Answers the PSCI call in `frame`.
pub fn call(machine: &Machine, cpu: &Cpu, frame: &mut Frame) -> Next {
    let request = decode(&arguments(frame), |id| {
        firmware::features(id.into()).is_some()
    });
    if let Ok(Request::Here(Function::CpuOff)) = request {
        on_off::off(machine, cpu);
        return Next::Park;
    }
    if let Ok(Request::Here(Function::CpuOn { target_cpu, entry })) = request {
        return turn_on(machine, cpu, frame, target_cpu.into(), entry);
    }
    if let Ok(Request::Here(
        Function::SystemOff | Function::SystemReset | Function::SystemReset2 { .. },
    )) = request
    {
        // A kernel's own call, or that of firmware's runtime services below it.
        let (index, id, elr) = (cpu.index, frame.x[0], frame.elr);
        log::debug!("cpu {index}: call {id:#x} at {elr:#x}");
    }
    let answer = request.and_then(|request| answer(machine, cpu, frame, request));
    frame.x[0] = answer.unwrap_or_else(error_answer);
    Next::Resume
}

/// The function's id and its arguments.
fn arguments(frame: &Frame) -> [u64; 4] {
    [frame.x[0], frame.x[1], frame.x[2], frame.x[3]]
}

fn turn_on(
    machine: &Machine,
    cpu: &Cpu,
    frame: &mut Frame,
    target: u64,
    entry: EntryPoint,
) -> Next {
    frame.x[0] = match cpu::on(machine, cpu, target, entry) {
        Ok(()) => 0,
        Err(NotOn::Refused(error)) => error_answer(error),
        Err(NotOn::TakenOver) => {
            frame.repeat_call();
            return Next::Join;
        }
    };
    Next::Resume
}

fn answer(machine: &Machine, cpu: &Cpu, frame: &Frame, request: Request) -> Answer {
    let arguments = &arguments(frame);
    let function = match request {
        Request::Suspend {
            power_state,
            entry,
            context,
        } => {
            let start = Start { entry, context };
            return cpu::suspend(machine, cpu, frame, power_state, start);
        }
        Request::Pass => return Ok(pass(arguments)),
        Request::Here(function) => function,
    };
    match function {
        Function::Version => Ok(VERSION),
        Function::Features { psci_func_id } => features(psci_func_id),
        Function::AffinityInfo {
            mpidr,
            lowest_affinity_level,
        } => cpu::affinity_info(machine, mpidr.into(), lowest_affinity_level),
        Function::SystemOff => system::off(machine),
        Function::SystemReset => system::reset(machine),
        Function::SystemReset2 { .. } => system::reset2(machine, arguments),
        Function::SetSuspendMode { mode } => suspend_mode::set(machine, cpu, mode),
        Function::SystemSuspend { entry } => system::suspend(machine, cpu, entry),
        _ => Err(ErrorCode::NotSupported),
    }
}

fn features(function: PsciFeature) -> Answer {
    match function {
        PsciFeature::SmcccVersion => Ok(0),
        PsciFeature::PsciFunction(id) if is_mandatory(id) => Ok(0),
        PsciFeature::PsciFunction(id) if is_denied(id) => Err(ErrorCode::NotSupported),
        PsciFeature::PsciFunction(id) => firmware::features(id.into())
            .map(u64::from)
            .ok_or(ErrorCode::NotSupported),
    }
}

/// What firmware answers, as it is.
fn pass(arguments: &[u64; 4]) -> u64 {
    firmware::pass(arguments[0], [arguments[1], arguments[2], arguments[3]])
}
