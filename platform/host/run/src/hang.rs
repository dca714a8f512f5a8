// SPDX-License-Identifier: Apache-2.0
//! Has CPUs of a Linux guest hang: they spin in the kernel with all interrupts masked, each with a mark in a register.

use crate::gdb::{CPSR, Gdb, GdbError, PC};
use std::ops::Range;

/// What the guest says when it waits for that, before the address of `_stext`.
const WAITS: &str = "guest: hang: _stext is at 0x";
/// What is between that address and the one of `__crash_kexec()`.
const AND: &str = ", __crash_kexec at 0x";
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

/// Where things are in a kernel that waits for CPUs to hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// `_stext`
    pub stext: u64,
    /// `__crash_kexec()`
    pub crash_kexec: u64,
}

/// Reads a line of the console, if the guest says in it that it waits for CPUs to hang.
pub fn waits(line: &str) -> Option<Waiting> {
    let (_, addresses) = line.split_once(WAITS)?;
    let (stext, crash_kexec) = addresses.split_once(AND)?;
    let address = |text: &str| u64::from_str_radix(text.trim(), 16).ok();
    Some(Waiting {
        stext: address(stext)?,
        crash_kexec: address(crash_kexec)?,
    })
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

/// As [`hang`], when a CPU that panics has come to `__crash_kexec()`. Each of `cpus` has executed its loop once then.
///
/// A vCPU that spins takes 100 ms of the host's time at each of its turns, where all have one host thread: a kernel
/// with 40 of them was not at its panic after two minutes.
///
/// # Errors
/// [`GdbError`]
pub fn hang_in_panic(
    gdb: &mut Gdb,
    smp: u32,
    cpus: Range<u32>,
    image: &[u8],
    waiting: Waiting,
) -> Result<Option<u64>, GdbError> {
    let breakpoint = format!("1,{:x},4", waiting.crash_kexec);
    gdb.expect_ok(&format!("Z{breakpoint}"))?;
    gdb.go_on_without(smp, &[]);
    gdb.stopped()?;
    gdb.expect_ok(&format!("z{breakpoint}"))?;
    let Some(place) = hang(gdb, smp, cpus.clone(), image, waiting.stext)? else {
        return Ok(None);
    };
    for cpu in cpus {
        gdb.step(cpu)?;
        gdb.expect_register(cpu, PC, place)?;
        gdb.expect_register(cpu, CPSR, MASKED)?;
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
    fn the_guests_line_has_the_addresses() {
        let line = "[    3.1] guest: hang: _stext is at 0xffff800008010000, __crash_kexec at 0xffff800008187560";
        let expected = Waiting {
            stext: 0xffff_8000_0801_0000,
            crash_kexec: 0xffff_8000_0818_7560,
        };
        assert_eq!(waits(line), Some(expected));
        let line = "guest: hang: _stext is at 0xffff800008010000, __crash_kexec at 0x";
        assert_eq!(waits(line), None);
        assert_eq!(waits("guest: panic"), None);
    }
}
