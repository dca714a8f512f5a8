// SPDX-License-Identifier: Apache-2.0
//! The note with a CPU's registers (NT_PRSTATUS), as Linux's `crash_save_cpu()` writes it: a header
//! with the name `CORE`, a `struct elf_prstatus`, and an empty header as the end (Linux
//! `include/linux/elfcore.h`, `note_buf_t`).

use crate::memory::guest_memory::GuestMemory;
use crate::tee::message::WritableMemory;

/// Bytes of a note.
pub const SIZE: usize = WORDS * 8;
const WORDS: usize = 53;

/// The first 20 bytes: size of the name with its end, size of `struct elf_prstatus`, type, name.
const NAME_SIZE: u32 = 5;
const STATUS_SIZE: u32 = 392;
const NT_PRSTATUS: u32 = 1;
const NAME: [u8; 8] = *b"CORE\0\0\0\0";
/// Where `struct elf_prstatus` begins, and the registers in it (`pr_reg`).
const STATUS: usize = 20;
const REGISTERS: usize = STATUS + 112;

/// `PSTATE.M` of EL1 with its own stack pointer (SP_EL1), and the bits that are the level.
const EL1H: u64 = 5;
const MODE: u64 = 0xf;
const LEVEL: u64 = 0xc;
/// PSTATE as after a reset: EL1h, D, A, I and F masked.
const RESET: u64 = 0x3c5;

/// Registers of a CPU, in the order of the note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// x0 to x30.
    pub x: [u64; 31],
    /// The stack pointer that was in use.
    pub sp: u64,
    /// Where the CPU would have gone on.
    pub pc: u64,
    /// PSTATE in the format of SPSR_EL2.
    pub pstate: u64,
}

impl Registers {
    /// The registers of a CPU that was off, or that has not come: none, at EL1. PSTATE is that of a reset,
    /// as tools look for a process's stack where it says EL0.
    pub const NONE: Self = Self {
        x: [0; 31],
        sp: 0,
        pc: 0,
        pstate: RESET,
    };

    /// Returns the registers of a CPU that was in `pstate`, with the stack pointer that it used then.
    pub const fn new(x: [u64; 31], pc: u64, pstate: u64, sp_el0: u64, sp_el1: u64) -> Self {
        let sp = if pstate & MODE == EL1H {
            sp_el1
        } else {
            sp_el0
        };
        Self { x, sp, pc, pstate }
    }

    /// Returns whether the CPU was in a process, at EL0. The note says so by its PSTATE.
    pub const fn is_user(&self) -> bool {
        self.pstate & LEVEL == 0
    }

    /// Writes the note of these registers to `address`, a multiple of 8 in guest memory.
    ///
    /// The header goes last: what is not all there is no note.
    pub fn write(&self, memory: &impl WritableMemory, address: u64) {
        let bytes = self.note();
        let words = bytes.as_chunks::<8>().0.iter().enumerate();
        for (number, word) in words.rev() {
            let at = address.wrapping_add(8 * number as u64);
            memory.write_u64(at, u64::from_le_bytes(*word));
        }
    }

    /// Returns the bytes of the note.
    fn note(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes
                .get_mut(at..)
                .and_then(|rest| rest.get_mut(..value.len()))
            {
                place.copy_from_slice(value);
            }
        };
        put(0, &NAME_SIZE.to_le_bytes());
        put(4, &STATUS_SIZE.to_le_bytes());
        put(8, &NT_PRSTATUS.to_le_bytes());
        put(12, &NAME);
        let registers = self.x.iter().chain([&self.sp, &self.pc, &self.pstate]);
        for (at, register) in (REGISTERS..).step_by(8).zip(registers) {
            put(at, &register.to_le_bytes());
        }
        bytes
    }
}

/// Returns whether there is a note at `address`, a multiple of 8: then the kernel has written it.
pub fn is_filled(memory: &impl GuestMemory, address: u64) -> bool {
    let word = |offset| memory.read_u64(address.wrapping_add(offset));
    let [n0, n1, n2, n3, ..] = NAME;
    let name = u32::from_le_bytes([n0, n1, n2, n3]);
    word(0) == Some(u64::from(STATUS_SIZE) << 32 | u64::from(NAME_SIZE))
        && word(8) == Some(u64::from(name) << 32 | u64::from(NT_PRSTATUS))
        // The name's end, and the padding behind it.
        && word(16).is_some_and(|word| word as u32 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::fake::Ram;

    const AT: u64 = Ram::START + 0x1200;

    /// Each register has a value of its own.
    fn registers(pstate: u64) -> Registers {
        let mut x = [0; 31];
        for (number, register) in (0..).zip(&mut x) {
            *register = 0xffff_8000_0000_0000 + number;
        }
        Registers::new(x, 0xffff_8000_1234_5678, pstate, 0xe10, 0xe11)
    }

    fn written(registers: &Registers) -> (Ram, Vec<u8>) {
        let ram = Ram::new();
        ram.write(AT - 8, 0x55);
        ram.write(AT + SIZE as u64, 0x55);
        for at in (AT..AT + SIZE as u64).step_by(8) {
            ram.write(at, u64::MAX);
        }
        registers.write(&ram, AT);
        let words = (AT..AT + SIZE as u64).step_by(8);
        let bytes = words.flat_map(|at| ram.read_u64(at).unwrap().to_le_bytes());
        let bytes = bytes.collect();
        (ram, bytes)
    }

    #[test]
    fn a_note_is_as_linux_writes_it() {
        let registers = registers(0x6040_03c5);
        let (ram, bytes) = written(&registers);
        let (pr_reg, fpvalid) = (20 + 112, 20 + 384);
        // Elf64_Nhdr, the name in four bytes each, and `pr_info` to `pr_cstime`, which nobody knows.
        let mut header = [5u32, 392, 1].map(u32::to_le_bytes).concat();
        header.extend(b"CORE\0\0\0\0");
        assert_eq!(bytes[..20], header);
        assert_eq!(bytes[20..pr_reg], [0; 112]);
        let found: Vec<u64> = bytes[pr_reg..fpvalid]
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(found[..31], registers.x);
        assert_eq!(found[31..], [0xe11, registers.pc, registers.pstate]);
        // `pr_fpvalid`, padding, and the empty header that ends the notes.
        assert_eq!(bytes[fpvalid..], [0; 8 + 12]);
        assert_eq!(ram.read_u64(AT - 8), Some(0x55));
        assert_eq!(ram.read_u64(AT + 424), Some(0x55));
    }

    #[test]
    fn the_stack_is_the_one_in_use() {
        // EL0 of AArch64 and of AArch32, EL1t, EL1h.
        for (mode, sp, user) in [
            (0, 0xe10, true),
            (0x10, 0xe10, true),
            (4, 0xe10, false),
            (5, 0xe11, false),
        ] {
            let registers = registers(0x3c0 | mode);
            assert_eq!((registers.sp, registers.is_user()), (sp, user), "{mode:#x}");
        }
    }

    #[test]
    fn a_cpu_without_registers_has_a_note_too() {
        let (ram, bytes) = written(&Registers::NONE);
        assert!(is_filled(&ram, AT));
        assert!(!Registers::NONE.is_user());
        assert_eq!(bytes[132..132 + 33 * 8], [0; 33 * 8]);
    }

    #[test]
    fn a_note_that_is_not_whole_is_none() {
        let ram = Ram::new();
        assert!(!is_filled(&ram, AT), "as the kernel has allocated it");
        assert!(!is_filled(&ram, Ram::MONITOR - 8), "not in memory");
        for bit in 0..160 {
            let (ram, _) = written(&registers(5));
            assert!(is_filled(&ram, AT));
            let at = AT + bit / 64 * 8;
            ram.write(at, ram.read_u64(at).unwrap() ^ 1 << (bit % 64));
            assert!(!is_filled(&ram, AT), "with bit {bit} flipped");
        }
    }

    #[test]
    fn the_header_is_written_last() {
        struct Until(Ram, std::cell::Cell<u32>);
        impl GuestMemory for Until {
            fn read_u64(&self, address: u64) -> Option<u64> {
                self.0.read_u64(address)
            }
            fn contains(&self, start: u64, size: u64) -> bool {
                self.0.contains(start, size)
            }
        }
        impl WritableMemory for Until {
            fn write_u64(&self, address: u64, value: u64) {
                if let Some(left) = self.1.get().checked_sub(1) {
                    self.1.set(left);
                    self.0.write(address, value);
                }
            }
        }
        for words in 0..=53 {
            let memory = Until(Ram::new(), words.into());
            registers(5).write(&memory, AT);
            assert_eq!(is_filled(&memory, AT), words == 53, "{words} words");
        }
    }
}
