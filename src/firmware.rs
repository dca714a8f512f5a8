// SPDX-License-Identifier: Apache-2.0
//! The PSCI of firmware, below the monitor, by SMC. A board whose CPUs wait in a spin table may have none.

pub mod sdei;

use crate::arch::routines::Smc;
use crate::machine::cpu::Cpu;
use arm_psci::{ErrorCode, SuspendMode};
use baton_core::el3_features::El3Register;
use baton_core::smccc::SMCCC_VERSION;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::Relaxed;
use smccc::Call;
use smccc::arch;
use smccc::psci::{self, Error, LowestAffinityLevel};

/// What SMCCC returns of a function that is not there.
const NOT_SUPPORTED: u64 = u64::MAX;

/// Function id of SMCCC_ARCH_FEATURE_AVAILABILITY, which has 64-bit arguments alone (DEN0028, 7.5).
const FEATURE_AVAILABILITY: u32 = 0xc000_0003;
/// From here on there is PSCI_FEATURES.
const PSCI_1_0: psci::Version = psci::Version { major: 1, minor: 0 };
/// From here on there is SMCCC_ARCH_FEATURES.
const SMCCC_1_1: arch::Version = arch::Version { major: 1, minor: 1 };

/// Why the guest's calls of `SMCCC_ARCH_WORKAROUND_<n>` do not go to firmware directly: [`ABSENT`], [`EVENT_WAITS`].
/// Read by `vectors.S`, which sets the second one too.
#[unsafe(no_mangle)]
static NOT_DIRECTLY: AtomicU8 = AtomicU8::new(0);
/// There is no firmware.
const ABSENT: u8 = 1 << 0;
/// An event of SDEI has found a CPU in the monitor, and is seen to when a CPU leaves for the guest.
pub const EVENT_WAITS: u8 = 1 << 1;

/// Nobody answers an SMC on this board: none is made from now on.
pub fn set_absent() {
    NOT_DIRECTLY.fetch_or(ABSENT, Relaxed);
}

/// Returns whether nobody answers an SMC on this board.
pub fn is_absent() -> bool {
    NOT_DIRECTLY.load(Relaxed) & ABSENT != 0
}

/// Calls of firmware, which supports nothing where there is none.
pub struct Firmware;

impl Call for Firmware {
    fn call32(function: u32, arguments: [u32; 7]) -> [u32; 8] {
        match is_absent() {
            true => [NOT_SUPPORTED as u32; 8],
            false => Smc::call32(function, arguments),
        }
    }

    fn call64(function: u32, arguments: [u64; 17]) -> [u64; 18] {
        match is_absent() {
            true => [NOT_SUPPORTED; 18],
            false => Smc::call64(function, arguments),
        }
    }
}

unsafe extern "C" {
    /// `head.S`: where firmware enters a CPU.
    fn secondary_entry();
}

/// Physical address at which firmware enters a CPU.
fn entry() -> u64 {
    secondary_entry as *const () as u64
}

// Firmware keeps the address of a CPU's `Cpu`: all of them are the machine's, which lives for ever.

/// Starts `cpu`; it comes to `boot::secondary`.
///
/// # Errors
///
/// What firmware says.
pub fn cpu_on(cpu: &Cpu) -> Result<(), Error> {
    psci::cpu_on::<Firmware>(cpu.mpidr, entry(), &raw const *cpu as u64)
}

/// Turns the calling CPU off; returns only firmware's refusal.
pub fn cpu_off() -> Error {
    refusal(psci::cpu_off::<Firmware>())
}

/// Suspends the calling CPU in `power_state`. After a power-down it comes to `boot::secondary`
/// instead of returning.
///
/// # Errors
///
/// What firmware says.
pub fn cpu_suspend(cpu: &Cpu, power_state: u32) -> Result<(), Error> {
    psci::cpu_suspend::<Firmware>(power_state, entry(), &raw const *cpu as u64)
}

/// Suspends the machine; the calling CPU comes to `boot::secondary` when it wakes.
///
/// # Errors
///
/// What firmware says.
pub fn system_suspend(cpu: &Cpu) -> Result<(), Error> {
    psci::system_suspend::<Firmware>(entry(), &raw const *cpu as u64)
}

/// Sets who coordinates CPU_SUSPEND.
///
/// # Errors
///
/// What firmware says.
pub fn set_suspend_mode(mode: SuspendMode) -> Result<(), Error> {
    psci::set_suspend_mode::<Firmware>(match mode {
        SuspendMode::PlatformCoordinated => psci::SuspendMode::PlatformCoordinated,
        SuspendMode::OsInitiated => psci::SuspendMode::OsInitiated,
    })
}

/// Turns the machine off; returns only firmware's refusal.
pub fn system_off() -> Error {
    refusal(psci::system_off::<Firmware>())
}

/// Resets the machine; returns only firmware's refusal.
pub fn system_reset() -> Error {
    refusal(psci::system_reset::<Firmware>())
}

/// Returns the error code that firmware gave.
pub fn error_code(error: Error) -> ErrorCode {
    i32::try_from(i64::from(error))
        .ok()
        .and_then(|code| ErrorCode::try_from(code).ok())
        .unwrap_or(ErrorCode::InternalFailure)
}

/// Returns what firmware's PSCI_FEATURES says of `function`, if it has it.
///
/// PSCI 0.2 has no PSCI_FEATURES. It has CPU_SUSPEND, with `power_state` in the original format, and none of
/// what came later; MIGRATE_INFO_TYPE is optional there, and says itself whether it is.
pub fn features(function: u32) -> Option<u32> {
    psci::psci_features::<Firmware>(function)
        .ok()
        .or_else(|| features_of_0_2(function))
}

fn features_of_0_2(function: u32) -> Option<u32> {
    let is_0_2 = || version().is_ok_and(|version| version < PSCI_1_0);
    let there = match function {
        psci::PSCI_CPU_SUSPEND_32 | psci::PSCI_CPU_SUSPEND_64 => is_0_2(),
        psci::PSCI_MIGRATE_INFO_TYPE => is_0_2() && pass(function.into(), [0; 3]) as i32 >= 0,
        _ => false,
    };
    there.then_some(0)
}

/// Returns firmware's PSCI_VERSION.
///
/// # Errors
///
/// What firmware says.
pub fn version() -> Result<psci::Version, Error> {
    psci::version::<Firmware>()
}

/// Returns whether firmware has the CPU `mpidr` on; false where it cannot say.
pub fn has_on(mpidr: u64) -> bool {
    let state = psci::affinity_info::<Firmware>(mpidr, LowestAffinityLevel::All);
    state == Ok(psci::AffinityState::On)
}

/// Returns whether firmware knows groups of CPUs at the affinity level `level`, 1 to 3, by that of the
/// CPU `mpidr`; without firmware there are all.
pub fn has_affinity_level(mpidr: u64, level: u32) -> bool {
    let lowest = match level {
        1 => LowestAffinityLevel::Aff0Ignored,
        2 => LowestAffinityLevel::Aff0Aff1Ignored,
        _ => LowestAffinityLevel::Aff0Aff1Aff2Ignored,
    };
    match is_absent() {
        true => true,
        false => psci::affinity_info::<Firmware>(mpidr, lowest) != Err(Error::InvalidParameters),
    }
}

/// Returns whether firmware has SMCCC_ARCH_FEATURE_AVAILABILITY, asked for in the way that a firmware of any
/// age answers (DEN0028, appendix C).
pub fn tells_features() -> bool {
    version().is_ok_and(|version| version >= PSCI_1_0)
        && features(SMCCC_VERSION).is_some()
        && arch::version::<Firmware>().is_ok_and(|version| version >= SMCCC_1_1)
        && arch::features::<Firmware>(FEATURE_AVAILABILITY).is_ok()
}

/// Returns the bits of `register` that firmware has open for this CPU, as SMCCC_ARCH_FEATURE_AVAILABILITY
/// has them; `None` if it does not know the register.
pub fn open_features(register: El3Register) -> Option<u64> {
    let mut arguments = [0; 17];
    arguments[0] = register as u64;
    let [status, open, ..] = Firmware::call64(FEATURE_AVAILABILITY, arguments);
    (status == 0).then_some(open)
}

/// Makes the call as it stands; returns x0.
pub fn pass(function: u64, arguments: [u64; 3]) -> u64 {
    let mut registers = [0; 17];
    registers[..3].copy_from_slice(&arguments);
    Firmware::call64(function as u32, registers)[0]
}

fn refusal(result: Result<(), Error>) -> Error {
    result.err().unwrap_or(Error::Unknown(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::fake::answer_calls;
    use crate::memory::stage1::MmuConfig;
    use alloc::rc::Rc;
    use alloc::vec::Vec;
    use core::cell::RefCell;

    type Calls = Rc<RefCell<Vec<(u64, [u64; 3])>>>;

    /// Firmware that gives `x0` back, and a note of what it was asked.
    fn firmware(x0: i64) -> Calls {
        let calls = Calls::default();
        let seen = calls.clone();
        answer_calls(move |function, arguments| {
            seen.borrow_mut().push((function, arguments));
            [x0 as u64, 0, 0, 0]
        });
        calls
    }

    #[test]
    fn a_cpu_is_started_with_its_own_address() {
        let calls = firmware(0);
        let cpu = Cpu::new(1, 0x1_0000_0102, MmuConfig::default(), 0);
        assert_eq!(cpu_on(&cpu), Ok(()));
        // DEN0022, 5.1: CPU_ON of SMC64, with MPIDR, entry and context.
        let context = &raw const cpu as u64;
        let expected = (0xc400_0003, [0x1_0000_0102, entry(), context]);
        assert_eq!(*calls.borrow(), [expected]);
    }

    #[test]
    fn a_refusal_comes_back_as_its_code() {
        firmware(-4);
        let cpu = Cpu::new(1, 1, MmuConfig::default(), 0);
        let refusal = cpu_on(&cpu).expect_err("it is on already");
        assert_eq!(error_code(refusal), ErrorCode::AlreadyOn);
    }

    #[test]
    fn what_must_not_return_returns_why_it_did() {
        firmware(-3);
        assert_eq!(error_code(cpu_off()), ErrorCode::Denied);
        assert_eq!(error_code(system_reset()), ErrorCode::Denied);
        // 0 is no refusal, and no success either.
        firmware(0);
        assert_eq!(error_code(cpu_off()), ErrorCode::InternalFailure);
    }

    #[test]
    fn what_firmware_does_not_have_is_not_there() {
        firmware(-1);
        assert_eq!(features(0xc400_000e), None);
        assert!(version().is_err());
        assert!(!has_on(1));
    }

    #[test]
    fn firmware_of_0_2_has_what_it_must_have() {
        const CPU_SUSPEND: u32 = 0xc400_0001;
        const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
        const SYSTEM_SUSPEND: u32 = 0xc400_000e;
        for (version, migrates, there) in [
            (2, true, [Some(0), Some(0), None]),
            (2, false, [Some(0), None, None]),
            (1 << 16, true, [None; 3]),
        ] {
            answer_calls(move |function, _| match function {
                0x8400_0000 => [version, 0, 0, 0],
                0x8400_0006 if migrates => [2, 0, 0, 0],
                _ => [NOT_SUPPORTED, 0, 0, 0],
            });
            let seen = [CPU_SUSPEND, MIGRATE_INFO_TYPE, SYSTEM_SUSPEND].map(features);
            assert_eq!(seen, there, "version {version:#x}, migrates: {migrates}");
        }
    }

    #[test]
    fn features_are_asked_for_where_all_that_leads_there_is() {
        // PSCI_VERSION, PSCI_FEATURES of SMCCC_VERSION, SMCCC_VERSION, SMCCC_ARCH_FEATURES.
        let path: [(u64, [u64; 3], u64); 4] = [
            (0x8400_0000, [0; 3], 1 << 16),
            (0x8400_000a, [0x8000_0000, 0, 0], 0),
            (0x8000_0000, [0; 3], 1 << 16 | 1),
            (0x8000_0001, [0xc000_0003, 0, 0], 0),
        ];
        for ends_after in 0..=path.len() {
            let asked = Rc::new(RefCell::new(0));
            let count = asked.clone();
            answer_calls(move |function, arguments| {
                let place = count.replace_with(|&mut count| count + 1);
                let (expected, with, answer) = path[place];
                assert_eq!((function, arguments), (expected, with), "call {place}");
                [
                    if place == ends_after {
                        NOT_SUPPORTED
                    } else {
                        answer
                    },
                    0,
                    0,
                    0,
                ]
            });
            assert_eq!(tells_features(), ends_after == path.len(), "{ends_after}");
            assert_eq!(*asked.borrow(), path.len().min(ends_after + 1));
        }
    }

    #[test]
    fn what_is_open_is_in_x1() {
        answer_calls(|function, [register, ..]| match (function, register) {
            (0xc000_0003, 0x1e_1100) => [0, 0x1234, 0, 0],
            _ => [-3i64 as u64, 0x5678, 0, 0],
        });
        assert_eq!(open_features(El3Register::Scr), Some(0x1234));
        assert_eq!(open_features(El3Register::Mpam3), None);
    }

    #[test]
    fn a_cpu_is_on_if_firmware_says_so() {
        // DEN0022, 5.7.1: 0 is ON, 1 OFF, 2 ON_PENDING.
        for (answer, on) in [(0, true), (1, false), (2, false)] {
            let calls = firmware(answer);
            assert_eq!(has_on(0x100), on, "{answer}");
            assert_eq!(*calls.borrow(), [(0xc400_0004, [0x100, 0, 0])]);
        }
    }

    #[test]
    fn a_call_is_passed_as_it_stands() {
        let calls = firmware(0x1234);
        assert_eq!(pass(0x8400_0009, [1, 2, 3]), 0x1234);
        assert_eq!(*calls.borrow(), [(0x8400_0009, [1, 2, 3])]);
    }
}
