// SPDX-License-Identifier: Apache-2.0
//! The registers that a kernel says it panicked with.

use crate::arch::translate::translate;
use crate::machine::caught::REGISTERS;
use crate::memory::guest_ram::GuestRam;

/// The bits of an address within the smallest page.
const IN_PAGE: u64 = 0xfff;

/// Reads what Linux's `struct pt_regs` begins with (`struct user_pt_regs`, `uapi/asm/ptrace.h`): x0 to x30, SP, PC
/// and PSTATE. It is at virtual address `address`, on a stack, which need not be physically in one piece.
///
/// `None` if not all of it is the guest's memory.
pub fn read(ram: &GuestRam, address: u64) -> Option<[u64; REGISTERS]> {
    let mut registers = [0; REGISTERS];
    let mut place = translate(address)?;
    for (number, register) in (0..).zip(&mut registers) {
        let word = address.wrapping_add(8 * number);
        if word & IN_PAGE < 8 {
            place = translate(word)?;
        }
        *register = ram.range(place, 8)?.read_u64()?;
        place += 8;
    }
    Some(registers)
}
