// SPDX-License-Identifier: Apache-2.0
//! Takes any memory as a message to OP-TEE: whatever is accepted names the guest's memory alone, in the
//! copy.
#![no_main]

use baton_core::memory::guest_memory::GuestMemory;
use baton_core::tee::message::{Lists, PAGE, Page, take};
use baton_fuzz::input::Input;
use baton_fuzz::memory::Memory;
use libfuzzer_sys::fuzz_target;

const START: u64 = 0x4000_0000;
/// Words of a header and of a parameter.
const HEADER: usize = 4;
const PARAM: usize = 4;
const NONCONTIG: u64 = 1 << 9;

/// Writes a message with parameters at the 9th page, and words of lists anywhere.
fn fill(memory: &mut Memory, input: &mut Input<'_>) {
    let message = memory.address(8);
    let params = u64::from(input.u8() % 6);
    memory.write(message, (input.u8() % 10).into());
    memory.write(message + 24, params << 32);
    for param in 0..params {
        let at = message + 32 + param * 32;
        let (kind, flags) = (input.u8(), input.u8());
        memory.write(at, u64::from(kind) | u64::from(flags) << 8);
        let offset = u64::from(input.u8());
        let start = memory.pick(input).wrapping_add(offset);
        memory.write(at + 8, start);
        memory.write(at + 16, input.number(3));
    }
    for _ in 0..input.u8() {
        let word = u64::from(input.u8()) * 2 + u64::from(input.u8() & 1);
        let (page, entry) = (memory.pick(input), memory.pick(input));
        memory.write(page.wrapping_add(word * 8), entry);
    }
}

/// Checks that each of the pages that a copied list names is the guest's.
fn check_list(memory: &Memory, lists: &[Page], pointer: u64, size: u64) {
    let page = |address: u64| {
        let found = lists.iter().find(|list| list.address() == address);
        found.expect("a list is a copy")
    };
    let mut list = page(pointer & !(PAGE - 1));
    for number in 0..(pointer % PAGE + size).div_ceil(PAGE) as usize {
        if number > 0 && number % 511 == 0 {
            list = page(list.get(511));
        }
        let entry = list.get(number % 511);
        assert!(memory.contains(entry, PAGE), "page {entry:#x} in a list");
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut memory = Memory::new(PAGE, START);
    fill(&mut memory, &mut input);
    let address = memory.address(8).wrapping_add(u64::from(input.u8()));
    let (copy, lists): (Page, [Page; 3]) = Default::default();
    let Ok(params) = take(&memory, address, &copy, &mut Lists::new(&lists, 0)) else {
        return;
    };
    for at in (0..params).map(|param| HEADER + param * PARAM) {
        let [attr, start, size] = [0, 1, 2].map(|word| copy.get(at + word));
        match attr & 0xff {
            0..=3 | 5..=7 => {}
            9..=11 if attr & NONCONTIG != 0 => check_list(&memory, &lists, start, size),
            9..=11 => assert!(
                memory.contains(start, size) || (start, size) == (0, 0),
                "{size:#x} bytes at {start:#x}"
            ),
            kind => panic!("a parameter of kind {kind}"),
        }
    }
});
