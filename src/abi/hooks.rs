// SPDX-License-Identifier: Apache-2.0
//! The two calls in a Linux kernel's `kernel_kexec()` that are patched: who reads the kernel's memory can see
//! whether they are.

/// `hvc #imm` without its immediate (Arm ARM, C6.2, HVC).
const HVC: u32 = 0xd400_0002;
/// The immediate in place of the call that takes the other CPUs down.
pub const HOOK1: u16 = 0xba71;
/// The immediate in place of `bl machine_kexec`.
pub const HOOK2: u16 = 0xba72;

/// Returns the instruction `hvc #immediate`.
pub const fn hvc(immediate: u16) -> u32 {
    HVC | (immediate as u32) << 5
}
