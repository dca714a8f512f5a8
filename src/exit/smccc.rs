// SPDX-License-Identifier: Apache-2.0
//! SMCCC calls (DEN0028): who answers which.

use crate::firmware::Firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::vcpu::frame::Frame;
use crate::{baton_calls, kexec_hooks, psci};
use arm_psci::ErrorCode;
use smccc::Call;

/// The instruction that made the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// HVC #0.
    Hvc,
    /// SMC #0.
    Smc,
}

const SMCCC_VERSION: u32 = 0x8000_0000;
const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
/// Version 1.1 as SMCCC_VERSION says it.
const SMCCC_1_1: u64 = 1 << 16 | 1;

/// In a function id: the caller has no SVE state that must be kept (DEN0028, from version 1.3).
/// Linux 5.14 to 6.12 sets it in its calls of PSCI too.
const SVE_HINT: u64 = 1 << 16;

/// Owning entities (DEN0028, service call ranges).
mod owner {
    pub const ARCH: u32 = 0;
    pub const CPU: u32 = 1;
    pub const SIP: u32 = 2;
    pub const OEM: u32 = 3;
    pub const STANDARD_SECURE: u32 = 4;
    pub const VENDOR_HYPERVISOR: u32 = 6;
}

/// Function numbers of the standard secure service that are PSCI's (DEN0022).
const PSCI: core::ops::RangeInclusive<u32> = 0x00..=0x1f;
/// Those that give the guest nothing but data: TRNG (DEN0098) and PCI configuration (DEN0115).
/// SDEI would have firmware call into EL2; FF-A, RMI and trusted OSes are told of memory by
/// address, and would touch the monitor's for the guest.
const HARMLESS: [core::ops::RangeInclusive<u32>; 2] = [0x50..=0x5f, 0x130..=0x13f];

/// Answers the call in `frame`.
pub fn dispatch(machine: &Machine, cpu: &Cpu, frame: &mut Frame, conduit: Conduit) -> Next {
    // Without the hint firmware saves more than it need, and no function has a second id.
    frame.x[0] &= !SVE_HINT;
    // Only a kernel with its MMU on can be looked at; its first call after that is the moment.
    kexec_hooks::patch_if_due(machine, cpu, frame.x[0]);
    let function = frame.x[0] as u32;
    let number = function & 0xffff;
    match function >> 24 & 0x3f {
        owner::STANDARD_SECURE if PSCI.contains(&number) => return psci::call(machine, cpu, frame),
        owner::STANDARD_SECURE if !HARMLESS.iter().any(|range| range.contains(&number)) => {
            frame.x[0] = not_supported(function);
        }
        owner::VENDOR_HYPERVISOR if conduit == Conduit::Hvc => {
            return baton_calls::call(machine, cpu, frame);
        }
        owner::ARCH if function == SMCCC_VERSION => frame.x[0] = smccc_version(),
        owner::ARCH if function == SMCCC_ARCH_FEATURES => {
            frame.x[0] = arch_features(frame.x[1] as u32);
        }
        owner::ARCH | owner::CPU | owner::SIP | owner::OEM | owner::STANDARD_SECURE => {
            forward(frame);
        }
        _ => frame.x[0] = not_supported(function),
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
    known.unwrap_or_else(|| not_supported(SMCCC_ARCH_FEATURES))
}

/// NOT_SUPPORTED, as wide as the call's results are.
fn not_supported(function: u32) -> u64 {
    let code = i32::from(ErrorCode::NotSupported);
    if function & 1 << 30 == 0 {
        u64::from(code as u32)
    } else {
        code as u64
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
