// SPDX-License-Identifier: Apache-2.0
//! Addresses in the running image: where CPUs enter it (`start.S`), and its bounds (the linker script).

unsafe extern "C" {
    /// Where `CPU_ON` starts a CPU: x0 is the address of its [`Cpu`](crate::cpu::Cpu).
    fn secondary_start();
    /// Where a CPU begins that lost its power in a guarded function: x0 is the address of its
    /// [`Cpu`](crate::cpu::Cpu).
    fn resume_start();
    /// First byte of the image.
    static image_start: u8;
    /// End of what never changes: text, read-only data, relocations.
    static constant_end: u8;
    /// End of the image, `.bss` included.
    static image_end: u8;
}

/// Address of the entry of secondary CPUs.
pub fn secondary_entry() -> u64 {
    secondary_start as *const () as u64
}

/// Address of the entry of a CPU that lost its power in a guarded function, which ends by that.
pub fn resume_entry() -> u64 {
    resume_start as *const () as u64
}

/// Address range of the running image.
pub fn image() -> (u64, u64) {
    (&raw const image_start as u64, &raw const image_end as u64)
}

/// The part of the image that is the same in every generation, whatever address it runs at.
///
/// Text and relocations only: relocated data lies behind it.
pub fn constant_image() -> (u64, u64) {
    (
        &raw const image_start as u64,
        &raw const constant_end as u64,
    )
}
