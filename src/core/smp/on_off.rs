// SPDX-License-Identifier: Apache-2.0
//! CPU_ON and CPU_OFF, at any moment of a takeover.

use crate::smp::phases;
use crate::smp::platform::{HasPower, Platform};
use crate::smp::power::{Order, Origin, Start};
use crate::smp::rendezvous::Participant;
use crate::sync::{pause, sev, wfe};
use arm_psci::ErrorCode;

/// How long a parked CPU may take to leave through firmware, in microseconds.
pub const LEAVE_US: u64 = 100_000;

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
/// One that is on its way back to firmware is waited for: a kernel that is told ON_PENDING goes on without
/// that CPU.
///
/// # Errors
///
/// [`NotOn`]; `INTERNAL_FAILURE` if firmware never has a CPU off that has left.
pub fn on<P: Platform>(
    platform: &P,
    caller: &P::Cpu,
    target: &P::Cpu,
    start: Start,
) -> Result<(), NotOn> {
    let rendezvous = platform.rendezvous();
    let caller = caller.member();
    let pass = rendezvous.pass().ok_or(NotOn::TakenOver)?;
    let may_start = |origin| {
        let is_off = || !platform.firmware_has_on(target);
        if origin == Origin::Firmware && !platform.wait_us(LEAVE_US, is_off) {
            return Err(ErrorCode::InternalFailure);
        }
        match rendezvous.is_over(caller) {
            true => Err(ErrorCode::Denied),
            false => Ok(()),
        }
    };
    let mut origin = Ok(Origin::Leaving);
    platform.wait_us(LEAVE_US, || {
        origin = target.power().turn_on(start, may_start);
        origin != Ok(Origin::Leaving)
    });
    // Nothing else here is DENIED.
    let origin = origin.map_err(|error| match error {
        ErrorCode::Denied => NotOn::TakenOver,
        error => NotOn::Refused(error),
    })?;
    match origin {
        Origin::Leaving => return Err(NotOn::Refused(ErrorCode::OnPending)),
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
/// This wait has no bound: a CPU is off until its kernel turns it on. But after a while here the CPU
/// leaves through firmware's CPU_OFF, and has firmware start it again.
pub fn park<P: Platform>(platform: &P, cpu: &P::Cpu) -> Start {
    let mut patience = platform.patience(cpu);
    loop {
        // Again after one that was refused: the event of the next one may have ended the wait in there.
        while platform.rendezvous().is_over(cpu.member()) {
            let _ = phases::join(platform, cpu);
            patience = platform.patience(cpu);
        }
        match cpu.power().take_order() {
            Order::Begin(start) => return start,
            Order::Leave => {
                leave(platform, cpu);
                // Firmware has refused, and is not asked again before the next takeover.
                patience = None;
            }
            Order::Stay => match &patience {
                Some(is_over) if is_over() => {
                    if !cpu.power().tell_to_leave() {
                        pause();
                    }
                }
                Some(_) => platform.rest(),
                None => wfe(),
            },
        }
    }
}

/// Sends the calling CPU back to firmware, by firmware's CPU_OFF. Returns if it is not to leave any
/// more, or firmware refuses.
fn leave<P: Platform>(platform: &P, cpu: &P::Cpu) {
    // From here on no takeover waits for it; the CPU_ON that has firmware start it adds it again.
    if !platform.rendezvous().stop_expecting(cpu) {
        // A takeover is under way, which takes the CPU, or is about to end.
        return pause();
    }
    if !cpu.power().mark_left() {
        return;
    }
    if let Err(refusal) = platform.firmware_off(cpu) {
        log::warn!(
            "cpu {}: firmware refuses CPU_OFF: {refusal}; it waits in the monitor",
            cpu.index()
        );
        phases::readmit(platform, cpu);
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
        pause();
    }
    if let Err(refusal) = platform.firmware_off(cpu) {
        log::warn!("cpu {}: firmware refuses CPU_OFF: {refusal}", cpu.index());
    }
}
