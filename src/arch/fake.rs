// SPDX-License-Identifier: Apache-2.0
//! What `assembly` has, for a PC: Rust that does the same to memory, and notes the rest in
//! [`baton_sysreg::fake`]. Firmware answers what a test has it answer.

#[cfg(test)]
pub mod mmio;

use super::copy::TURN;
use baton_core::linux::crash::sha256;
use baton_sysreg::{instruction, read_sysreg, write_sysreg};
use core::cell::RefCell;
use core::num::NonZero;
use core::ptr::{self, NonNull};
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPure;
use smccc::Call;

/// As on the bare machine; an `stnp` of each turn is noted.
///
/// # Safety
///
/// As [`copy_and_clean`](super::copy::copy_and_clean).
pub unsafe fn copy_turns(destination: *mut u8, source: *const u8, size: usize) {
    // SAFETY: The caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(source, destination, size);
        for turn in (0..size).step_by(TURN as usize) {
            instruction!("stnp", destination.add(turn) as u64);
        }
    }
}

/// As on the bare machine; each turn's `dc civac` is noted.
pub fn clean_turns(start: usize, size: usize) {
    for turn in (0..size).step_by(TURN as usize) {
        // SAFETY: Fakes need none.
        unsafe { instruction!("dc civac", (start + turn) as u64) };
    }
}

/// As on the bare machine.
///
/// # Safety
///
/// As there.
pub unsafe fn zero_words(start: *mut u64, size: usize) {
    // SAFETY: The caller's promise.
    unsafe { ptr::write_bytes(start.cast::<u8>(), 0, size) }
}

/// As on the bare machine; that the instructions were there for it is noted.
///
/// # Safety
///
/// `state` is valid for eight words, and `blocks` for `count` blocks.
pub unsafe fn sha256_blocks(state: *mut u32, blocks: *const u8, count: usize) {
    // SAFETY: The caller's promise.
    let (state, blocks) = unsafe {
        instruction!("sha256h", count as u64);
        let blocks = core::slice::from_raw_parts(blocks.cast(), count);
        (&mut *state.cast(), blocks)
    };
    sha256::mix(state, blocks);
}

/// As on the bare machine; each `dc zva` is noted.
///
/// # Safety
///
/// They are valid for writes.
pub unsafe fn zero_blocks(start: usize, end: usize, block: usize) {
    for at in (start..end).step_by(block) {
        // SAFETY: The caller's promise.
        unsafe {
            ptr::write_bytes(at as *mut u8, 0, block);
            instruction!("dc zva", at as u64);
        }
    }
}

/// Zeroes the fake register `V0-V31`, and returns what is in it then.
///
/// # Safety
///
/// None is needed.
pub unsafe fn clear_v() -> u64 {
    // SAFETY: Fakes need none.
    unsafe {
        write_sysreg!("V0-V31", 0);
        read_sysreg!("V0-V31")
    }
}

/// Zeroes the fake register `Z0-Z31`, and returns what is in it then.
///
/// # Safety
///
/// None is needed.
pub unsafe fn clear_z() -> u64 {
    // SAFETY: Fakes need none.
    unsafe {
        write_sysreg!("Z0-Z31", 0);
        read_sysreg!("Z0-Z31")
    }
}

/// Notes the load, which is answered.
///
/// # Safety
///
/// None is needed.
pub unsafe fn try_load(address: u64) -> u64 {
    // SAFETY: Fakes need none.
    unsafe { instruction!("ldr", address) };
    0
}

/// As on the bare machine; it is always answered.
///
/// # Safety
///
/// As there.
pub unsafe fn try_load_word(address: u64) -> u32 {
    let address = NonNull::<ReadPure<u32>>::with_exposed_provenance(
        NonZero::new(address as usize).expect("an address"),
    );
    // SAFETY: The caller's promise.
    let word = unsafe { UniqueMmioPointer::new(address) };
    word.read()
}

/// `probe.S`: the register is there.
///
/// # Safety
///
/// None is needed.
pub unsafe fn try_debug_authentication() -> u64 {
    // SAFETY: Fakes need none.
    unsafe { read_sysreg!(DBGAUTHSTATUS_EL1) }
}

/// Called with the function and its arguments; returns x0 to x3.
type Firmware = std::boxed::Box<dyn FnMut(u64, [u64; 3]) -> [u64; 4]>;

std::thread_local! {
    static FIRMWARE: RefCell<Option<Firmware>> = const { RefCell::new(None) };
}

/// Has `firmware` answer this thread's calls: it gets the function and its first three arguments,
/// and returns x0 to x3.
pub fn answer_calls(firmware: impl FnMut(u64, [u64; 3]) -> [u64; 4] + 'static) {
    FIRMWARE.set(Some(std::boxed::Box::new(firmware)));
}

/// What SMCCC returns of a function that is not there.
const NOT_SUPPORTED: u64 = u64::MAX;

fn call(function: u64, arguments: [u64; 3]) -> [u64; 4] {
    FIRMWARE.with_borrow_mut(|firmware| match firmware {
        Some(answer) => answer(function, arguments),
        None => [NOT_SUPPORTED; 4],
    })
}

/// Calls of firmware, which knows no function before [`answer_calls`].
pub struct Smc;

impl Call for Smc {
    fn call32(function: u32, arguments: [u32; 7]) -> [u32; 8] {
        let mut result = [0; 8];
        let [a, b, c, ..] = arguments.map(u64::from);
        for (register, value) in result.iter_mut().zip(call(function.into(), [a, b, c])) {
            *register = value as u32;
        }
        result
    }

    fn call64(function: u32, arguments: [u64; 17]) -> [u64; 18] {
        let mut result = [0; 18];
        let [a, b, c, ..] = arguments;
        result[..4].copy_from_slice(&call(function.into(), [a, b, c]));
        result
    }
}

/// `head.S` has the bare machine's: where firmware enters a CPU.
#[unsafe(no_mangle)]
extern "C" fn secondary_entry() {}

/// As in `vectors.S`.
#[unsafe(no_mangle)]
extern "C" fn sdei_event() {}
