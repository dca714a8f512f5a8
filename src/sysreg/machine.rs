// SPDX-License-Identifier: Apache-2.0
//! The bare machine: each macro is one instruction.

/// Reads a system register: `read_sysreg!(CNTVOFF_EL2)`.
///
/// An emulator may ignore the read of a register that it does not have: `read_sysreg!(MDCCINT_EL1 or 0)`
/// gives 0 then, where the value is undefined without `or`.
///
/// To be used in an `unsafe` block: the register must exist on this CPU and be accessible at this
/// exception level, and reading it must have no side effect that other code does not expect.
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

/// Executes an instruction that changes no general register: `instruction!("dsb ish")`, or with an
/// operand, `instruction!("dc cvac", address)`.
///
/// To be used in an `unsafe` block: the instruction must be there on this CPU, and must not change
/// what the compiler takes for unchanged.
#[macro_export]
macro_rules! instruction {
    ($text:tt) => {
        core::arch::asm!(
            $crate::mnemonic!($text),
            options(nostack, preserves_flags),
        )
    };
    ($text:tt, $operand:expr) => {{
        let operand: u64 = $operand;
        core::arch::asm!(
            concat!($crate::mnemonic!($text), ", {operand}"),
            operand = in(reg) operand,
            options(nostack, preserves_flags),
        );
    }};
}
