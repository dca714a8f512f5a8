// SPDX-License-Identifier: Apache-2.0
//! Device registers by physical address.

/// Reads a 32-bit register. The address must be one of a device that the machine has.
pub fn read32(address: u64) -> u32 {
    // SAFETY: addresses come from the device tree and lie outside RAM; no Rust object is there.
    unsafe { (address as *const u32).read_volatile() }
}

/// Reads a register of 8 bits.
pub fn read8(address: u64) -> u8 {
    // SAFETY: as for `read32`.
    unsafe { (address as *const u8).read_volatile() }
}

/// Writes a register of 8 bits.
pub fn write8(address: u64, value: u8) {
    // SAFETY: as for `read32`.
    unsafe { (address as *mut u8).write_volatile(value) }
}

/// Reads a 64-bit register.
pub fn read64(address: u64) -> u64 {
    // SAFETY: as for `read32`.
    unsafe { (address as *const u64).read_volatile() }
}

/// Writes a 32-bit register.
pub fn write32(address: u64, value: u32) {
    // SAFETY: as for `read32`.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// Writes a 64-bit register.
pub fn write64(address: u64, value: u64) {
    // SAFETY: as for `read32`.
    unsafe { (address as *mut u64).write_volatile(value) }
}
