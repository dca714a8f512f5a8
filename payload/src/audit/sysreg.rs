// SPDX-License-Identifier: Apache-2.0
//! System registers by name or by encoding (`S<op0>_<op1>_C<CRn>_C<CRm>_<op2>`).

/// Reads a system register. One that an emulator ignores reads as zero.
///
/// To be used in an `unsafe` block: the register must be there, and open to EL1.
macro_rules! read {
    ($name:literal) => {{
        let mut value: u64 = 0;
        core::arch::asm!(
            concat!("mrs {value}, ", $name),
            value = inout(reg) value,
            options(nostack, preserves_flags),
        );
        value
    }};
}
pub(super) use read;

/// Writes a system register.
///
/// To be used in an `unsafe` block: the register must be there, open to EL1, and the value must not
/// take away what the probe runs on.
macro_rules! write {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(
            concat!("msr ", $name, ", {value}"),
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }};
}
pub(super) use write;

/// ISB.
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
}
