// SPDX-License-Identifier: Apache-2.0
//! Registers that are written and read back, and those that are waited for.

use super::time;
use baton_core::hw_error::HwError;

/// Compares what was read back from `register` with what was `wanted`, in the bits of `mask`.
///
/// # Errors
///
/// [`HwError::Sticky`] with the whole values if one of these bits differs.
pub fn expect(register: &'static str, wanted: u64, mask: u64, found: u64) -> Result<(), HwError> {
    if (wanted ^ found) & mask == 0 {
        Ok(())
    } else {
        Err(HwError::Sticky {
            register,
            wanted,
            found,
        })
    }
}

/// Waits until what `read` returns of `register` is `done`, and returns that.
///
/// # Errors
///
/// [`HwError::Timeout`] after `us` microseconds.
pub fn wait(
    register: &'static str,
    us: u64,
    mut read: impl FnMut() -> u64,
    done: impl Fn(u64) -> bool,
) -> Result<u64, HwError> {
    let mut found = 0;
    time::wait_us(us, || {
        found = read();
        done(found)
    })
    .map(|()| found)
    .map_err(|timed_out| HwError::Timeout {
        register,
        found,
        waited_us: timed_out.waited_us,
    })
}

/// Writes system registers, synchronises, and reads each back:
/// `reset_registers!(SCTLR_EL1 = 0x30d0_0800, mask 0xff; TCR2_EL1 = 0;)`.
///
/// All are written before the first is read. `mask` limits the comparison to the bits that must
/// take. The value is a `Result<(), HwError>` with the first register that did not.
///
/// To be used in an `unsafe` block, under the terms of `read_sysreg!` and `write_sysreg!`.
macro_rules! reset_registers {
    (@mask) => { u64::MAX };
    (@mask $mask:expr) => { $mask };
    ($($name:ident = $value:expr $(, mask $mask:expr)?;)+) => {{
        $(baton_sysreg::write_sysreg!($name, $value);)+
        $crate::arch::barrier::isb();
        Ok::<(), ::baton_core::hw_error::HwError>(())
            $(.and($crate::arch::verify::expect(
                stringify!($name),
                $value,
                $crate::arch::verify::reset_registers!(@mask $($mask)?),
                baton_sysreg::read_sysreg!($name),
            )))+
    }};
}

pub(crate) use reset_registers;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bits_of_the_mask_count() {
        assert_eq!(expect("PMCR_EL0", 0, 0x3f, 0x4133_3000), Ok(()));
        assert_eq!(
            expect("PMCR_EL0", 0, 0x3f, 0x4133_3001),
            Err(HwError::Sticky {
                register: "PMCR_EL0",
                wanted: 0,
                found: 0x4133_3001,
            }),
            "bit 0 is in the mask and differs"
        );
    }
}
