// SPDX-License-Identifier: Apache-2.0
//! The two sources of a takeover: Linux's own kexec, and the KEXEC call.

use super::platform;
use crate::arch::time;
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::machine::request::{InvalidRequest, KexecRequest};
use arm_psci::ErrorCode;
use baton_core::devicetree::next_tree::Needs;
use core::sync::atomic::Ordering::Relaxed;
use thiserror::Error;

/// Why a request is refused: nothing has been stopped.
#[derive(Clone, Debug, Error)]
pub enum Refusal {
    /// Another CPU's request came first.
    #[error("another CPU is rebooting the machine")]
    Busy,
    /// The request is not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
}

impl Refusal {
    /// Returns what the KEXEC call answers.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::Denied,
            Self::Invalid(InvalidRequest::Kimage(_)) => ErrorCode::InvalidParameters,
            Self::Invalid(InvalidRequest::Plan(error)) if error.is_address() => {
                ErrorCode::InvalidAddress
            }
            Self::Invalid(
                InvalidRequest::Plan(_)
                | InvalidRequest::Tree(_)
                | InvalidRequest::Map(_)
                | InvalidRequest::TreeSize(_),
            ) => ErrorCode::InvalidParameters,
        }
    }
}

/// `cpu` asks for the next kernel: takes all other CPUs and loads it, and returns where `cpu` enters
/// it.
///
/// # Errors
///
/// [`Refusal`]: the guest goes on as if nothing had been.
pub fn kexec(machine: &Machine, cpu: &Cpu, request: KexecRequest) -> Result<Next, Refusal> {
    let requested = time::now();
    let takeover = &machine.takeover;
    let preparation = takeover
        .rendezvous
        .prepare(&cpu.member)
        .ok_or(Refusal::Busy)?;
    let needs = Needs {
        monitor: machine.monitor,
        log: machine.log,
        // One CPU runs without any.
        own_psci: firmware::is_absent() && machine.cpus.len() > 1,
    };
    // SAFETY: `preparation` is the right to it.
    unsafe { takeover.validate(&machine.ram, request, &needs) }?;
    takeover.times.requested.store(requested, Relaxed);
    takeover.times.validated.store(time::now(), Relaxed);
    takeover.source.store(request.source(), Relaxed);
    Ok(Next::Enter(platform::take_over(
        machine,
        cpu,
        preparation.close(),
    )))
}

#[cfg(test)]
mod tests;
