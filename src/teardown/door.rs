//! The two doors to a takeover: Linux's own kexec, and the KEXEC call.

use super::machine::take_over;
use super::takeover::{Asked, PlanRefused};
use crate::arch::time;
use crate::cpu::Cpu;
use crate::linux::image::PageSize;
use crate::machine::Machine;
use arm_psci::ErrorCode;
use core::sync::atomic::Ordering::Relaxed;
use thiserror::Error;

/// Why a request is refused: nothing has been stopped.
#[derive(Clone, Copy, Debug, Error)]
pub enum Refusal {
    /// Another CPU's request came first.
    #[error("another CPU is rebooting the machine")]
    Busy,
    /// What is asked for is not valid.
    #[error(transparent)]
    Invalid(#[from] PlanRefused),
}

impl Refusal {
    /// Returns what the KEXEC call answers.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::Denied,
            Self::Invalid(PlanRefused::Kimage(_)) => ErrorCode::InvalidParameters,
            Self::Invalid(PlanRefused::Plan(error)) if error.is_address() => {
                ErrorCode::InvalidAddress
            }
            Self::Invalid(PlanRefused::Plan(_)) => ErrorCode::InvalidParameters,
        }
    }
}

/// Linux is at its call of `machine_kexec()`, with the kimage at physical address `kimage`. Returns
/// only a refusal.
pub fn hook(cpu: &'static Cpu, kimage: u64, page: PageSize) -> Refusal {
    ask(cpu, Asked::Hook { kimage, page })
}

/// A guest called KEXEC. Returns only a refusal.
pub fn call(cpu: &'static Cpu, list: u64, entry: u64, device_tree: u64) -> Refusal {
    ask(
        cpu,
        Asked::Call {
            list,
            entry,
            device_tree,
        },
    )
}

fn ask(cpu: &'static Cpu, asked: Asked) -> Refusal {
    let requested = time::now();
    let machine = Machine::get();
    let takeover = &machine.takeover;
    let Some(preparation) = takeover.rendezvous.prepare(&cpu.member) else {
        return Refusal::Busy;
    };
    // SAFETY: `preparation` is the right to it.
    if let Err(refused) = unsafe { takeover.validate(machine, asked) } {
        return refused.into();
    }
    takeover.times.requested.store(requested, Relaxed);
    takeover.times.validated.store(time::now(), Relaxed);
    takeover.door.store(asked.door(), Relaxed);
    take_over(cpu, preparation.close())
}
