// SPDX-License-Identifier: Apache-2.0
//! PSCI_SET_SUSPEND_MODE: who coordinates the power of clusters, the platform or the kernel.

use super::answer::Answer;
use super::parked;
use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use arm_psci::{ErrorCode, SuspendMode};

/// Sets the mode of CPU_SUSPEND (DEN0022, PSCI_SET_SUSPEND_MODE).
///
/// Firmware goes by the CPUs that are on, and may deny a change for those that are parked. A kernel that sets
/// the mode as it starts runs on one CPU alone: all others are sent back then, so that firmware and guest see
/// the same. A mode that is set already costs nobody anything.
pub fn set(machine: &Machine, cpu: &Cpu, mode: SuspendMode) -> Answer {
    // Who else changes the mode at this moment has firmware deny the later one.
    let mut known = machine.suspend_mode.try_lock().ok_or(ErrorCode::Denied)?;
    if *known == Some(mode) {
        return Ok(0);
    }
    let _pass = machine
        .takeover
        .rendezvous
        .pass()
        .ok_or(ErrorCode::Denied)?;
    if parked::is_alone(machine, cpu) {
        parked::send_back(machine, cpu)?;
    }
    firmware::set_suspend_mode(mode).map_err(firmware::error_code)?;
    *known = Some(mode);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::fake::answer_calls;
    use crate::machine::fake::Bench;
    use alloc::rc::Rc;
    use alloc::vec::Vec;
    use baton_core::options::Options;
    use baton_core::smp::power::Order;
    use core::cell::RefCell;
    use core::mem;

    const SET_SUSPEND_MODE: u64 = 0x8400_000f;
    /// What AFFINITY_INFO says of a CPU that is off.
    const OFF: u64 = 1;

    /// Firmware that has every CPU off which it is asked about, and answers `mode` to a change of the mode: a
    /// note of which changes it was asked for.
    fn firmware(mode: i64) -> Rc<RefCell<Vec<u64>>> {
        let asked = Rc::<RefCell<Vec<u64>>>::default();
        let seen = asked.clone();
        answer_calls(move |function, [x1, ..]| match function {
            SET_SUSPEND_MODE => {
                seen.borrow_mut().push(x1);
                [mode as u64, 0, 0, 0]
            }
            _ => [OFF, 0, 0, 0],
        });
        asked
    }

    fn bench() -> Bench {
        Bench::new(Options::default())
    }

    #[test]
    fn parked_cpus_are_sent_back_before_a_change_and_for_a_change_alone() {
        let Bench { machine, .. } = &bench();
        let [cpu, other] = &*machine.cpus else {
            panic!("expected two CPUs");
        };
        for mode in [SuspendMode::OsInitiated, SuspendMode::PlatformCoordinated] {
            other.power.park();
            let asked = firmware(0);
            assert_eq!(set(machine, cpu, mode), Ok(0), "{mode:?}");
            assert_eq!(other.power.take_order(), Order::Leave, "{mode:?}");
            other.power.park();
            assert_eq!(set(machine, cpu, mode), Ok(0), "{mode:?}, again");
            assert_eq!(other.power.take_order(), Order::Stay, "{mode:?}, again");
            assert_eq!(
                mem::take(&mut *asked.borrow_mut()),
                [u64::from(u32::from(mode))]
            );
        }
    }

    #[test]
    fn firmware_decides_while_other_cpus_are_on() {
        let Bench { machine, .. } = &bench();
        machine.cpus[1].power.set_on();
        for (answer, expected) in [(-3, Err(ErrorCode::Denied)), (0, Ok(0))] {
            let asked = firmware(answer);
            let seen = set(machine, &machine.cpus[0], SuspendMode::OsInitiated);
            assert_eq!(seen, expected);
            assert_eq!(*asked.borrow(), [1], "{expected:?}");
        }
    }
}
