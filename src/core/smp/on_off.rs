// SPDX-License-Identifier: Apache-2.0
//! CPU_ON and CPU_OFF, at any moment of a takeover.

use crate::smp::phases;
use crate::smp::platform::{HasPower, Platform};
use crate::smp::power::{Order, Origin, Start};
use crate::smp::rendezvous::Participant;
use crate::sync::{sev, wfe};
use arm_psci::ErrorCode;

/// Why CPU_ON has not turned a CPU on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOn {
    /// A takeover is under way, and nothing was done: the caller joins that, and makes its call again if its
    /// kernel goes on.
    TakenOver,
    /// This is what CPU_ON returns.
    Refused(ErrorCode),
}

/// Turns on `target` for `caller`, at `start` (DEN0022, CPU_ON).
///
/// # Errors
///
/// [`NotOn`].
pub fn on<P: Platform>(
    platform: &P,
    caller: &P::Cpu,
    target: &P::Cpu,
    start: Start,
) -> Result<(), NotOn> {
    let rendezvous = platform.rendezvous();
    let caller = caller.member();
    let pass = rendezvous.pass().ok_or(NotOn::TakenOver)?;
    let still_runs = || !rendezvous.is_over(caller);
    let turned_on = target.power().turn_on(start, still_runs);
    match turned_on.map_err(|error| error.map_or(NotOn::TakenOver, NotOn::Refused))? {
        Origin::Parked => sev(),
        Origin::Firmware => {
            if !rendezvous.expect(target, caller, &pass) {
                target.power().mark_refused();
                return Err(NotOn::TakenOver);
            }
            if let Err(error) = platform.firmware_on(target) {
                rendezvous.stop_expecting(target);
                // A takeover that did not wait for firmware's answer has left the target behind. It
                // never ran, so nothing has to be kept for it.
                if target.power().mark_refused() {
                    platform.mark_recovered(caller.generation());
                }
                return Err(NotOn::Refused(error));
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
            // Parked for the next kernel, or as it was.
            let _ = phases::join(platform, cpu);
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
            let _ = phases::join(platform, cpu);
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
