// SPDX-License-Identifier: Apache-2.0
//! Has CPUs of a Linux guest hang: they spin in the kernel with all interrupts masked, each with a mark in a register.

use crate::gdb::{CPSR, Gdb, GdbError, PC};
use std::ops::Range;

/// What the guest says when it waits for that: behind it the address of `_stext`.
const WAITS: &str = "guest: hang: _stext is at 0x";
/// SPSR of EL1h with D, A, I and F masked.
pub const MASKED: u64 = 0x3c5;
/// `b .`
const SPIN: u32 = 0x1400_0000;
/// How far `_stext` is from the start of the Image.
pub const STEXT: u64 = 0x1_0000;

/// Returns what is in x19 of a CPU that hangs.
pub fn mark(cpu: u32) -> u64 {
    0x5eed_0000_c0de_0000 + u64::from(cpu)
}

/// Returns the address of `_stext` from a line of the console, if the guest waits for CPUs to hang.
pub fn waits(line: &str) -> Option<u64> {
    let (_, stext) = line.split_once(WAITS)?;
    u64::from_str_radix(stext.trim(), 16).ok()
}

/// Has `cpus` of `smp` hang in the kernel `image`, whose `_stext` is at `stext`. Returns where; `None` if the kernel has
/// no such place. All are stopped afterwards.
///
/// # Errors
/// [`GdbError`]
pub fn hang(
    gdb: &mut Gdb,
    smp: u32,
    cpus: Range<u32>,
    image: &[u8],
    stext: u64,
) -> Result<Option<u64>, GdbError> {
    let Some(place) = find(gdb, smp, image, stext)? else {
        return Ok(None);
    };
    for cpu in cpus {
        gdb.set_register(cpu, CPSR, MASKED)?;
        gdb.set_register(cpu, PC, place)?;
        gdb.set_register(cpu, 19, mark(cpu))?;
    }
    Ok(Some(place))
}

/// Finds an instruction that branches to itself.
fn find(gdb: &mut Gdb, smp: u32, image: &[u8], stext: u64) -> Result<Option<u64>, GdbError> {
    let text = image.get(STEXT as usize..).unwrap_or_default();
    let (words, _) = text.as_chunks::<4>();
    let spins = (stext..).step_by(4).zip(words);
    for (address, _) in spins.filter(|(_, word)| **word == SPIN.to_le_bytes()) {
        // Some of them the kernel has patched since, and a CPU in user space sees none.
        for cpu in 0..smp {
            if gdb
                .word(cpu, address)?
                .is_some_and(|word| word as u32 == SPIN)
            {
                return Ok(Some(address));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_line_has_the_address() {
        let line = "[    3.1] guest: hang: _stext is at 0xffff800008010000";
        assert_eq!(waits(line), Some(0xffff_8000_0801_0000));
        assert_eq!(waits("guest: panic"), None);
    }
}
