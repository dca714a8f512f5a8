// SPDX-License-Identifier: Apache-2.0
//! The little of a kernel that the tests of `baton_core::linux::sites` build an image from: the names
//! and offsets of the functions around its kexec, and the instructions of `kernel_kexec()`.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Functions that are looked for, and one whose place the Image header tells.
const WANTED: [&str; 5] = [
    "kernel_kexec",
    "machine_shutdown",
    "smp_shutdown_nonboot_cpus",
    "machine_kexec",
    "primary_entry",
];

struct Symbol<'a> {
    offset: usize,
    kind: &'a str,
    name: &'a str,
}

/// Writes down the facts of the kernel `image`, whose symbols are those of `map`, its `System.map`.
///
/// # Errors
/// What is missing.
pub fn facts(image: &[u8], map: &str) -> Result<String, String> {
    let symbols = symbols(map)?;
    let find = |name: &str| {
        symbols
            .iter()
            .position(|symbol| symbol.name == name && "tTwW".contains(symbol.kind))
    };
    let caller = find("kernel_kexec").ok_or("no kernel_kexec in System.map")?;
    let start = symbols[caller].offset;
    let end = symbols[caller..]
        .iter()
        .map(|symbol| symbol.offset)
        .find(|&offset| offset > start)
        .ok_or("nothing behind kernel_kexec")?;
    let word = |at: usize| {
        let bytes = image.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let calls = |from: usize, to: usize| {
        (from..to)
            .step_by(4)
            .filter_map(move |at| Some((at, target(at, word(at)?)?)))
    };
    let code_end = symbols
        .iter()
        .find(|symbol| symbol.name == "_etext")
        .ok_or("no _etext in System.map")?
        .offset;
    let callers: Vec<usize> = calls(0, code_end)
        .filter(|&(_, to)| to == start)
        .map(|(at, _)| at)
        .collect();

    // Each with its neighbours, so that it is told from them.
    let mut kept = BTreeSet::new();
    let mut keep = |number: usize| kept.extend(number.saturating_sub(1)..=number + 1);
    WANTED
        .iter()
        .filter_map(|name| find(name))
        .for_each(&mut keep);
    let at = |offset: usize| symbols.partition_point(|symbol| symbol.offset <= offset) - 1;
    calls(start, end).for_each(|(_, to)| keep(at(to)));
    callers.iter().for_each(|&from| keep(at(from)));

    let size = image.get(16..24).and_then(|bytes| bytes.try_into().ok());
    let size = u64::from_le_bytes(size.ok_or("no Image header")?);
    let mut out = String::new();
    let mut line =
        |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").map_err(|e| e.to_string());
    line(format_args!("size {size:#x}"))?;
    for symbol in kept.iter().filter_map(|&number| symbols.get(number)) {
        line(format_args!(
            "symbol {:#x} {} {}",
            symbol.offset, symbol.kind, symbol.name
        ))?;
    }
    for at in callers.into_iter().chain((start..end).step_by(4)) {
        let word = word(at).ok_or("kernel_kexec is not in the Image")?;
        line(format_args!("word {at:#x} {word:#010x}"))?;
    }
    Ok(out)
}

/// The symbols of the Image, by their offset.
fn symbols(map: &str) -> Result<Vec<Symbol<'_>>, String> {
    let mut all = Vec::new();
    for line in map.lines() {
        let mut words = line.split(' ');
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let address =
            u64::from_str_radix(address, 16).map_err(|error| format!("{line}: {error}"))?;
        all.push((address, kind, name));
    }
    let text = all
        .iter()
        .find(|(_, _, name)| *name == "_text")
        .ok_or("no _text in System.map")?
        .0;
    let mut symbols: Vec<_> = all
        .into_iter()
        .filter_map(|(address, kind, name)| {
            let offset = usize::try_from(address.checked_sub(text)?).ok()?;
            Some(Symbol { offset, kind, name })
        })
        .collect();
    symbols.sort_by_key(|symbol| symbol.offset);
    Ok(symbols)
}

/// Where the `bl` or `b` at `at` leads to (DDI 0487, C6.2 B and BL).
fn target(at: usize, word: u32) -> Option<usize> {
    let distance = (word << 6).cast_signed() >> 4;
    (word & 0x7c00_0000 == 0x1400_0000).then(|| at.checked_add_signed(distance as isize))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_branches() {
        assert_eq!(target(0xb_68e8, 0x97fd_d3ef), Some(0x2_b8a4));
        assert_eq!(target(0x5_2f5c, 0x9401_8e32), Some(0xb_6824));
        assert_eq!(target(0x1000, 0x1400_0002), Some(0x1008));
        assert_eq!(target(0x1000, 0xd503_201f), None);
        assert_eq!(target(0, 0x97ff_ffff), None);
    }

    #[test]
    fn keeps_what_is_around_a_kexec() {
        let map = "8000 T _text\n8040 t a\n8044 T kernel_kexec\n804c t b\n8050 t machine_kexec\n\
                   8054 t c\n8058 t d\n805c T _etext\n";
        let mut image = vec![0; 0x100];
        image[16] = 0x80;
        for (at, word) in [
            (0x40, 0x9400_0001_u32),
            (0x44, 0x9400_0003),
            (0x48, 0xd65f_03c0),
        ] {
            image[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        let expected = "size 0x80\nsymbol 0x0 T _text\nsymbol 0x40 t a\nsymbol 0x44 T kernel_kexec\n\
                        symbol 0x4c t b\nsymbol 0x50 t machine_kexec\nsymbol 0x54 t c\n\
                        word 0x40 0x94000001\nword 0x44 0x94000003\nword 0x48 0xd65f03c0\n";
        assert_eq!(facts(&image, map), Ok(expected.into()));
        assert!(facts(&image, "8000 T _text\n").is_err());
    }
}
