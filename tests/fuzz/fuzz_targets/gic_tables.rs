// SPDX-License-Identifier: Apache-2.0
//! Makes a guest's stores to the registers that tell the GIC where its tables are: whatever stores
//! are allowed, redistributor and ITS never use a table that is not all in guest memory, and no
//! table changes while it is used.
#![no_main]

use baton_core::gic_tables::{Denied, Lpis, Page, Store, Translations};
use baton_core::memory::guest_memory::GuestMemory;
use baton_fuzz::input::Input;
use baton_fuzz::memory::Memory;
use libfuzzer_sys::fuzz_target;

/// Offsets of registers in their pages (IHI 0069, 12.11 and 12.19).
const PROPBASER: usize = 0x70;
const PENDBASER: usize = 0x78;
const CBASER: usize = 0x80;
const BASERS: usize = 0x100;
/// Bytes of each page that the model has.
const SIZE: usize = 0x200;

/// A model of the GIC, as far as the architecture says which tables it uses.
#[derive(Clone)]
struct Gic {
    /// RD_base, VLPI_base and GITS_base.
    pages: [[u8; SIZE]; 3],
    id_bits: u32,
    /// The ITS has come to rest since it was disabled.
    quiescent: bool,
}

/// A table that the GIC uses: its first byte, and how many there are.
type Table = (u64, u64);

impl Gic {
    fn word(&self, page: usize, offset: usize) -> u64 {
        let bytes = self.pages[page][offset..offset + 8].try_into();
        u64::from_le_bytes(bytes.expect("eight bytes"))
    }

    fn is_enabled(&self, page: usize) -> bool {
        self.pages[page][0] & 1 != 0
    }

    /// Returns the registers of a page as the monitor reads them.
    fn page(&self, page: usize) -> Page {
        match page {
            0 => Page::Redistributor(Lpis {
                ctlr: self.word(0, 0) & 0xffff_ffff,
                propbaser: self.word(0, PROPBASER),
                pendbaser: self.word(0, PENDBASER),
                id_bits: self.id_bits,
            }),
            1 => Page::VirtualLpis,
            _ => Page::Its(Translations {
                enabled: self.is_enabled(2),
                quiescent: self.quiescent,
                cbaser: self.word(2, CBASER),
                basers: core::array::from_fn(|n| self.word(2, BASERS + 8 * n)),
            }),
        }
    }

    fn store(&mut self, page: usize, store: &Store) {
        let was = self.is_enabled(2);
        let (at, size) = (store.offset as usize, store.size as usize);
        let Some(to) = self.pages[page].get_mut(at..at + size) else {
            return;
        };
        to.copy_from_slice(&store.value.to_le_bytes()[..size]);
        // An ITS that was disabled takes a while to come to rest.
        self.quiescent &= !was && !self.is_enabled(2);
    }

    /// Returns whether the ITS uses a table of two levels, of which the first is not looked at.
    fn follows_a_table(&self) -> bool {
        let indirect = |n: usize| self.word(2, BASERS + 8 * n) >> 62 == 3;
        self.is_enabled(2) && (0..8).any(indirect)
    }

    /// Returns all tables that are in use.
    fn tables(&self) -> Vec<Table> {
        let bits = |word: u64, high: u32, low: u32| word >> low & ((1 << (high - low + 1)) - 1);
        let mut tables = Vec::new();
        let properties = self.word(0, PROPBASER);
        let id_bits = (bits(properties, 4, 0) + 1).min(self.id_bits.into());
        if self.is_enabled(0) && id_bits > 13 {
            // A byte for each LPI, which are numbered from 8192 on; a bit for each number.
            tables.push((bits(properties, 51, 12) << 12, (1 << id_bits) - 8192));
            let pending = self.word(0, PENDBASER);
            tables.push((bits(pending, 51, 16) << 16, (1 << id_bits) / 8));
        }
        for offset in [PROPBASER, PENDBASER] {
            let word = self.word(1, offset);
            if word >> 63 != 0 {
                tables.push((bits(word, 51, 12) << 12, 1));
            }
        }
        if self.is_enabled(2) || !self.quiescent {
            let queue = self.word(2, CBASER);
            if queue >> 63 != 0 {
                tables.push((bits(queue, 51, 12) << 12, (bits(queue, 7, 0) + 1) * 0x1000));
            }
            for n in 0..8 {
                let word = self.word(2, BASERS + 8 * n);
                let (start, page) = match bits(word, 9, 8) {
                    0 => (bits(word, 47, 12) << 12, 0x1000),
                    1 => (bits(word, 47, 14) << 14, 0x4000),
                    _ => (
                        bits(word, 47, 16) << 16 | bits(word, 15, 12) << 48,
                        0x1_0000,
                    ),
                };
                if word >> 63 != 0 {
                    tables.push((start, (bits(word, 7, 0) + 1) * page));
                }
            }
        }
        tables
    }
}

/// Returns a store: to all of a register that matters, to half of one, or any.
fn store(memory: &Memory, input: &mut Input<'_>) -> (usize, Store) {
    const PLACES: [(usize, usize); 8] = [
        (0, 0),
        (0, PROPBASER),
        (0, PENDBASER),
        (1, PROPBASER),
        (1, PENDBASER),
        (2, 0),
        (2, CBASER),
        (2, BASERS),
    ];
    let kind = input.u8();
    let (page, register) = PLACES[usize::from(kind & 7)];
    let mut offset = register as u64;
    if register == BASERS {
        offset += u64::from(input.u8() & 7) * 8;
    }
    let size = if register == 0 { 4 } else { 8 };
    // An address, with other fields below and above it.
    let value = |input: &mut Input<'_>| {
        memory.pick(input) | input.number(2) & 0xfff | u64::from(input.u8()) << 56
    };
    let (offset, size, value) = match kind >> 3 & 7 {
        0 => (offset + u64::from(input.u8() & 1) * 4, 4, input.edge()),
        1 => (input.number(2) % 0x210, 1 << (input.u8() & 3), input.edge()),
        2 => (offset, u64::from(input.u8()), input.edge()),
        3 => (offset, 8, input.edge()),
        _ if register == 0 => (offset, size, input.u8().into()),
        _ => (offset, size, value(input)),
    };
    let unused = 64_u64.saturating_sub(8 * size) as u32;
    let value = u64::MAX.checked_shr(unused).unwrap_or(0) & value;
    (
        page,
        Store {
            offset,
            size,
            value,
        },
    )
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let start = input.choice(&[0x4000_0000, 0, 1 << 48, (1 << 52) - (256 << 16)]);
    let page_size = input.choice(&[0x1_0000, 0x1000]);
    let memory = Memory::new(page_size, start);
    let mut gic = Gic {
        pages: [[0; SIZE]; 3],
        id_bits: u32::from(input.u8() % 24) + 1,
        quiescent: true,
    };
    while !input.is_empty() {
        let (page, store) = store(&memory, &mut input);
        let before = gic.tables();
        match store.check(&gic.page(page), &memory) {
            Ok(value) => gic.store(page, &Store { value, ..store }),
            Err(refused) => {
                assert!(!refused.to_string().is_empty());
                match refused.why {
                    Denied::Table { start, size } => assert!(
                        !memory.contains(start, size),
                        "{refused}: all of it is the guest's"
                    ),
                    Denied::Indirect(_) => panic!("{refused}: no store sets it"),
                    Denied::InUse => {
                        assert!(
                            gic.is_enabled(page) || page == 2 && !gic.quiescent,
                            "{refused}"
                        );
                    }
                    Denied::Virtual => {
                        let mut made = gic.clone();
                        made.store(page, &store);
                        assert!(page == 1 && made.tables() != before, "{refused}");
                    }
                    Denied::Shape => {}
                }
                continue;
            }
        }
        assert!(
            !gic.follows_a_table(),
            "after {store:x?} to page {page} the ITS follows a table of two levels"
        );
        let tables = gic.tables();
        for &(start, size) in &tables {
            assert!(
                memory.contains(start, size),
                "after {store:x?} to page {page} the GIC uses {size:#x} bytes at {start:#x}"
            );
        }
        // Tables that were in use are so still, unless the store has switched them off.
        let stayed = before.iter().all(|table| tables.contains(table));
        assert!(
            stayed || store.offset == 0,
            "{store:x?} to page {page}: {before:x?}, {tables:x?}"
        );
        // The ITS may come to rest before the next store.
        if !gic.is_enabled(2) && input.u8() & 1 != 0 {
            gic.quiescent = true;
        }
    }
});
