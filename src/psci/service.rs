//! The guest's PSCI calls: PSCI 1.1, answered as firmware would.

use super::{cpu, firmware, system};
use crate::cpu::Cpu;
use crate::exit::Frame;
use arm_psci::{ErrorCode, Function, FunctionId, PsciFeature};

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
    let id = FunctionId::try_from(arguments[0] as u32).map_err(|_| ErrorCode::NotSupported)?;
    match id {
        // The two formats of power_state are told apart in `cpu`, not by the decoder.
        FunctionId::CpuSuspend32 | FunctionId::CpuSuspend64 => {
            let wide = id == FunctionId::CpuSuspend64;
            let [entry, context] =
                [arguments[2], arguments[3]].map(|x| if wide { x } else { u64::from(x as u32) });
            return cpu::suspend(cpu, arguments[1] as u32, entry, context);
        }
        _ if is_denied(id) => return Err(ErrorCode::NotSupported),
        _ if !is_answered_here(id) => return Ok(pass(arguments)),
        _ if is_mandatory(id) => {}
        _ if firmware::features(id.into()).is_none() => return Err(ErrorCode::NotSupported),
        _ => {}
    }
    match Function::try_from(arguments).map_err(|error| undecodable(id, error))? {
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

/// Functions that firmware must not be asked for on behalf of the guest: it would start the CPU at
/// an address of the guest, at EL2, or hibernate a machine whose monitor it does not know.
fn is_denied(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::CpuDefaultSuspend32
            | FunctionId::CpuDefaultSuspend64
            | FunctionId::CpuFreeze
            | FunctionId::SystemOff232
            | FunctionId::SystemOff264
    )
}

/// Functions that the monitor answers itself, and so offers whatever firmware has.
fn is_mandatory(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::PsciVersion
            | FunctionId::PsciFeatures
            | FunctionId::CpuOn32
            | FunctionId::CpuOn64
            | FunctionId::CpuOff
            | FunctionId::AffinityInfo32
            | FunctionId::AffinityInfo64
            | FunctionId::SystemOff
            | FunctionId::SystemReset
    )
}

/// Functions that do not go to firmware as they stand; all others touch nothing of the monitor's.
fn is_answered_here(id: FunctionId) -> bool {
    is_mandatory(id)
        || matches!(
            id,
            FunctionId::SystemReset232
                | FunctionId::SystemReset264
                | FunctionId::SystemSuspend32
                | FunctionId::SystemSuspend64
        )
}

/// Arguments that do not decode are invalid, but for functions that PSCI_FEATURES does not know.
fn undecodable(id: FunctionId, error: arm_psci::Error) -> ErrorCode {
    match (id, error) {
        (FunctionId::PsciFeatures, _) | (_, arm_psci::Error::UnrecognisedFunctionId(_)) => {
            ErrorCode::NotSupported
        }
        _ => ErrorCode::InvalidParameters,
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
