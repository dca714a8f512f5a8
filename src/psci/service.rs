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
    // The two formats of power_state are told apart in `cpu`, not by the decoder.
    if let FunctionId::CpuSuspend32 | FunctionId::CpuSuspend64 = id {
        let wide = id == FunctionId::CpuSuspend64;
        let [entry, context] =
            [arguments[2], arguments[3]].map(|x| if wide { x } else { u64::from(x as u32) });
        return cpu::suspend(cpu, arguments[1] as u32, entry, context);
    }
    match Function::try_from(arguments).map_err(|error| undecodable(id, error))? {
        Function::Version => Ok(VERSION),
        Function::Features { psci_func_id } => features(psci_func_id),
        Function::CpuOn { target_cpu, entry } => cpu::on(target_cpu.into(), entry),
        Function::CpuOff => crate::cpu::off(cpu),
        Function::AffinityInfo {
            mpidr,
            lowest_affinity_level,
        } => cpu::affinity_info(mpidr.into(), lowest_affinity_level),
        Function::SystemOff => system::off(),
        Function::SystemReset => system::reset(),
        Function::SystemReset2 { .. } => system::reset2(arguments),
        Function::SystemSuspend { entry } => system::suspend(cpu, entry),
        // Firmware would start the CPU at an address of the guest, at EL2.
        Function::CpuDefaultSuspend { .. } | Function::CpuFreeze => Err(ErrorCode::NotSupported),
        // Firmware's hibernation does not know of the monitor.
        Function::SystemOff2 { .. } => Err(ErrorCode::NotSupported),
        Function::CpuSuspend { .. } => Err(ErrorCode::NotSupported),
        Function::Migrate { .. }
        | Function::MigrateInfoType
        | Function::MigrateInfoUpCpu { .. }
        | Function::MemProtect { .. }
        | Function::MemProtectCheckRange { .. }
        | Function::NodeHwState { .. }
        | Function::SetSuspendMode { .. }
        | Function::StatResidency { .. }
        | Function::StatCount { .. } => Ok(pass(arguments)),
    }
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
    let id = match function {
        PsciFeature::SmcccVersion => return Ok(0),
        PsciFeature::PsciFunction(id) => id,
    };
    match id {
        FunctionId::PsciVersion
        | FunctionId::PsciFeatures
        | FunctionId::CpuOn32
        | FunctionId::CpuOn64
        | FunctionId::CpuOff
        | FunctionId::AffinityInfo32
        | FunctionId::AffinityInfo64
        | FunctionId::SystemOff
        | FunctionId::SystemReset => Ok(0),
        FunctionId::CpuDefaultSuspend32
        | FunctionId::CpuDefaultSuspend64
        | FunctionId::CpuFreeze
        | FunctionId::SystemOff232
        | FunctionId::SystemOff264 => Err(ErrorCode::NotSupported),
        _ => {
            let flags = firmware::features(id.into()).ok_or(ErrorCode::NotSupported)?;
            Ok(u64::from(flags))
        }
    }
}

/// What firmware answers, as it is.
fn pass(arguments: &[u64; 4]) -> u64 {
    firmware::pass(arguments[0], [arguments[1], arguments[2], arguments[3]])
}
