// SPDX-License-Identifier: Apache-2.0
//! How CPUs are turned on and off, where CPU_ON, CPU_OFF and takeovers meet.

use crate::smp::phases;
use crate::smp::platform::{HasPower, Platform};
use crate::smp::power::{Order, Origin, Start};
use crate::smp::rendezvous::Participant;
use crate::sync::{sev, wfe};
use arm_psci::ErrorCode;

/// `caller` turns on `target` (DEN0022, CPU_ON).
///
/// # Errors
///
/// As CPU_ON; `DENIED` if the caller's kernel is over: the caller is taken too, and sees no answer.
pub fn on<P: Platform>(
    platform: &P,
    caller: &P::Cpu,
    target: &P::Cpu,
    start: Start,
) -> Result<(), ErrorCode> {
    let rendezvous = platform.rendezvous();
    let caller = caller.member();
    let pass = rendezvous.pass().ok_or(ErrorCode::Denied)?;
    match target
        .power()
        .turn_on(start, || !rendezvous.is_over(caller))?
    {
        Origin::Parked => sev(),
        Origin::Firmware => {
            if !rendezvous.expect(target, caller, &pass) {
                target.power().refused();
                return Err(ErrorCode::Denied);
            }
            if let Err(error) = platform.firmware_on(target) {
                rendezvous.expect_no_longer(target);
                // A takeover did not wait for the answer, and left the target behind: it never comes.
                if target.power().refused() {
                    platform.came_from(caller.generation());
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Turns the calling CPU off as the guest sees it: what is its own is cleared, then it is parked.
pub fn off<P: Platform>(platform: &P, cpu: &P::Cpu) {
    cpu.power().going_off();
    let stays = platform.cpus().iter().find(|other| other.power().stays());
    platform.clear_at_off(cpu, stays);
    cpu.power().park();
}

/// Waits until the CPU is turned on, or taken for the next kernel, and returns where it begins.
///
/// This wait has no bound: an OFF CPU stays so until somebody wants it.
pub fn park<P: Platform>(platform: &P, cpu: &P::Cpu) -> Start {
    loop {
        if platform.rendezvous().is_over(cpu.member()) {
            phases::join(platform, cpu);
        }
        match cpu.power().order() {
            Order::Begin(start) => return start,
            Order::Leave => leave(platform, cpu),
            Order::Stay => wfe(),
        }
    }
}

/// The CPU goes where it is started from by firmware.
fn leave<P: Platform>(platform: &P, cpu: &P::Cpu) {
    // No takeover waits for it from here on; after this, whoever turns it on adds it again.
    if !platform.rendezvous().expect_no_longer(cpu) || !cpu.power().left() {
        return;
    }
    if let Err(refusal) = platform.firmware_off(cpu) {
        log::warn!(
            "cpu {}: firmware refuses CPU_OFF: {refusal}; it waits in the monitor",
            cpu.index()
        );
        while !platform.rendezvous().admit(cpu) {
            crate::sync::pause();
        }
        cpu.power().recovered();
    }
}
