// SPDX-License-Identifier: Apache-2.0
//! CPU_ON and CPU_OFF, at any moment of a takeover.

use crate::smp::phases;
use crate::smp::platform::{HasPower, Platform};
use crate::smp::power::{Order, Origin, Start};
use crate::smp::rendezvous::Participant;
use crate::sync::{sev, wfe};
use arm_psci::ErrorCode;

/// Turns on `target` for `caller`, at `start` (DEN0022, CPU_ON).
///
/// # Errors
///
/// Returns what CPU_ON does; and `DENIED` if the caller's kernel is over: the caller is taken too,
/// and never sees the answer.
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
                target.power().mark_refused();
                return Err(ErrorCode::Denied);
            }
            if let Err(error) = platform.firmware_on(target) {
                rendezvous.stop_expecting(target);
                // A takeover that did not wait for firmware's answer has left the target behind. It
                // never ran, so nothing has to be kept for it.
                if target.power().mark_refused() {
                    platform.mark_recovered(caller.generation());
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Turns the calling CPU off (DEN0022, CPU_OFF): its private state is cleared, then it is parked.
/// The caller goes on to [`park`].
pub fn off<P: Platform>(platform: &P, cpu: &P::Cpu) {
    cpu.power().mark_going_off();
    let heir = platform
        .cpus()
        .iter()
        .find(|other| other.power().stays_on());
    platform.teardown_at_off(cpu, heir);
    cpu.power().park();
}

/// Waits, parked, until the calling CPU is turned on, and returns where it begins. If a takeover
/// begins meanwhile, the CPU joins it, and waits on in the next generation.
///
/// This wait has no bound: a CPU is off until its kernel turns it on.
pub fn park<P: Platform>(platform: &P, cpu: &P::Cpu) -> Start {
    loop {
        if platform.rendezvous().is_over(cpu.member()) {
            phases::join(platform, cpu);
        }
        match cpu.power().take_order() {
            Order::Begin(start) => return start,
            Order::Leave => leave(platform, cpu),
            Order::Stay => wfe(),
        }
    }
}

/// Sends the calling CPU back to firmware, by firmware's CPU_OFF. Returns if it is not to leave any
/// more, or firmware refuses.
fn leave<P: Platform>(platform: &P, cpu: &P::Cpu) {
    // From here on no takeover waits for it; the CPU_ON that has firmware start it adds it again.
    if !platform.rendezvous().stop_expecting(cpu) || !cpu.power().mark_left() {
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
        cpu.power().mark_recovered();
    }
}

/// Sends the calling CPU, which CPU_ON has brought and which cannot run the guest, back to firmware: towards
/// the guest it is off again. Returns only if firmware refuses.
pub fn refuse<P: Platform>(platform: &P, cpu: &P::Cpu) {
    loop {
        if platform.rendezvous().is_over(cpu.member()) {
            phases::join(platform, cpu);
        }
        // A takeover that begins after this does not wait for it.
        if platform.rendezvous().stop_expecting(cpu) && cpu.power().refuse() {
            break;
        }
        crate::sync::pause();
    }
    if let Err(refusal) = platform.firmware_off(cpu) {
        log::warn!("cpu {}: firmware refuses CPU_OFF: {refusal}", cpu.index());
    }
}
