// SPDX-License-Identifier: Apache-2.0
//! System registers by the names that the Arm manuals give them.
//!
//! `read_sysreg!(ICC_PMR_EL1)` and `write_sysreg!(ICC_PMR_EL1, value)` are one instruction on the
//! bare machine. On a PC they go to [`fake`], so that tests see what register code reads and writes.
//!
//! A register that there are several of is named in parts, for a macro that counts through them:
//! `read_sysreg!("DBGBCR" 3 "_EL1")`.
#![cfg_attr(target_os = "none", no_std)]

mod encodings;
#[cfg(not(target_os = "none"))]
pub mod fake;
pub mod gic;

/// Reads a system register: `read_sysreg!(CNTVOFF_EL2)`.
///
/// An emulator may ignore the read of a register that it does not have: `read_sysreg!(MDCCINT_EL1 or 0)`
/// gives 0 then, where the value is undefined without `or`.
///
/// To be used in an `unsafe` block: the register must exist on this CPU and be accessible at this
/// exception level, and reading it must have no side effect that other code does not expect.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! read_sysreg {
    ($name:ident or $otherwise:expr) => {{
        let mut value: u64 = $otherwise;
        core::arch::asm!(
            concat!("mrs {value}, ", $crate::encoding!($name)),
            value = inout(reg) value,
            options(nostack, preserves_flags),
        );
        value
    }};
    ($($name:tt)+) => {{
        let value: u64;
        core::arch::asm!(
            concat!("mrs {value}, ", $crate::encoding!($($name)+)),
            value = out(reg) value,
            options(nostack, preserves_flags),
        );
        value
    }};
}

/// Writes a system register: `write_sysreg!(CNTVOFF_EL2, 0)`.
///
/// To be used in an `unsafe` block: the register must exist on this CPU and be writable at this
/// exception level, and the value must not take away what the running code stands on.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! write_sysreg {
    (@parts [$($name:tt)+] $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(
            concat!("msr ", $crate::encoding!($($name)+), ", {value}"),
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }};
    ($name:ident, $value:expr $(,)?) => { $crate::write_sysreg!(@parts [$name] $value) };
    ($($part:literal)+, $value:expr $(,)?) => { $crate::write_sysreg!(@parts [$($part)+] $value) };
}

/// Reads a register of [`fake`]: the terms are those of the bare machine.
#[cfg(not(target_os = "none"))]
#[macro_export]
macro_rules! read_sysreg {
    ($name:ident or $otherwise:expr) => {
        $crate::fake::read_or(stringify!($name), $otherwise)
    };
    ($name:ident) => { $crate::fake::read(stringify!($name)) };
    ($($part:literal)+) => { $crate::fake::read(concat!($($part),+)) };
}

/// Writes a register of [`fake`]: the terms are those of the bare machine.
#[cfg(not(target_os = "none"))]
#[macro_export]
macro_rules! write_sysreg {
    ($name:ident, $value:expr $(,)?) => { $crate::fake::write(stringify!($name), $value) };
    ($($part:literal)+, $value:expr $(,)?) => { $crate::fake::write(concat!($($part),+), $value) };
}
