// SPDX-License-Identifier: Apache-2.0
//! The crash interrupt has come: the kernel that runs is ended for its crash kernel, as if it had panicked.

use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::machine::request::{KexecRequest, Way};
use crate::memory::kexec_memory::LinearMap;
use crate::takeover::request::{self, Refusal};
use crate::vcpu::frame::Frame;
use core::sync::atomic::Ordering::Relaxed;
use thiserror::Error;

/// Why there is no crash kernel to go to: the guest goes on.
#[derive(Debug, Error)]
enum NoCrashKernel {
    #[error("the kernel has no calls that are patched for a panic")]
    Unpatched,
    #[error("its code does not show where kexec_crash_image is")]
    NoPointer,
    #[error("it has none loaded")]
    NotLoaded,
    #[error("kexec_crash_image, {0:#x}, is not mapped")]
    Unmapped(u64),
}

/// The crash interrupt has come to `cpu`, whose guest is at `frame`; returns what the CPU does next.
///
/// The kernel's own code for a panic never runs: what it would have written, as the time of the crash in its
/// VMCOREINFO, is not there.
pub fn asked(machine: &Machine, cpu: &Cpu, frame: &Frame) -> Next {
    if machine.takeover.rendezvous.is_over(&cpu.member) {
        return Next::Resume;
    }
    cpu.exits.count(Cause::Other);
    let request = match crash_image(machine) {
        Ok(request) => request,
        Err(why) => {
            log::warn!("crash interrupt: no crash kernel: {why}; the kernel goes on");
            return Next::Resume;
        }
    };
    log::warn!(
        "crash interrupt: cpu {} is at {:#x}, and leaves for the crash kernel",
        cpu.index,
        frame.elr
    );
    cpu.caught.keep(frame, cpu.member.generation());
    match request::kexec(machine, cpu, request) {
        Ok(next) => return next,
        // This CPU is about to be taken itself.
        Err(Refusal::Busy) => {}
        Err(refusal) => log::warn!("crash interrupt: refused: {refusal}; the kernel goes on"),
    }
    Next::Resume
}

/// Returns the request that the kernel would make if it panicked.
fn crash_image(machine: &Machine) -> Result<KexecRequest, NoCrashKernel> {
    let patched = *machine.hooks.patched.lock();
    // What a kernel before this one has left is not this one's.
    let looked_at = machine.hooks.looked_at.load(Relaxed) == machine.takeover.reboots() + 1;
    let patched = patched.filter(|patched| looked_at && patched.is_in_place(&machine.ram));
    let patched = patched.ok_or(NoCrashKernel::Unpatched)?;
    let sites = patched.crash.ok_or(NoCrashKernel::Unpatched)?;
    let pointer = sites.kimage().and_then(|offset| {
        let place = machine.ram.range(patched.image + offset, 8)?;
        place.read_u64()
    });
    let pointer = pointer.ok_or(NoCrashKernel::NoPointer)?;
    if pointer == 0 {
        return Err(NoCrashKernel::NotLoaded);
    }
    let kimage = patched.translate(&machine.ram, pointer);
    let kimage = kimage.ok_or(NoCrashKernel::Unmapped(pointer))?;
    Ok(KexecRequest::Hook {
        kimage,
        way: Way::Crash,
        by_interrupt: true,
        page: patched.page,
        linear: Some(LinearMap::of(pointer, kimage)),
    })
}
