// SPDX-License-Identifier: Apache-2.0
//! SDEI of firmware, below the monitor, by SMC (DEN0054): firmware calls EL2 when an interrupt comes, whatever the CPU
//! has masked, and the guest's own interrupts need no exit for that.

use super::{EVENT_WAITS, Firmware, NOT_DIRECTLY};
use baton_core::sdei::{Event, SdeiError, TO_ONE_CPU, id, result, version};
use core::sync::atomic::Ordering::Relaxed;
use smccc::Call;

unsafe extern "C" {
    /// `vectors.S`: where firmware calls a CPU.
    fn sdei_event();
}

fn call(function: u32, given: [u64; 5]) -> Result<u64, SdeiError> {
    let mut arguments = [0; 17];
    arguments[..5].copy_from_slice(&given);
    result(Firmware::call64(function, arguments)[0])
}

/// Returns firmware's version of SDEI, major and minor.
///
/// # Errors
///
/// [`SdeiError::NotSupported`] if it has none.
pub fn ask_version() -> Result<(u64, u64), SdeiError> {
    call(id::VERSION, [0; 5]).map(version)
}

/// Binds the SPI `intid` to an event (INTERRUPT_BIND).
///
/// # Errors
///
/// What firmware says.
pub fn bind(intid: u32) -> Result<Event, SdeiError> {
    call(id::INTERRUPT_BIND, [intid.into(), 0, 0, 0, 0]).map(Event)
}

/// Has `event` come to the monitor, on the CPU `mpidr`, once it is enabled (EVENT_REGISTER): from now on the interrupt
/// is EL3's.
///
/// # Errors
///
/// What firmware says.
pub fn register(event: Event, mpidr: u64) -> Result<(), SdeiError> {
    let handler = sdei_event as *const () as u64;
    call(id::EVENT_REGISTER, [event.0, handler, 0, TO_ONE_CPU, mpidr]).map(drop)
}

/// Enables `event` (EVENT_ENABLE).
///
/// # Errors
///
/// What firmware says.
pub fn enable(event: Event) -> Result<(), SdeiError> {
    call(id::EVENT_ENABLE, [event.0, 0, 0, 0, 0]).map(drop)
}

/// Has `event`, which is enabled, come to the CPU `mpidr` from now on. If the interrupt comes meanwhile, it waits.
///
/// # Errors
///
/// What firmware says.
pub fn route(event: Event, mpidr: u64) -> Result<(), SdeiError> {
    call(id::EVENT_DISABLE, [event.0, 0, 0, 0, 0])?;
    let routed = call(id::EVENT_ROUTING_SET, [event.0, TO_ONE_CPU, mpidr, 0, 0]);
    enable(event)?;
    routed.map(drop)
}

/// Has events come to the CPU that runs this (PE_UNMASK). Firmware has them masked on each CPU that it starts, or that
/// wakes.
///
/// # Errors
///
/// What firmware says.
pub fn unmask() -> Result<(), SdeiError> {
    call(id::PE_UNMASK, [0; 5]).map(drop)
}

/// No event waits any more.
pub fn seen_to() {
    NOT_DIRECTLY.fetch_and(!EVENT_WAITS, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::fake::answer_calls;
    use alloc::rc::Rc;
    use alloc::vec::Vec;
    use core::cell::RefCell;

    const EVENT: Event = Event(804);
    const CPU: u64 = 0x1_0000_0102;

    #[test]
    fn an_event_is_enabled_again_where_it_cannot_be_routed() {
        for (refused, expected) in [(0, Ok(())), (id::EVENT_ROUTING_SET, Err(SdeiError::Denied))] {
            let calls = Rc::new(RefCell::new(Vec::new()));
            let seen = calls.clone();
            answer_calls(move |function, arguments| {
                seen.borrow_mut().push((function as u32, arguments));
                [
                    if function as u32 == refused {
                        -3i64 as u64
                    } else {
                        0
                    },
                    0,
                    0,
                    0,
                ]
            });
            assert_eq!(route(EVENT, CPU), expected, "{refused:#x}");
            let made: Vec<_> = calls.borrow().clone();
            assert_eq!(
                made,
                [
                    (0xc400_0023, [804, 0, 0]),
                    (0xc400_002a, [804, 1, CPU]),
                    (0xc400_0022, [804, 0, 0]),
                ]
            );
        }
    }

    #[test]
    fn without_sdei_there_is_no_version() {
        answer_calls(|_, _| [u64::MAX, 0, 0, 0]);
        assert_eq!(ask_version(), Err(SdeiError::NotSupported));
        answer_calls(|_, _| [1 << 48, 0, 0, 0]);
        assert_eq!(ask_version(), Ok((1, 0)));
    }
}
