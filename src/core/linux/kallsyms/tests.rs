// SPDX-License-Identifier: Apache-2.0
use super::synthetic::{ENTRY, IMAGE_SIZE, Kernel, LAYOUTS, Layout, PROLOGUE, RODATA, Tables, put};
use super::*;

fn find(image: &[u8]) -> Result<usize, KallsymsError> {
    Symbols::find(image).map(|symbols| symbols.count())
}

#[test]
fn reads_all_layouts() {
    for layout in LAYOUTS {
        let kernel = Kernel::new(layout);
        let image = kernel.build();
        let symbols = Symbols::find(&image).unwrap_or_else(|error| panic!("{layout:?}: {error}"));
        assert_eq!(symbols.count(), kernel.symbols.len(), "{layout:?}");
        for (number, (_, name, offset)) in kernel.symbols.iter().enumerate() {
            assert_eq!(symbols.offset(number), Some(*offset), "{layout:?}: {name}");
        }
        let kinds: String = symbols.kinds().map(char::from).collect();
        let expected: String = kernel.symbols.iter().map(|symbol| symbol.0).collect();
        assert_eq!(kinds, expected, "{layout:?}");
    }
}

#[test]
fn finds_text_symbols_by_their_whole_name() {
    for layout in LAYOUTS {
        let mut kernel = Kernel::new(layout);
        kernel.rename(0x1000, 't', "machine_kexec");
        kernel.rename(0x1020, 'T', "machine_kexec_prepare");
        kernel.rename(0x1040, 'd', "machine_shutdown");
        kernel.rename(0x1060, 'W', "machine_halt");
        kernel.rename(0x1080, 'T', "machine_halt");
        kernel.rename(0x10a0, 'T', "machine");
        let image = kernel.build();
        let symbols = Symbols::find(&image).unwrap();
        let names = [
            "machine_kexec",
            "machine_shutdown",
            "machine_halt",
            "primary_entry",
            "machine",
            "machine_",
        ];
        let counts = symbols.text(names).map(|matches| matches.count);
        assert_eq!(counts, [1, 0, 2, 1, 1, 0], "{layout:?}");
        let [kexec] = symbols.text(["machine_kexec"]);
        assert_eq!(symbols.offset(kexec.last), Some(0x1000));
        assert_eq!(symbols.next_offset(kexec.last), Some(0x1020));
        assert_eq!(symbols.next_offset(symbols.count() - 1), None);
        assert_eq!(symbols.offset(symbols.count()), None);
    }
}

#[test]
fn allows_for_symbols_a_little_behind_the_image() {
    for layout in LAYOUTS {
        let mut kernel = Kernel::new(layout);
        kernel
            .symbols
            .push(('d', "modinfo".into(), 2 * IMAGE_SIZE as u64));
        assert_eq!(find(&kernel.build()), Ok(2003), "{layout:?}");
        kernel
            .symbols
            .push(('d', "modinfo".into(), 2 * IMAGE_SIZE as u64 + 1));
        let seen = find(&kernel.build());
        assert!(
            matches!(seen, Err(KallsymsError::NoOffsets { symbols: 2004, .. })),
            "{layout:?}: {seen:?}"
        );
    }
}

#[test]
fn skips_symbols_at_the_same_place() {
    let mut kernel = Kernel::new(Layout::OffsetsLast);
    kernel.symbols[2].2 = 0x1000;
    kernel.symbols[3].2 = 0x1000;
    let image = kernel.build();
    assert_eq!(Symbols::find(&image).unwrap().next_offset(1), Some(0x1060));
}

#[test]
fn reads_names_longer_than_127_tokens() {
    for layout in LAYOUTS {
        let mut kernel = Kernel::new(layout);
        let long = "xyz".repeat(100);
        kernel.rename(0x1040, 'T', &long);
        let image = kernel.build();
        let symbols = Symbols::find(&image).unwrap_or_else(|error| panic!("{layout:?}: {error}"));
        assert_eq!(
            symbols.text([&long]).map(|matches| matches.count),
            [1],
            "{layout:?}"
        );
    }
}

#[test]
fn allows_for_another_base() {
    for layout in [Layout::OffsetsFirst, Layout::OffsetsLast] {
        let mut kernel = Kernel::new(layout);
        kernel.base = 0x3_0000;
        let image = kernel.build();
        let symbols = Symbols::find(&image).unwrap();
        assert_eq!(symbols.offset(1), Some(0x1000), "{layout:?}");
    }
}

#[test]
fn calibrates_by_prologues_without_an_entry() {
    for layout in LAYOUTS {
        let mut kernel = Kernel::new(layout);
        kernel.rename(ENTRY, 'T', "another_name");
        kernel.base = if layout == Layout::PlaceRelative {
            0
        } else {
            0x3_0000
        };
        let image = kernel.build();
        let symbols = Symbols::find(&image).unwrap_or_else(|error| panic!("{layout:?}: {error}"));
        assert_eq!(symbols.offset(1), Some(0x1000), "{layout:?}");

        // With less than half of the functions there is no certainty.
        kernel.words.retain(|(offset, _)| offset / 0x20 % 3 == 0);
        assert_eq!(
            find(&kernel.build()),
            Err(KallsymsError::NoBase),
            "{layout:?}"
        );
        kernel.words.clear();
        assert_eq!(
            find(&kernel.build()),
            Err(KallsymsError::NoBase),
            "{layout:?}"
        );
        kernel.words = (0..RODATA as u64 / 4)
            .skip(16)
            .map(|word| (4 * word, PROLOGUE))
            .collect();
        assert_eq!(
            find(&kernel.build()),
            Err(KallsymsError::NoBase),
            "{layout:?}: as good everywhere"
        );
    }
}

#[test]
fn allows_for_a_second_token_table() {
    for layout in LAYOUTS {
        let (mut image, tables) = Kernel::new(layout).build_with_tables();
        image.copy_within(tables.tokens..tables.index + 512, 0x1_9000);
        assert_eq!(
            find(&image),
            Ok(2002),
            "{layout:?}: tokens alone, before the real ones"
        );
        image.copy_within(RODATA..RODATA + 0x2_0000, 0xc_0000);
        assert_eq!(find(&image), Ok(2002), "{layout:?}: all tables twice");
    }
}

#[test]
fn needs_every_table() {
    for layout in LAYOUTS {
        let (
            good,
            Tables {
                offsets,
                count,
                names,
                markers,
                tokens,
                index,
            },
        ) = Kernel::new(layout).build_with_tables();
        let broken = |at: usize| {
            let mut image = good.clone();
            image[at] ^= 0xff;
            find(&image)
        };
        let digits = tokens
            + good[tokens..]
                .windows(4)
                .position(|four| four == *b"0\x001\0")
                .unwrap();
        for (at, expected, what) in [
            (digits + 2, KallsymsError::NoTokens, "a digit"),
            (index, KallsymsError::NoTokens, "the index' first entry"),
            (
                index + 511,
                KallsymsError::NoTokens,
                "the index' last entry",
            ),
            (
                count + 1,
                KallsymsError::NoNames(tokens),
                "the number of symbols",
            ),
            (
                names,
                KallsymsError::NoNames(tokens),
                "the first name's length",
            ),
            (markers, KallsymsError::NoNames(tokens), "the first marker"),
            (markers + 13, KallsymsError::NoNames(tokens), "a marker"),
            (
                offsets + 4003,
                KallsymsError::NoOffsets {
                    names,
                    symbols: 2002,
                },
                "an offset",
            ),
        ] {
            assert_eq!(broken(at), Err(expected), "{layout:?}: {what}");
        }
    }
}

#[test]
fn says_no_to_what_is_no_kernel() {
    assert_eq!(find(&[]), Err(KallsymsError::NoTokens));
    assert_eq!(find(&[0; 4096]), Err(KallsymsError::NoTokens));
    assert_eq!(find(&[0x30; 4096]), Err(KallsymsError::NoTokens));
    let digits = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";
    assert_eq!(find(digits), Err(KallsymsError::NoTokens));
    assert_eq!(find(&digits.repeat(100_000)), Err(KallsymsError::NoTokens));
}

#[test]
fn ends_on_a_cut_image() {
    for layout in LAYOUTS {
        let image = Kernel::new(layout).build();
        let end = image.iter().rposition(|&byte| byte != 0).unwrap();
        for length in (0..end - 16)
            .rev()
            .step_by(97)
            .take(150)
            .chain([0, 1, 63, 64])
        {
            assert!(
                find(&image[..length]).is_err(),
                "{layout:?}: {length} of {IMAGE_SIZE} bytes"
            );
        }
    }
}

#[test]
fn survives_changed_bytes() {
    let mut random = 0x5eed_1234_5678_9abc_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % limit
    };
    for layout in LAYOUTS {
        let (good, tables) = Kernel::new(layout).build_with_tables();
        let mut image = good.clone();
        let end = tables.index.max(tables.offsets) + 0x2000;
        for _ in 0..100 {
            let changed: Vec<usize> = (0..1 + below(8))
                .map(|_| RODATA + below(end - RODATA))
                .collect();
            for &at in &changed {
                image[at] = [0, 0xff, 0x80, 1 + below(255) as u8][below(4)];
            }
            if let Ok(symbols) = Symbols::find(&image) {
                let _ = symbols.text(["machine_kexec", "some_function_123"]);
                let _ = symbols.next_offset(below(3000));
            }
            for at in changed {
                image[at] = good[at];
            }
        }
    }
}

/// Tables made to take long: every word may begin the markers, each with names to look for.
#[test]
fn gives_up_when_it_takes_too_long() {
    let (mut image, tables) = Kernel::new(Layout::OffsetsLast).build_with_tables();
    let mut grown = vec![0; 16 << 20];
    let shift = grown.len();
    for word in (0..shift).step_by(64) {
        for number in 0..15 {
            put(&mut grown, word + 4 * number, 0x4000 * number as u32);
        }
        // Names of 14 and 15 markers begin everywhere.
        put(&mut grown, word + 60, 15 * 256);
    }
    image.drain(..tables.tokens - 8);
    grown.extend(image);
    assert_eq!(find(&grown), Err(KallsymsError::TooLong));
}

#[test]
fn knows_every_beginning_of_a_function() {
    // paciasp, bti c, bti jc, nop, mov x9, x30, stp, sub sp, sp.
    let prologues = [
        0xd503_233f,
        0xd503_245f,
        0xd503_24df,
        0xd503_201f,
        0xaa1e_03e9,
        PROLOGUE,
        0xd100_c3ff,
    ];
    for prologue in prologues {
        let mut kernel = Kernel::new(Layout::OffsetsLast);
        kernel.rename(ENTRY, 'T', "another_name");
        for (_, word) in &mut kernel.words {
            *word = prologue;
        }
        assert_eq!(find(&kernel.build()), Ok(2002), "{prologue:#x}");
    }
}

#[test]
fn needs_the_first_symbol_inside_the_image() {
    // primary_entry is right, and every offset with it, but the first one lies before the Image.
    let mut kernel = Kernel::new(Layout::OffsetsLast);
    kernel.base = 0x1000;
    let (mut image, tables) = kernel.build_with_tables();
    put(&mut image, tables.offsets, 0xfff);
    assert_eq!(find(&image), Err(KallsymsError::NoBase));
}
