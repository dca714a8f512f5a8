// SPDX-License-Identifier: Apache-2.0
//! QEMU's `virt` machine, as far as firmware has to know it (`hw/arm/virt.c`), and where tests put what
//! it starts. Addresses are physical.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Where the monitor's image lies.
pub const NEXT: u64 = 0x4020_0000;
/// Where its device tree lies.
pub const TREE: u64 = 0x4800_0000;

/// Where a test may put a word with options. Guests have that memory later.
const OPTIONS: u64 = 0x4010_0000;
/// Behind it: which bits of `SCR_EL3`, `CPTR_EL3` and `MDCR_EL3`, a word each, are other than where nothing
/// traps.
const TRAPS: u64 = OPTIONS + 8;
const TO_EL3: u32 = 1 << 0;
const IN_SPIN_TABLES: u32 = 1 << 1;
const TELLS_FEATURES: u32 = 1 << 2;
const PSCI_0_2: u32 = 1 << 3;
const OS_INITIATED: u32 = 1 << 4;
static READ: AtomicU32 = AtomicU32::new(0);
static TRAPS_READ: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Where the spin table of CPU 0 would be: a 64-bit word for each CPU.
const SPIN_TABLES: u64 = 0x4010_1000;
/// The CPUs from this number on that wait in spin tables, where that is an option.
const FIRST_IN_SPIN_TABLE: usize = 2;

/// Reads the options: once, before anything else runs.
pub fn read_options() {
    READ.store(read32(OPTIONS), Relaxed);
    for (number, traps) in (0..).zip(&TRAPS_READ) {
        traps.store(read64(TRAPS + 8 * number), Relaxed);
    }
}

/// The bits of `SCR_EL3`, `CPTR_EL3` and `MDCR_EL3` that are other than where nothing traps.
pub fn traps() -> [u64; 3] {
    TRAPS_READ.each_ref().map(|traps| traps.load(Relaxed))
}

/// An option: there is SMCCC_ARCH_FEATURE_AVAILABILITY.
pub fn tells_features() -> bool {
    READ.load(Relaxed) & TELLS_FEATURES != 0
}

/// An option: PSCI is that of 0.2, which has no PSCI_FEATURES.
pub fn is_psci_0_2() -> bool {
    READ.load(Relaxed) & PSCI_0_2 != 0
}

/// An option: CPU_SUSPEND has the OS-initiated mode.
pub fn has_os_initiated() -> bool {
    READ.load(Relaxed) & OS_INITIATED != 0
}

/// An option: FIQs, which interrupts of group 0 are, go to EL3, as with Trusted Firmware-A.
pub fn fiq_to_el3() -> bool {
    READ.load(Relaxed) & TO_EL3 != 0
}

/// An option: CPUs from the third on wait in spin tables. Returns where the table of the CPU with this
/// number is.
///
/// CPUs ask this before CPU 0 may have read the options. No guest runs before they have left.
pub fn spin_table(number: usize) -> Option<u64> {
    let there = read32(OPTIONS) & IN_SPIN_TABLES != 0 && number >= FIRST_IN_SPIN_TABLE;
    there.then_some(SPIN_TABLES + 8 * number as u64)
}

/// Whether PSCI knows the CPU with this number: it is in no spin table.
pub fn has_psci(number: usize) -> bool {
    READ.load(Relaxed) & IN_SPIN_TABLES == 0 || number < FIRST_IN_SPIN_TABLE
}

/// Waits until there is an address in the spin table at `word`.
pub fn wait_in_spin_table(word: u64) -> u64 {
    loop {
        // SAFETY: a word of RAM that the tables alone are in, and the MMU is off.
        match unsafe { (word as *const u64).read_volatile() } {
            // SAFETY: a hint.
            0 => unsafe { core::arch::asm!("wfe") },
            entry => return entry,
        }
    }
}

/// CPUs that there is room for.
pub const MAX_CPUS: usize = 64;
/// CPUs that have the same Aff1, with a GICv3.
pub const CLUSTER: u64 = 16;

/// The distributor.
pub const GICD: u64 = 0x0800_0000;
/// CPU 0's redistributor; the others follow.
pub const GICR: u64 = 0x080a_0000;

/// RAM of a machine of 2 GiB.
const RAM: core::ops::Range<u64> = 0x4000_0000..0xc000_0000;

/// Whether there is RAM at an address.
pub fn in_ram(address: u64) -> bool {
    RAM.contains(&address)
}

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

/// Reads a word of memory that a message names.
pub fn read64(address: u64) -> u64 {
    // SAFETY: as firmware does, it believes who calls; the MMU is off.
    unsafe { (address as *const u64).read_volatile() }
}

/// Writes a word of memory that a message names.
pub fn write64(address: u64, value: u64) {
    // SAFETY: as above.
    unsafe { (address as *mut u64).write_volatile(value) }
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
