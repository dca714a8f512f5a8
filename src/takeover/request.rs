// SPDX-License-Identifier: Apache-2.0
//! The two sources of a takeover: Linux's own kexec, and the KEXEC call.

use super::platform;
use crate::arch::time;
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::machine::request::{InvalidRequest, KexecRequest};
use crate::machine::validated::Asked;
use arm_psci::ErrorCode;
use baton_core::devicetree::next_tree::Needs;
use baton_core::options::Hooks;
use thiserror::Error;

/// Why a request is refused: the kernel that made it goes on.
#[derive(Clone, Debug, Error)]
pub enum Refusal {
    /// Another CPU's request came first.
    #[error("another CPU is rebooting the machine")]
    Busy,
    /// The request is not valid.
    #[error("{why} (all CPUs go on after {us} us, {own_us} of them work of this one)")]
    Invalid {
        /// Why not.
        why: InvalidRequest,
        /// How long all CPUs stood still, in microseconds.
        us: u64,
        /// How long of that this CPU did not wait for others.
        own_us: u64,
    },
}

impl Refusal {
    /// Returns what the KEXEC call answers.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::Denied,
            Self::Invalid {
                why: InvalidRequest::Plan(error),
                ..
            } if error.is_address() => ErrorCode::InvalidAddress,
            Self::Invalid { .. } => ErrorCode::InvalidParameters,
        }
    }
}

/// `cpu` asks for the next kernel: stops all other CPUs, has them check what it asks for, takes them and loads
/// the next kernel, and returns where `cpu` enters it.
///
/// # Errors
///
/// [`Refusal`]: the guest goes on, on all CPUs, as if nothing had been but for the time.
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
    let asked = Asked {
        request,
        needs,
        refuse: machine.options.hooks == Hooks::Refuse
            && matches!(request, KexecRequest::Hook { .. }),
    };
    // SAFETY: `preparation` is the right to it.
    unsafe { takeover.ask(asked, requested) }
    request.check_addresses(&machine.ram).map_err(|why| {
        let us = time::us_from_ticks(time::now() - requested);
        Refusal::Invalid {
            why,
            us,
            own_us: us,
        }
    })?;
    let start = platform::take_over(machine, cpu, preparation.close()).map_err(|why| {
        let now = time::now();
        let [us, own_us] = [now - requested, takeover.own_work(cpu, now)].map(time::us_from_ticks);
        Refusal::Invalid { why, us, own_us }
    })?;
    Ok(Next::Enter(start))
}

#[cfg(test)]
mod tests;
