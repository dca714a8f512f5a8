// SPDX-License-Identifier: Apache-2.0
//! Decodes a guest's PSCI call from its registers.
#![forbid(unsafe_code)]

use arm_psci::{ErrorCode, Function, FunctionId};

/// What a call asks for, and who answers it.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// CPU_SUSPEND. The monitor answers; it asks firmware which format `power_state` has.
    Suspend {
        /// `power_state`, in firmware's format.
        power_state: u32,
        /// Physical address at which the CPU begins after a power-down.
        entry: u64,
        /// What it then finds in x0.
        context: u64,
    },
    /// Firmware answers the call as it stands: it affects nothing that the monitor keeps.
    Pass,
    /// The monitor answers.
    Here(Function),
}

/// Decodes the call in `arguments` (x0 to x3). `firmware_has` says whether firmware offers a
/// function; it is asked only for functions that the monitor does not offer by itself.
///
/// # Errors
///
/// Returns what the call has to return: `NOT_SUPPORTED`, or `INVALID_PARAMETERS` for arguments that
/// the function does not take.
pub fn decode(
    arguments: &[u64; 4],
    firmware_has: impl FnOnce(FunctionId) -> bool,
) -> Result<Request, ErrorCode> {
    let id = FunctionId::try_from(arguments[0] as u32).map_err(|_| ErrorCode::NotSupported)?;
    match id {
        FunctionId::CpuSuspend32 | FunctionId::CpuSuspend64 => {
            let wide = id == FunctionId::CpuSuspend64;
            let [entry, context] =
                [arguments[2], arguments[3]].map(|x| if wide { x } else { u64::from(x as u32) });
            return Ok(Request::Suspend {
                power_state: arguments[1] as u32,
                entry,
                context,
            });
        }
        // A mode that nobody knows is firmware's to refuse, and so is any where it has no such function.
        FunctionId::PsciSetSuspendMode => {
            let known = Function::try_from(arguments).ok();
            let known = known.filter(|_| firmware_has(id));
            return Ok(known.map_or(Request::Pass, Request::Here));
        }
        _ if is_denied(id) => return Err(ErrorCode::NotSupported),
        _ if !is_answered_here(id) => return Ok(Request::Pass),
        _ if is_mandatory(id) => {}
        _ if !firmware_has(id) => return Err(ErrorCode::NotSupported),
        _ => {}
    }
    match Function::try_from(arguments) {
        Ok(function) => Ok(Request::Here(function)),
        Err(error) => Err(undecodable(id, error)),
    }
}

/// Returns whether `id` is refused, whatever firmware offers: firmware would start the CPU at EL2,
/// at an address that the guest chose, or hibernate a machine without saving the monitor.
pub fn is_denied(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::CpuDefaultSuspend32
            | FunctionId::CpuDefaultSuspend64
            | FunctionId::CpuFreeze
            | FunctionId::SystemOff232
            | FunctionId::SystemOff264
    )
}

/// Returns whether the monitor answers `id` itself, and so offers it whatever firmware has.
pub fn is_mandatory(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::PsciVersion
            | FunctionId::PsciFeatures
            | FunctionId::CpuOn32
            | FunctionId::CpuOn64
            | FunctionId::CpuOff
            | FunctionId::AffinityInfo32
            | FunctionId::AffinityInfo64
            | FunctionId::SystemOff
            | FunctionId::SystemReset
    )
}

/// Returns whether the monitor has to answer `id`; all other calls go to firmware as they stand.
fn is_answered_here(id: FunctionId) -> bool {
    is_mandatory(id)
        || matches!(
            id,
            FunctionId::SystemReset232
                | FunctionId::SystemReset264
                | FunctionId::SystemSuspend32
                | FunctionId::SystemSuspend64
        )
}

/// Returns the answer to a call of `id` that does not decode: `INVALID_PARAMETERS`, but
/// `NOT_SUPPORTED` for PSCI_FEATURES of a function that is not known.
fn undecodable(id: FunctionId, error: arm_psci::Error) -> ErrorCode {
    match (id, error) {
        (FunctionId::PsciFeatures, _) | (_, arm_psci::Error::UnrecognisedFunctionId(_)) => {
            ErrorCode::NotSupported
        }
        _ => ErrorCode::InvalidParameters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arm_psci::{EntryPoint, SuspendMode};

    fn call(id: FunctionId, arguments: [u64; 3]) -> Result<Request, ErrorCode> {
        let [x1, x2, x3] = arguments;
        decode(&[u32::from(id).into(), x1, x2, x3], |_| true)
    }

    #[test]
    fn takes_the_low_half_of_32_bit_calls() {
        let high = 0x1_0000_0000;
        let suspend = |entry, context| {
            Ok(Request::Suspend {
                power_state: 5,
                entry,
                context,
            })
        };
        let arguments = [high | 5, high | 0x4000, high | 7];
        assert_eq!(
            call(FunctionId::CpuSuspend32, arguments),
            suspend(0x4000, 7)
        );
        assert_eq!(
            call(FunctionId::CpuSuspend64, arguments),
            suspend(high | 0x4000, high | 7)
        );
        let on = |id| match call(id, [0, high | 0x4000, high | 7]) {
            Ok(Request::Here(Function::CpuOn { entry, .. })) => entry,
            other => panic!("expected CPU_ON of {id:?}, saw {other:?}"),
        };
        let narrow = EntryPoint::Entry32 {
            entry_point_address: 0x4000,
            context_id: 7,
        };
        assert_eq!(on(FunctionId::CpuOn32), narrow);
        assert_eq!(on(FunctionId::CpuOn64).entry_point_address(), high | 0x4000);
        // Bits 63:32 of x0 are not the caller's to use (DEN0028, 2.5).
        let version = u64::from(u32::from(FunctionId::PsciVersion));
        assert_eq!(
            decode(&[high | version, 0, 0, 0], |_| false),
            Ok(Request::Here(Function::Version))
        );
    }

    #[test]
    fn refuses_what_does_not_decode() {
        use ErrorCode::{InvalidParameters, NotSupported};
        assert_eq!(decode(&[0x8400_001f, 0, 0, 0], |_| true), Err(NotSupported));
        assert_eq!(call(FunctionId::CpuFreeze, [0; 3]), Err(NotSupported));
        assert_eq!(
            call(FunctionId::CpuOn64, [1 << 24, 0x4000, 0]),
            Err(InvalidParameters)
        );
        assert_eq!(
            call(FunctionId::PsciFeatures, [0x8400_001f, 0, 0]),
            Err(NotSupported)
        );
    }

    #[test]
    fn keeps_the_suspend_mode_if_it_is_one() {
        let set = |mode| call(FunctionId::PsciSetSuspendMode, [mode, 0, 0]);
        let mode = SuspendMode::OsInitiated;
        assert_eq!(set(1), Ok(Request::Here(Function::SetSuspendMode { mode })));
        assert_eq!(set(2), Ok(Request::Pass));
        let without = [u32::from(FunctionId::PsciSetSuspendMode).into(), 1, 0, 0];
        assert_eq!(decode(&without, |_| false), Ok(Request::Pass));
    }

    #[test]
    fn asks_firmware_for_what_is_optional() {
        let reset2 = [u32::from(FunctionId::SystemReset264).into(), 0, 0, 0];
        assert_eq!(decode(&reset2, |_| false), Err(ErrorCode::NotSupported));
        let asked = decode(&reset2, |id| id == FunctionId::SystemReset264);
        assert!(
            matches!(asked, Ok(Request::Here(Function::SystemReset2 { .. }))),
            "saw {asked:?}"
        );
        assert_eq!(
            call(FunctionId::PsciStatCount64, [u64::MAX; 3]),
            Ok(Request::Pass)
        );
    }
}
