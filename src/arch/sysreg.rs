//! System registers by name, for those that `arm-sysregs` does not have.
//!
//! A register that the assembler of the toolchain does not know is written as its encoding,
//! `s<op0>_<op1>_c<CRn>_c<CRm>_<op2>`, beside its name.

/// Reads a system register: `read_sysreg!("cntvoff_el2")`.
///
/// To be used in an `unsafe` block: the register must exist on this CPU and be accessible at EL2,
/// and reading it must have no side effect that other code does not expect.
#[macro_export]
macro_rules! read_sysreg {
    ($name:literal) => {{
        let value: u64;
        core::arch::asm!(
            concat!("mrs {value}, ", $name),
            value = out(reg) value,
            options(nostack, preserves_flags),
        );
        value
    }};
}

/// Writes a system register: `write_sysreg!("cntvoff_el2", 0)`.
///
/// To be used in an `unsafe` block: the register must exist on this CPU and be writable at EL2, and
/// the value must not take away what the running code stands on.
#[macro_export]
macro_rules! write_sysreg {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(
            concat!("msr ", $name, ", {value}"),
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }};
}

/// The affinity fields of `MPIDR_EL1`, as the GIC and PSCI have them too.
pub const AFFINITY: u64 = 0xff_00ff_ffff;

/// Returns bits `[low + 3 : low]` of an ID register: the usual four-bit feature field.
pub const fn id_field(register: u64, low: u32) -> u64 {
    register >> low & 0xf
}
