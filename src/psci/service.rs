//! The guest's PSCI calls: PSCI 1.1, answered as firmware would.

use super::decode::{Request, decode, is_denied, is_mandatory};
use super::{cpu, firmware, system};
use crate::cpu::Cpu;
use crate::exit::Frame;
use arm_psci::{ErrorCode, Function, PsciFeature};

/// What PSCI_VERSION says: 1.1.
const VERSION: u64 = 1 << 16 | 1;
/// Function ids that return 64 bits.
const SMC64: u64 = 1 << 30;

/// What a call returns in x0, if it returns.
pub type Answer = Result<u64, ErrorCode>;

/// Answers the PSCI call in `frame`.
pub fn call(cpu: &'static Cpu, frame: &mut Frame) {
    let arguments = [frame.x[0], frame.x[1], frame.x[2], frame.x[3]];
    let code = match answer(cpu, &arguments) {
        Ok(value) => value,
        Err(error) => i64::from(i32::from(error)) as u64,
    };
    frame.x[0] = if arguments[0] & SMC64 == 0 {
        u64::from(code as u32)
    } else {
        code
    };
}

fn answer(cpu: &'static Cpu, arguments: &[u64; 4]) -> Answer {
    let function = match decode(arguments, |id| firmware::features(id.into()).is_some())? {
        Request::Suspend {
            power_state,
            entry,
            context,
        } => return cpu::suspend(cpu, power_state, entry, context),
        Request::Pass => return Ok(pass(arguments)),
        Request::Here(function) => function,
    };
    match function {
        Function::Version => Ok(VERSION),
        Function::Features { psci_func_id } => features(psci_func_id),
        Function::CpuOn { target_cpu, entry } => cpu::on(cpu, target_cpu.into(), entry),
        Function::CpuOff => crate::cpu::off(cpu),
        Function::AffinityInfo {
            mpidr,
            lowest_affinity_level,
        } => cpu::affinity_info(mpidr.into(), lowest_affinity_level),
        Function::SystemOff => system::off(),
        Function::SystemReset => system::reset(),
        Function::SystemReset2 { .. } => system::reset2(arguments),
        Function::SystemSuspend { entry } => system::suspend(cpu, entry),
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
