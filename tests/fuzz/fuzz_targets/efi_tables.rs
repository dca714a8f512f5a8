// SPDX-License-Identifier: Apache-2.0
//! Converts translation tables of firmware's: nothing is written but the bits that mean something else at EL1,
//! only where tables are, and once is enough.
#![no_main]

use baton_core::efi::regime::El2Regime;
use baton_core::efi::tables::{TableMemory, convert};
use baton_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;

const START: u64 = 0x8000_0000;
/// Words of memory: sixteen tables of 4 KiB.
const WORDS: usize = 16 << 9;
/// Reads after which there is no memory any more: tables that lead to each other take long.
const READS: u32 = 1 << 18;
/// AP\[1\], PXN, PXNTable and APTable\[0\].
const CHANGED: u64 = 1 << 6 | 1 << 53 | 1 << 59 | 1 << 61;

struct Memory {
    words: Vec<u64>,
    reads: std::cell::Cell<u32>,
}

impl Memory {
    fn index(&self, address: u64) -> Option<usize> {
        assert!(address.is_multiple_of(8), "a descriptor at {address:#x}");
        let index = usize::try_from(address.checked_sub(START)? / 8).ok()?;
        (index < WORDS).then_some(index)
    }
}

impl TableMemory for Memory {
    fn read(&self, address: u64) -> Option<u64> {
        self.reads.set(self.reads.get() + 1);
        (self.reads.get() < READS).then_some(())?;
        Some(self.words[self.index(address)?])
    }

    fn write(&mut self, address: u64, descriptor: u64) -> bool {
        let Some(index) = self.index(address) else {
            return false;
        };
        let before = self.words[index];
        assert_eq!(
            (before ^ descriptor) & !CHANGED,
            0,
            "{before:#x} became {descriptor:#x}"
        );
        self.words[index] = descriptor;
        true
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let kind = input.u8();
    let regime = El2Regime {
        hcr: if kind & 1 == 0 { 1 << 31 } else { input.edge() },
        sctlr: if kind & 2 == 0 { 1 } else { input.edge() },
        tcr: if kind & 4 == 0 { 25 } else { input.number(5) },
        ttbr0: if kind & 8 == 0 {
            START
        } else {
            START | input.number(3)
        },
        mair: 0,
        vbar: 0,
    };
    let mut memory = Memory {
        words: vec![0; WORDS],
        reads: 0.into(),
    };
    while !input.is_empty() {
        let index = input.number(2) as usize % WORDS;
        let attributes = u64::from(input.u8()) << 56 | u64::from(input.u8()) << 48;
        let table = START + u64::from(input.u8()) % 20 * 0x1000;
        memory.words[index] = attributes | table | u64::from(input.u8());
    }
    let first = convert(&regime, &mut memory);
    memory.reads.set(0);
    match (first, convert(&regime, &mut memory)) {
        (Ok(first), Ok(again)) => {
            assert_eq!((again.tables, again.changed), (first.tables, 0));
        }
        (Err(first), Err(again)) => {
            assert_eq!(first, again);
            assert!(!first.to_string().is_empty());
        }
        (first, again) => panic!("first {first:?}, then {again:?}"),
    }
});
