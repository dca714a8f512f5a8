// SPDX-License-Identifier: Apache-2.0
//! Decodes PSCI calls: each one suspends, goes to firmware, is answered by the monitor, or is
//! refused.
#![no_main]

use arm_psci::{ErrorCode, Function, FunctionId};
use baton_core::power_state::{Depth, Format};
use baton_core::psci::decode::{Request, decode, is_denied, is_mandatory};
use baton_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;

/// Returns an argument of a call: any number, or a small one, as its fields have.
fn argument(input: &mut Input<'_>) -> u64 {
    match input.u8() % 3 {
        0 => input.u8().into(),
        1 => input.edge(),
        _ => input.number(8),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.u8();
    let (firmware_has, any_id) = (flags & 1 != 0, flags & 2 != 0);
    let x0 = if any_id {
        input.number(8)
    } else {
        0x8400_0000 | u64::from(flags & 4) << 28 | u64::from(input.u8() % 0x20)
    };
    let arguments = [
        x0,
        argument(&mut input),
        argument(&mut input),
        argument(&mut input),
    ];
    let request = decode(&arguments, |_| firmware_has);
    let id = FunctionId::try_from(x0 as u32);
    match (&request, id) {
        (Err(error), _) => assert!(
            matches!(
                error,
                ErrorCode::NotSupported | ErrorCode::InvalidParameters
            ),
            "{error:?}"
        ),
        (Ok(request), Err(_)) => panic!("{request:?} of an unknown function {x0:#x}"),
        (Ok(request), Ok(id)) => {
            assert!(!is_denied(id), "{id:?} is denied, and {request:?}");
            match request {
                Request::Suspend { entry, context, .. } => {
                    let wide = id == FunctionId::CpuSuspend64;
                    assert!(
                        wide || (entry | context) >> 32 == 0,
                        "{request:?} of {id:?}"
                    );
                }
                // A call that goes to firmware as it stands must neither start nor stop a CPU.
                Request::Pass => {
                    assert!(!is_mandatory(id), "{id:?} passed");
                    let starts = matches!(
                        Function::try_from(&arguments),
                        Ok(Function::CpuOn { .. }
                            | Function::CpuSuspend { .. }
                            | Function::CpuDefaultSuspend { .. }
                            | Function::SystemSuspend { .. }
                            | Function::CpuOff
                            | Function::CpuFreeze
                            | Function::SystemOff
                            | Function::SystemOff2 { .. }
                            | Function::SystemReset
                            | Function::SystemReset2 { .. })
                    );
                    assert!(!starts, "{arguments:x?} passed");
                }
                Request::Here(function) => {
                    assert!(firmware_has || is_mandatory(id), "{function:?} offered");
                    assert_eq!(u32::from(function.function_id()), x0 as u32);
                }
            }
        }
    }
    let state = arguments[1] as u32;
    for (features, state_type) in [(0, 1 << 16), (2, 1 << 30)] {
        match Format::from_features(features).depth(state) {
            Some(Depth::PowerDown) => assert_ne!(state & state_type, 0),
            Some(Depth::Standby) => assert_eq!(state & state_type, 0),
            None => {}
        }
    }
});
