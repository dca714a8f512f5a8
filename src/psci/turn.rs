//! How CPUs are turned on and off, where CPU_ON, CPU_OFF and takeovers meet.

use super::power::{Order, Origin, Start};
use crate::sync::{sev, wfe};
use crate::teardown::hardware::{Hardware, HasPower};
use crate::teardown::phases;
use crate::teardown::rendezvous::Participant;
use arm_psci::ErrorCode;

/// `caller` turns on `target` (DEN0022, CPU_ON).
///
/// # Errors
///
/// As CPU_ON; `DENIED` if the caller's kernel is over: the caller is taken too, and sees no answer.
pub fn on<H: Hardware>(
    hardware: &H,
    caller: &H::Cpu,
    target: &H::Cpu,
    start: Start,
) -> Result<(), ErrorCode> {
    let rendezvous = hardware.rendezvous();
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
            if let Err(error) = hardware.firmware_on(target) {
                rendezvous.expect_no_longer(target);
                // A takeover did not wait for the answer, and left the target behind: it never comes.
                if target.power().refused() {
                    hardware.came_from(caller.epoch());
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Turns the calling CPU off as the guest sees it: what is its own is cleared, then it is parked.
pub fn off<H: Hardware>(hardware: &H, cpu: &H::Cpu) {
    cpu.power().going_off();
    let stays = hardware.cpus().iter().find(|other| other.power().stays());
    hardware.clear_at_off(cpu, stays);
    cpu.power().park();
}

/// Waits until the CPU is turned on, or taken for the next kernel, and returns where it begins.
///
/// This wait has no bound: an OFF CPU stays so until somebody wants it.
pub fn park<H: Hardware>(hardware: &H, cpu: &H::Cpu) -> Start {
    loop {
        if hardware.rendezvous().is_over(cpu.member()) {
            phases::join(hardware, cpu);
        }
        match cpu.power().order() {
            Order::Begin(start) => return start,
            Order::Leave => leave(hardware, cpu),
            Order::Stay => wfe(),
        }
    }
}

/// The CPU goes where it is started from by firmware.
fn leave<H: Hardware>(hardware: &H, cpu: &H::Cpu) {
    // No takeover waits for it from here on; after this, whoever turns it on adds it again.
    if !hardware.rendezvous().expect_no_longer(cpu) || !cpu.power().left() {
        return;
    }
    if let Err(refusal) = hardware.firmware_off(cpu) {
        log::warn!("cpu {}: firmware refuses CPU_OFF: {refusal}", cpu.index());
        while !hardware.rendezvous().admit(cpu) {
            crate::sync::pause();
        }
        cpu.power().came_back();
    }
}
