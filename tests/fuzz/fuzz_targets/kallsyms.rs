// SPDX-License-Identifier: Apache-2.0
//! Finds the symbols of a small kernel with changes in its tables, or in any bytes.
#![no_main]

use baton_core::linux::kallsyms::Symbols;
use baton_core::linux::kallsyms::synthetic::{Kernel, LAYOUTS, RODATA, Tables};
use baton_core::linux::sites;
use baton_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// How many bytes the tables of the small kernel have at most.
const TABLES: usize = 0x1_0000;
const REBOOT: u64 = 0x1800;
const CALLER: u64 = 0x2000;
const SHUTDOWN: u64 = 0x1400;
const KEXEC: u64 = 0x9000;
const CRASH: u64 = 0x3000;
const CRASH_SHUTDOWN: u64 = 0x6000;

/// Returns the small kernels, one of each layout, cut off behind their tables.
fn kernels() -> &'static Vec<(Vec<u8>, Tables)> {
    static KERNELS: OnceLock<Vec<(Vec<u8>, Tables)>> = OnceLock::new();
    KERNELS.get_or_init(|| {
        let build = |layout| {
            let mut kernel = Kernel::new(layout);
            for (at, name) in [
                (CALLER, "kernel_kexec"),
                (SHUTDOWN, "machine_shutdown"),
                (KEXEC, "machine_kexec"),
                (CRASH, "__crash_kexec"),
                (CRASH_SHUTDOWN, "machine_crash_shutdown"),
            ] {
                kernel.rename(at, 'T', name);
            }
            let calls = [
                (REBOOT + 8, CALLER),
                (CALLER + 8, SHUTDOWN),
                (CALLER + 0x14, KEXEC),
                (CRASH + 8, CRASH_SHUTDOWN),
                (CRASH + 0x14, KEXEC),
            ];
            for (from, to) in calls {
                let call = 0x9400_0000 | (to.wrapping_sub(from) >> 2) as u32 & 0x03ff_ffff;
                kernel.words.push((from, call));
            }
            let (mut image, tables) = kernel.build_with_tables();
            image.truncate(RODATA + TABLES);
            (image, tables)
        };
        LAYOUTS.into_iter().map(build).collect()
    })
}

/// Returns the offset of the next change.
fn place(tables: &Tables, size: usize, input: &mut Input<'_>) -> usize {
    let tables = [
        0,
        CALLER as usize,
        RODATA,
        tables.offsets,
        tables.count,
        tables.names,
        tables.markers,
        tables.tokens,
        tables.index,
    ];
    let base = input.choice(&tables);
    let offset = input.number(2) as u16;
    base.wrapping_add_signed(isize::from(offset as i16)) % size
}

/// Looks for symbols and calls in `image`; all are found in one that is `sound`.
fn check(image: &[u8], sound: bool) {
    let found = Symbols::find(image);
    if let Err(error) = found {
        assert!(!sound, "a sound kernel: {error}");
        assert!(!error.to_string().is_empty());
        return;
    }
    if let Ok(symbols) = found {
        assert!(symbols.count() > 0);
        let mut last = 0;
        for number in [0, 1, symbols.count() / 2, symbols.count() - 1] {
            if let Some(offset) = symbols.offset(number) {
                assert!(
                    offset >= last,
                    "symbol {number} at {offset:#x}, after {last:#x}"
                );
                last = offset;
            }
            if let (Some(own), Some(next)) = (symbols.offset(number), symbols.next_offset(number)) {
                assert!(next > own);
            }
        }
        for matches in symbols.text(["_text", "machine_kexec", ""]) {
            assert!(matches.count == 0 || matches.last < symbols.count());
        }
    }
    let found = sites::find(image);
    let is_whole = found.kexec.is_ok() && found.crash.is_ok();
    assert!(!sound || is_whole, "a sound kernel: {found:?}");
    for error in [found.kexec.err(), found.crash.err()].into_iter().flatten() {
        assert!(!error.to_string().is_empty());
    }
    let crash = found.crash.iter().flat_map(|sites| sites.copies());
    for pair in crash.chain(&found.kexec) {
        assert!(pair.shutdown.offset < pair.kexec.offset);
        for site in [pair.shutdown, pair.kexec] {
            assert!(site.offset.is_multiple_of(4), "{site:x?}");
            let word = &image[site.offset as usize..][..4];
            assert_eq!(word, site.word.to_le_bytes(), "{site:x?}");
            assert_eq!(site.word & 0xfc00_0000, 0x9400_0000, "{site:x?}");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let kind = usize::from(input.u8());
    let Some((whole, tables)) = kernels().get(kind % 4) else {
        return check(input.rest(), false);
    };
    let mut image = whole.clone();
    let sound = input.is_empty() && kind & 4 == 0;
    while !input.is_empty() {
        let kind = input.u8();
        let at = place(tables, image.len(), &mut input);
        match kind % 4 {
            0 => image[at] = input.u8(),
            1 => image[at] ^= 1 << (input.u8() % 8),
            2 => {
                let size = 1 << (kind / 4 % 3 + 1);
                let value = input.number(size).to_le_bytes();
                if let Some(bytes) = image.get_mut(at..at + size) {
                    bytes.copy_from_slice(&value[..size]);
                }
            }
            _ => {
                let (from, size) = (place(tables, image.len(), &mut input), input.number(2));
                let size = (size as usize).min(image.len() - at.max(from));
                image.copy_within(from..from + size, at);
            }
        }
    }
    if kind & 4 != 0 {
        let end = (input.number(3) as usize).min(image.len());
        image.truncate(end);
    }
    check(&image, sound);
});
