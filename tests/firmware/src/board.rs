// SPDX-License-Identifier: Apache-2.0
//! QEMU's `virt` machine, as far as firmware has to know it (`hw/arm/virt.c`), and where tests put what
//! it starts. Addresses are physical.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Where the monitor's image lies.
pub const NEXT: u64 = 0x4020_0000;
/// Where its device tree lies.
pub const TREE: u64 = 0x4800_0000;

/// Where a test may put a word with options. Guests have that memory later.
const OPTIONS: u64 = 0x4010_0000;
static FIQ_TO_EL3: AtomicBool = AtomicBool::new(false);

/// Reads the options: once, before anything else runs.
pub fn read_options() {
    FIQ_TO_EL3.store(read32(OPTIONS) & 1 != 0, Relaxed);
}

/// An option: FIQs, which interrupts of group 0 are, go to EL3, as with Trusted Firmware-A.
pub fn fiq_to_el3() -> bool {
    FIQ_TO_EL3.load(Relaxed)
}

/// CPUs that there is room for.
pub const MAX_CPUS: usize = 64;
/// CPUs that have the same Aff1, with a GICv3.
pub const CLUSTER: u64 = 16;

/// The distributor.
pub const GICD: u64 = 0x0800_0000;
/// CPU 0's redistributor; the others follow.
pub const GICR: u64 = 0x080a_0000;

const UART: u64 = 0x0900_0000;
/// A PL061: its line 0 switches the machine off, line 1 resets it.
const SECURE_GPIO: u64 = 0x090b_0000;
/// GPIODIR (PL061 TRM, 3.3.2).
const GPIO_DIR: u64 = 0x400;

/// Reads a 32-bit register of a device, or a word that a loader has put into memory.
pub fn read32(address: u64) -> u32 {
    // SAFETY: devices and options alone are read by this, at fixed addresses, and the MMU is off.
    unsafe { (address as *const u32).read_volatile() }
}

/// Writes a 32-bit register of a device.
pub fn write32(address: u64, value: u32) {
    // SAFETY: nothing but devices at fixed addresses is written by this, and the MMU is off.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// What the machine can be asked to do.
#[derive(Clone, Copy)]
pub enum Power {
    /// Switch itself off.
    Off = 0,
    /// Begin anew.
    Reset = 1,
}

impl Power {
    /// Asks the machine for it.
    pub fn request(self) {
        let line = 1 << self as u32;
        write32(SECURE_GPIO + GPIO_DIR, line);
        // GPIODATA: the address has a mask of the lines to write (PL061 TRM, 3.3.1).
        write32(SECURE_GPIO + (u64::from(line) << 2), line);
    }
}

/// The console, for what must not happen.
pub struct Uart;

impl core::fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            write32(UART, byte.into());
        }
        Ok(())
    }
}
