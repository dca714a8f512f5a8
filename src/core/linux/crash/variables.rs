// SPDX-License-Identifier: Apache-2.0
//! Where the kernel has variables, by the code that reads them: `crash_notes`, by `crash_save_cpu()`, and
//! `kexec_crash_image`, by the call that it is an argument of.
//!
//! The symbols of a kernel may be its functions alone (`CONFIG_KALLSYMS_ALL=n`, as Debian has it).
//! `crash_save_cpu()` reads few pointers of the kernel's: whether one is `crash_notes` shows where it leads
//! (`owners`).

use crate::little_endian::u32_at;
use core::ops::Range;

/// The function that reads `crash_notes`.
pub const SAVE_CPU: &str = "crash_save_cpu";

/// How many of the variables that it reads are looked at.
pub const MAX_VARIABLES: usize = 4;
/// How much of its code, in bytes; that of 7.2 has 312.
const MAX_SIZE: u64 = 1024;

/// Instructions (DDI 0487, C6.2): `ADRP`; `ADD` of an immediate without a shift; `LDR` of 64 bits with an
/// unsigned offset.
const ADRP: (u32, u32) = (0x9f00_0000, 0x9000_0000);
const ADD: (u32, u32) = (0xffc0_0000, 0x9100_0000);
const LDR: (u32, u32) = (0xffc0_0000, 0xf940_0000);

/// Variables of 64 bits in a kernel, by their offsets from the start of the Image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    offsets: [u64; MAX_VARIABLES],
    count: usize,
}

impl Variables {
    /// Returns the offsets in bytes, each a multiple of 8 inside the Image.
    pub fn offsets(&self) -> &[u64] {
        self.offsets.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, offset: u64) {
        if !self.offsets().contains(&offset)
            && let Some(place) = self.offsets.get_mut(self.count)
        {
            *place = offset;
            self.count += 1;
        }
    }
}

/// Returns the variables that the function at offsets `code` of `image` reads, the first
/// [`MAX_VARIABLES`] of them. `image` is the kernel in memory from its header to its end.
pub fn read_by(image: &[u8], code: Range<u64>) -> Variables {
    let mut found = Variables::default();
    let end = code.end.min(code.start.saturating_add(MAX_SIZE));
    for load in loads(image, code.start..end) {
        found.add(load.variable);
    }
    found
}

/// Returns the variable that the instruction before offset `call` of `image` loads into x0, in a function
/// that begins at `start`: what the function called there gets as its argument.
pub fn argument(image: &[u8], start: u64, call: u64) -> Option<u64> {
    let load = loads(image, start..call).last()?;
    (load.at.checked_add(4) == Some(call) && load.register == 0).then_some(load.variable)
}

/// An instruction that loads a variable.
struct Load {
    at: u64,
    register: u32,
    variable: u64,
}

/// Returns those in `code`.
fn loads(image: &[u8], code: Range<u64>) -> impl Iterator<Item = Load> {
    // What a register was last given as an address.
    let mut addresses = [None; 32];
    let words = code.step_by(4).map_while(|at| {
        let place = usize::try_from(at).ok()?;
        Some((at, u32_at(image, place)?))
    });
    words.filter_map(move |(at, word)| {
        let is = |(mask, value): (u32, u32)| word & mask == value;
        let base = addresses.get((word >> 5 & 31) as usize).copied().flatten();
        let immediate = u64::from(word >> 10 & 0xfff);
        let mut address = None;
        let mut load = None;
        if is(ADRP) {
            address = Some(page_of(at, word));
        } else if is(ADD) {
            address = base.map(|base: u64| base.wrapping_add(immediate));
        } else if is(LDR)
            && let Some(base) = base
        {
            let variable = base.wrapping_add(immediate * 8);
            let end = variable.checked_add(8);
            let inside = end.is_some_and(|end| end <= image.len() as u64);
            load = (variable.is_multiple_of(8) && inside).then_some(Load {
                at,
                register: word & 31,
                variable,
            });
        } else {
            // Whatever it does: what it may have written is no address of a variable that is looked for.
            return None;
        }
        if let Some(register) = addresses.get_mut((word & 31) as usize) {
            *register = address;
        }
        load
    })
}

/// Returns the page that the `ADRP` `word` at `at` names.
const fn page_of(at: u64, word: u32) -> u64 {
    let immediate = (word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3;
    let pages = ((immediate << 11) as i32 >> 11) as i64;
    (at & !0xfff).wrapping_add((pages << 12) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0x1_7970;

    /// An image of 1 MiB with `code` at [`AT`].
    fn image(code: &[u32]) -> (Vec<u8>, Range<u64>) {
        let mut image = vec![0; 1 << 20];
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        image[AT as usize..][..bytes.len()].copy_from_slice(&bytes);
        (image, AT..AT + bytes.len() as u64)
    }

    fn offsets(code: &[u32]) -> Vec<u64> {
        let (image, code) = image(code);
        read_by(&image, code).offsets().to_vec()
    }

    fn adrp(register: u32, page: i32) -> u32 {
        let pages = (page - (AT >> 12) as i32) as u32;
        0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5 | register
    }

    fn ldr(register: u32, base: u32, offset: u32) -> u32 {
        0xf940_0000 | (offset / 8) << 10 | base << 5 | register
    }

    #[test]
    fn reads_the_code_of_debians_6_1() {
        // `nr_cpu_ids` is of 32 bits, and `__per_cpu_offset` an array; the stack's canary is found by
        // SP_EL0. The offsets of pages are other ones than in the kernel.
        let code = [
            0xd538_4102,
            0xf942_a843,
            adrp(0, 0x5e),
            0xb94b_2000,
            adrp(2, 0x63),
            0x9100_4042,
            adrp(0, 0xa6),
            0xf861_d841,
            0xf947_dc02,
            0xab01_0053,
        ];
        assert_eq!(offsets(&code), [0xa_6fb8]);
    }

    #[test]
    fn follows_a_base_that_is_added_up() {
        // adrp x8; add x8, x8, #0x120; ldr x9, [x8, #8]
        let code = [adrp(8, 0x20), 0x9104_8108, ldr(9, 8, 8)];
        assert_eq!(offsets(&code), [0x2_0128]);
        // A page before the code, and the same twice.
        let code = [adrp(8, 3), ldr(9, 8, 0x10), adrp(8, 3), ldr(9, 8, 0x10)];
        assert_eq!(offsets(&code), [0x3010]);
    }

    #[test]
    fn takes_what_is_in_the_image() {
        let outside = [
            // Behind its end, and before its start.
            vec![adrp(0, 0x100), ldr(1, 0, 0)],
            vec![adrp(0, -1), ldr(1, 0, 0)],
            // Not aligned: add x0, x0, #4.
            vec![adrp(0, 0x20), 0x9100_1000, ldr(1, 0, 0)],
            // Read through a pointer: x0 is no address of a variable any more.
            vec![ldr(1, 0, 0)],
        ];
        for code in outside {
            assert_eq!(offsets(&code), [0; 0], "{code:x?}");
        }
        let code = [adrp(0, 0x20), ldr(0, 0, 8), ldr(0, 0, 16)];
        assert_eq!(offsets(&code), [0x2_0008]);
        let code = [adrp(0, 0xff), ldr(1, 0, 0xff8)];
        assert_eq!(offsets(&code), [0xf_fff8], "the last word");
    }

    #[test]
    fn the_argument_is_what_is_loaded_right_before_the_call() {
        // 6.1's: adrp x21; add x19, x21, #0xfb0; ldr x0, [x21, #0xfb0]; cbz x0; ...; ldr x0, [x21, #0xfb0]; bl
        let code = [
            adrp(21, 0x40),
            0x913e_c2b3,
            ldr(0, 21, 0xfb0),
            0xb400_0200,
            0xaa16_03e0,
            ldr(0, 21, 0xfb8),
            0x97fa_bb8f,
        ];
        let (bytes, range) = image(&code);
        let call = AT + 4 * 6;
        assert_eq!(argument(&bytes, range.start, call), Some(0x4_0fb8));
        // Not right before it, into another register, or from no variable.
        assert_eq!(argument(&bytes, range.start, call + 4), None);
        assert_eq!(argument(&bytes, range.start + 4, call), None);
        let (bytes, range) = image(&[adrp(21, 0x40), ldr(1, 21, 0xfb8)]);
        assert_eq!(argument(&bytes, range.start, AT + 8), None);
        assert_eq!(argument(&bytes, u64::MAX - 7, 4), None);
        assert_eq!(argument(&bytes, u64::MAX - 7, u64::MAX), None);
    }

    #[test]
    fn looks_at_few() {
        let code: Vec<u32> = (0..6)
            .flat_map(|n| [adrp(0, 32 + n), ldr(1, 0, 0)])
            .collect();
        assert_eq!(offsets(&code).len(), MAX_VARIABLES);
        let mut code = vec![0xd503_201f; 300];
        code.extend([adrp(0, 32), ldr(1, 0, 0)]);
        assert_eq!(offsets(&code), [0; 0]);
        let (image, _) = image(&[]);
        for code in [u64::MAX - 3..u64::MAX, 0x10_0000..0x10_0010, 8..8] {
            assert_eq!(read_by(&image, code), Variables::default());
        }
    }
}
