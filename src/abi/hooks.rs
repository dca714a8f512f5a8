// SPDX-License-Identifier: Apache-2.0
//! The calls in a Linux kernel that are patched, two in `kernel_kexec()` and two in `__crash_kexec()`: who reads the
//! kernel's memory can see whether they are.

/// `hvc #imm` without its immediate (Arm ARM, C6.2, HVC).
const HVC: u32 = 0xd400_0002;
/// The immediate in place of the call that takes the other CPUs down.
pub const HOOK1: u16 = 0xba71;
/// The immediate in place of `bl machine_kexec`.
pub const HOOK2: u16 = 0xba72;
/// The immediate in place of `bl machine_crash_shutdown`, which stops the other CPUs after a panic.
pub const CRASH_HOOK1: u16 = 0xba73;
/// The immediate in place of the `bl machine_kexec` behind that.
pub const CRASH_HOOK2: u16 = 0xba74;

/// Returns the instruction `hvc #immediate`.
pub const fn hvc(immediate: u16) -> u32 {
    HVC | (immediate as u32) << 5
}
