// SPDX-License-Identifier: Apache-2.0
//! MM_COMMUNICATE (Arm DEN0060A, 4.2): what Management Mode, in the Secure world, may be told of.
//!
//! UEFI's runtime services reach variables by it that the Secure world keeps. The call names a message by its
//! address alone: how long it is stands in the message, and who calls can change that whenever it likes. So
//! nothing is read, and no message may begin where the longest one would reach what is not the caller's.
#![forbid(unsafe_code)]

use crate::memory::region::Region;
use core::ops::RangeInclusive;
use thiserror::Error;

/// Function ids, with 32-bit and with 64-bit arguments.
pub const MM_COMMUNICATE: [u32; 2] = [0x8400_0041, 0xc400_0041];
/// In a function id: the arguments have 64 bits (DEN0028, "SMC Function Identifier").
const SMC64: u32 = 1 << 30;
/// The registers that hold arguments: a cookie, the addresses of the message and of its size.
const ARGUMENTS: RangeInclusive<usize> = 1..=3;
const BUFFER: usize = 2;
const SIZE: usize = 3;
/// Bytes that a message may have: the largest of the buffers that EDK2's platforms have for it
/// (`PcdMmBufferSize`; that of Ampere Altra, all others have 64 KiB).
const MESSAGE_MAX: u64 = 1 << 20;

/// Why a call does not go on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CommunicateError {
    /// The size is told by another address, which firmware that has a buffer of its own does not take.
    #[error("MM_COMMUNICATE: the message's size at {0:#x}: it is to be in the message")]
    Size(u64),
    /// A message there can reach beyond the last address.
    #[error("MM_COMMUNICATE: a message at {0:#x} has no end")]
    Wraps(u64),
    /// A message there can reach memory or registers that the caller cannot.
    #[error(
        "MM_COMMUNICATE: a message at {buffer:#x} can reach {withheld}, which is not the guest's"
    )]
    Withheld {
        /// Where it begins.
        buffer: u64,
        /// What it can reach.
        withheld: Region,
    },
}

/// Checks the call of the function `id` with the registers `x`: it may go on if a message there reaches none of
/// `withheld`, that is all that the caller cannot write itself. Of a function with 32-bit arguments, the upper
/// halves are cleared, so that firmware sees what was checked.
///
/// # Errors
///
/// [`CommunicateError`] for what is wrong first.
pub fn check(
    id: u32,
    x: &mut [u64],
    withheld: impl IntoIterator<Item = Region>,
) -> Result<(), CommunicateError> {
    let arguments = x.get_mut(ARGUMENTS).unwrap_or_default();
    if id & SMC64 == 0 {
        for argument in arguments {
            *argument = u64::from(*argument as u32);
        }
    }
    let argument = |number: usize| x.get(number).copied().unwrap_or_default();
    if argument(SIZE) != 0 {
        return Err(CommunicateError::Size(argument(SIZE)));
    }
    let buffer = argument(BUFFER);
    let message = Region::new(buffer, MESSAGE_MAX).map_err(|_| CommunicateError::Wraps(buffer))?;
    let reached = withheld.into_iter().find(|other| message.overlaps(other));
    match reached {
        Some(withheld) => Err(CommunicateError::Withheld { buffer, withheld }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONITOR: u64 = 0xbe20_0000;
    const MIB: u64 = 1 << 20;

    fn withheld() -> [Region; 2] {
        let region = |start, size| Region::new(start, size).expect("a region");
        [region(MONITOR, 4 * MIB), region(0x080a_0000, 0x1_0000)]
    }

    #[track_caller]
    fn checked(id: u32, buffer: u64, size: u64) -> Result<u64, CommunicateError> {
        let mut x = [id.into(), 0, buffer, size, 5];
        check(id, &mut x, withheld()).map(|()| x[2])
    }

    #[test]
    fn a_message_reaches_nothing_that_is_withheld() {
        let [monitor, table] = withheld();
        for (buffer, reached) in [
            (MONITOR + 4 * MIB, None),
            (MONITOR - MIB, None),
            (0x4000_0000, None),
            (0x0900_0000, None),
            (MONITOR, Some(monitor)),
            (MONITOR + 4 * MIB - 8, Some(monitor)),
            (MONITOR - MIB + 8, Some(monitor)),
            (0x080a_fff8, Some(table)),
            (0x0800_0000, Some(table)),
        ] {
            let expected = match reached {
                Some(withheld) => Err(CommunicateError::Withheld { buffer, withheld }),
                None => Ok(buffer),
            };
            let seen = checked(MM_COMMUNICATE[1], buffer, 0);
            assert_eq!(seen, expected, "a message at {buffer:#x}");
        }
    }

    #[test]
    fn a_message_ends_and_has_its_size_in_itself() {
        let at_the_end = u64::MAX - MIB + 2;
        let expected = Err(CommunicateError::Wraps(at_the_end));
        assert_eq!(checked(MM_COMMUNICATE[1], at_the_end, 0), expected);
        let expected = Err(CommunicateError::Size(0x4000_1000));
        let seen = checked(MM_COMMUNICATE[1], 0x4000_0000, 0x4000_1000);
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_firmware_reads_of_32_bit_arguments_is_what_was_checked() {
        let upper = 0xffff_ffff_0000_0000;
        let [monitor, _] = withheld();
        let expected = Err(CommunicateError::Withheld {
            buffer: MONITOR,
            withheld: monitor,
        });
        let [narrow, wide] = MM_COMMUNICATE;
        assert_eq!(checked(narrow, upper | MONITOR, 0), expected);
        assert_eq!(checked(narrow, upper | 0x4000_0000, 0), Ok(0x4000_0000));
        assert_eq!(checked(narrow, 0x4000_0000, upper), Ok(0x4000_0000));
        let beyond = 0xff_0000_0000 | MONITOR;
        assert_eq!(checked(wide, beyond, 0), Ok(beyond));
    }
}
