// SPDX-License-Identifier: Apache-2.0
//! SMCCC calls (DEN0028): each to who answers it.

use crate::firmware::Firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::vcpu::frame::Frame;
use crate::{baton_calls, kexec_hooks, psci, tee};
use arm_psci::ErrorCode;
use baton_core::management_mode;
use baton_core::smccc::{
    Conduit, NOT_SUPPORTED, SMCCC_ARCH_FEATURES, SMCCC_VERSION, SVE_HINT, Service, error_answer,
    service,
};
use core::iter;
use smccc::Call;

/// Version 1.1 as SMCCC_VERSION says it.
const SMCCC_1_1: u64 = 1 << 16 | 1;

/// Answers the call in `frame`.
pub fn dispatch(machine: &Machine, cpu: &Cpu, frame: &mut Frame, conduit: Conduit) -> Next {
    // Without the hint firmware saves more than it need, and no function has a second id.
    frame.x[0] &= !SVE_HINT;
    // Only a kernel with its MMU on can be looked at; its first call after that is the moment.
    kexec_hooks::patch_if_due(machine, cpu, frame);
    match service(frame.x[0] as u32, conduit) {
        Service::Psci => return psci::call(machine, cpu, frame),
        Service::Baton => return baton_calls::call(machine, cpu, frame),
        Service::Version => frame.x[0] = smccc_version(),
        Service::ArchFeatures => frame.x[0] = arch_features(frame.x[1] as u32),
        Service::Firmware => forward(frame),
        Service::ManagementMode => communicate(machine, cpu, frame),
        Service::TrustedOs => return tee::call(machine, cpu, frame),
        Service::NotSupported => frame.x[0] = NOT_SUPPORTED,
    }
    Next::Resume
}

/// The version of the calling convention: firmware's, and 1.1 at least, which the monitor has.
fn smccc_version() -> u64 {
    smccc::arch::version::<Firmware>().map_or(SMCCC_1_1, |version| {
        u64::from(u32::from(version)).max(SMCCC_1_1)
    })
}

/// Whether there is the architecture call `function` (DEN0028, SMCCC_ARCH_FEATURES).
fn arch_features(function: u32) -> u64 {
    let known = if let SMCCC_VERSION | SMCCC_ARCH_FEATURES = function {
        Some(0)
    } else if smccc::arch::version::<Firmware>().is_ok() {
        smccc::arch::features::<Firmware>(function)
            .ok()
            .map(u64::from)
    } else {
        None
    };
    known.unwrap_or(NOT_SUPPORTED)
}

/// Hands MM_COMMUNICATE to firmware, if its message reaches nothing that the guest cannot write itself; else
/// refuses it with a line on the console.
fn communicate(machine: &Machine, cpu: &Cpu, frame: &mut Frame) {
    let withheld = iter::once(machine.monitor).chain(machine.gic.guarded());
    match management_mode::check(frame.x[0] as u32, &mut frame.x, withheld) {
        Ok(()) => forward(frame),
        Err(error) => {
            let index = cpu.index;
            log::log!(cpu.exits.complaint(), "cpu {index}: refused: {error}");
            frame.x[0] = error_answer(ErrorCode::InvalidParameters);
        }
    }
}

/// Hands the call to firmware, all of its registers as they are.
fn forward(frame: &mut Frame) {
    let [function, arguments @ ..] = &frame.x[..18] else {
        return;
    };
    let mut registers = [0; 17];
    registers.copy_from_slice(arguments);
    let results = Firmware::call64(*function as u32, registers);
    frame.x[..18].copy_from_slice(&results);
}
