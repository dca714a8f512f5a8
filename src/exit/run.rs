// SPDX-License-Identifier: Apache-2.0
//! Does what a service has decided: the one place that a CPU of the guest goes on from.

use crate::arch::time;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::takeover::listen;
use crate::vcpu::el2;
use crate::vcpu::frame::Frame;
use baton_core::smp::on_off;
use baton_core::smp::phases::{self, Joined};
use baton_core::smp::power::Start;
use core::sync::atomic::Ordering::Relaxed;

/// Has `frame` say where the guest goes on, when the CPU has done what is `next`.
///
/// A CPU that waits here until it is turned on, or taken, comes back when it begins in the guest; one that
/// joins a takeover that is refused, when it is to go on where its frame says.
#[inline]
pub fn run(machine: &Machine, cpu: &Cpu, next: Next, frame: &mut Frame) {
    if !matches!(next, Next::Resume) {
        go_elsewhere(machine, cpu, next, frame);
    }
}

fn go_elsewhere(machine: &Machine, cpu: &Cpu, next: Next, frame: &mut Frame) {
    match next {
        Next::Resume => {}
        Next::Enter(start) => enter(machine, cpu, start, frame),
        Next::Join => {
            if let Some(start) = cpu.join_from(frame, || rejoin(machine, cpu)) {
                enter(machine, cpu, start, frame);
            }
        }
        Next::Park => {
            let start = on_off::park(machine, cpu);
            enter(machine, cpu, start, frame);
        }
    }
}

/// The CPU comes to the takeover that has ended its generation, and waits for its start in the next; `None` if
/// that is refused, and its kernel goes on.
fn rejoin(machine: &Machine, cpu: &Cpu) -> Option<Start> {
    match phases::join(machine, cpu) {
        Joined::Parked => Some(on_off::park(machine, cpu)),
        Joined::Resumed => None,
    }
}

/// Has `frame` begin the guest at `start` as firmware would (Documentation/arch/arm64/booting.rst,
/// DEN0022, "Initial core configuration"): EL1, MMU off, x0 = `start.context`.
///
/// The CPU's EL1 state has been reset, and it lives in generation `cpu.member.generation()`. If that is
/// over, the CPU goes where all others of it went.
fn enter(machine: &Machine, cpu: &Cpu, mut start: Start, frame: &mut Frame) {
    while !machine.generations.enter(cpu.member.generation()) {
        start = rejoin(machine, cpu).unwrap_or(start);
    }
    // Its first WFI is looked at (`takeover::listen`).
    listen::stop(machine, cpu);
    el2::trap_wfi(true);
    if cpu.times.online.load(Relaxed) == 0 {
        cpu.times.online.store(time::now(), Relaxed);
    }
    *frame = Frame::beginning_at(start.entry, start.context);
}
