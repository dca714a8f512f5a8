// SPDX-License-Identifier: Apache-2.0
//! Builds the Image of a small kernel with its symbols, for tests.

use std::collections::HashMap;

/// Where the tables of a kernel are, and what their offsets count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 5.10 to 6.3: offsets, base, number, names, markers, tokens, index.
    OffsetsFirst,
    /// 6.4 to 6.19: number, names, markers, tokens, index, offsets, base.
    OffsetsLast,
    /// From 7.0 on: the same, but each offset counts from its own place, and tables are less
    /// aligned.
    PlaceRelative,
}

/// All layouts.
pub const LAYOUTS: [Layout; 3] = [
    Layout::OffsetsFirst,
    Layout::OffsetsLast,
    Layout::PlaceRelative,
];

/// The size of the image of [`Kernel::new`].
pub const IMAGE_SIZE: usize = 0x10_0000;
/// Where its read-only data begins.
pub const RODATA: usize = 0x2_0000;
/// Where the header's branch leads.
pub const ENTRY: u64 = 0x1_8000;
/// `stp x29, x30, [sp, #-32]!`
pub const PROLOGUE: u32 = 0xa9be_7bfd;

/// A kernel to be built.
pub struct Kernel {
    /// Where its tables go.
    pub layout: Layout,
    /// Type, name, and offset in the image.
    pub symbols: Vec<(char, String, u64)>,
    /// How far before the image the base of the offsets is, in bytes.
    pub base: u32,
    /// Instructions, by their offset.
    pub words: Vec<(u64, u32)>,
    /// The size of the image.
    pub size: usize,
    /// Where its read-only data begins.
    pub rodata: usize,
    /// Where the header's branch leads.
    pub entry: u64,
}

/// Where the tables went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tables {
    /// The offsets of the symbols.
    pub offsets: usize,
    /// Their number.
    pub count: usize,
    /// Their names.
    pub names: usize,
    /// Where every 256th name begins.
    pub markers: usize,
    /// The texts of the tokens.
    pub tokens: usize,
    /// Where each token's text begins.
    pub index: usize,
}

impl Kernel {
    /// Returns a kernel of some 2,000 functions, 32 bytes apart, and `primary_entry`.
    pub fn new(layout: Layout) -> Self {
        let mut symbols: Vec<_> = (0..2000)
            .map(|number| {
                let kind = ['T', 't', 'T', 'd', 'b'][number % 5];
                (
                    kind,
                    format!("some_function_{number:03}"),
                    0x1000 + 0x20 * number as u64,
                )
            })
            .collect();
        symbols.insert(0, ('T', "_text".into(), 0));
        symbols.push(('T', "primary_entry".into(), ENTRY));
        let words = symbols
            .iter()
            .skip(1)
            .map(|(_, _, offset)| (*offset, PROLOGUE))
            .collect();
        Self {
            layout,
            symbols,
            base: 0,
            words,
            size: IMAGE_SIZE,
            rodata: RODATA,
            entry: ENTRY,
        }
    }

    /// A kernel with the size, the symbols and the instructions that `facts` says of a real one, as
    /// `make kernels-built` writes them down, and some 2,000 symbols of data behind its code.
    pub fn from_facts(layout: Layout, facts: &str) -> Self {
        let number = |text: &str| {
            let digits = text.strip_prefix("0x").expect("no hexadecimal number");
            u64::from_str_radix(digits, 16).expect("no hexadecimal number")
        };
        let mut kernel = Self::new(layout);
        kernel.symbols.clear();
        kernel.words.clear();
        for line in facts.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["#", ..] => {}
                ["size", size] => kernel.size = number(size) as usize,
                ["symbol", offset, kind, name] => {
                    let kind = kind.chars().next().expect("a kind");
                    kernel.symbols.push((kind, name.into(), number(offset)));
                }
                ["word", offset, word] => kernel.words.push((number(offset), number(word) as u32)),
                _ => panic!("no fact: {line}"),
            }
        }
        let entry = |symbol: &&(char, String, u64)| symbol.1 == "primary_entry";
        kernel.entry = kernel
            .symbols
            .iter()
            .find(entry)
            .expect("no primary_entry")
            .2;
        kernel.rodata = (kernel.size - 0x2_0000) & !0xfff;
        let behind = kernel.rodata - 0x1_0000;
        kernel.symbols.extend((0..2000).map(|number| {
            let offset = (behind + 0x20 * number) as u64;
            ('d', format!("some_data_{number:03}"), offset)
        }));
        assert!(kernel.symbols.is_sorted_by_key(|symbol| symbol.2));
        kernel
    }

    /// Gives the symbol at `offset` another name and type.
    pub fn rename(&mut self, offset: u64, kind: char, name: &str) {
        let symbol = self
            .symbols
            .iter_mut()
            .find(|symbol| symbol.2 == offset)
            .expect("no symbol there");
        *symbol = (kind, name.into(), offset);
    }

    /// Returns the image.
    pub fn build(&self) -> Vec<u8> {
        self.build_with_tables().0
    }

    /// Returns the image, and where the tables are in it.
    pub fn build_with_tables(&self) -> (Vec<u8>, Tables) {
        let mut image = vec![0; self.size];
        put(&mut image, 0, 0xfa40_5a4d);
        put(&mut image, 4, 0x1400_0000 | ((self.entry - 4) / 4) as u32);
        put(&mut image, 16, self.size as u32);
        put(&mut image, 24, 0xa);
        image[56..60].copy_from_slice(b"ARM\x64");
        for (offset, word) in &self.words {
            put(&mut image, *offset as usize, *word);
        }

        let tokens = tokens();
        let (names, markers) = self.names(&tokens);
        let (table, index) = token_tables(&tokens);
        let align = if self.layout == Layout::PlaceRelative {
            4
        } else {
            8
        };
        let count = self.symbols.len();
        let mut at = Layer {
            image: &mut image,
            at: self.rodata,
            align,
        };
        let mut tables = Tables::default();
        if self.layout == Layout::OffsetsFirst {
            tables.offsets = at.put(&self.offsets(at.at));
            at.put(&0xdead_beef_u64.to_le_bytes());
        }
        tables.count = at.put(&(count as u32).to_le_bytes());
        tables.names = at.put(&names);
        tables.markers = at.put(&markers);
        tables.tokens = at.put(&table);
        // The compiler aligns an array of 16-bit numbers in the assembler's own way.
        at.align = if self.layout == Layout::PlaceRelative {
            2
        } else {
            8
        };
        tables.index = at.put(&index);
        at.align = align;
        if self.layout != Layout::OffsetsFirst {
            tables.offsets = at.put(&self.offsets(at.aligned()));
            at.put(&0xdead_beef_u64.to_le_bytes());
        }
        (image, tables)
    }

    fn names(&self, tokens: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let codes: HashMap<&[u8], u8> = tokens
            .iter()
            .zip(0..=255)
            .map(|(text, code)| (&text[..], code))
            .collect();
        let (mut names, mut markers) = (Vec::new(), Vec::new());
        for (number, (kind, name, _)) in self.symbols.iter().enumerate() {
            if number % 256 == 0 {
                markers.extend((names.len() as u32).to_le_bytes());
            }
            let text = format!("{kind}{name}").into_bytes();
            let mut record = Vec::new();
            let mut rest = &text[..];
            while !rest.is_empty() {
                let length = (1..=rest.len())
                    .rev()
                    .find(|&length| codes.contains_key(&rest[..length]));
                let (token, behind) = rest.split_at(length.expect("a letter without a token"));
                record.push(codes[token]);
                rest = behind;
            }
            match record.len() {
                length @ 0..0x80 => names.push(length as u8),
                length => names.extend([length as u8 | 0x80, (length >> 7) as u8]),
            }
            names.extend(record);
        }
        (names, markers)
    }

    fn offsets(&self, at: usize) -> Vec<u8> {
        let offsets = self
            .symbols
            .iter()
            .enumerate()
            .map(|(number, (_, _, offset))| match self.layout {
                Layout::PlaceRelative => (*offset as u32).wrapping_sub((at + 4 * number) as u32),
                _ => *offset as u32 + self.base,
            });
        offsets.flat_map(u32::to_le_bytes).collect()
    }
}

/// Appends tables.
struct Layer<'a> {
    image: &'a mut [u8],
    at: usize,
    align: usize,
}

impl Layer<'_> {
    fn aligned(&self) -> usize {
        self.at.next_multiple_of(self.align)
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        let start = self.aligned();
        self.at = start + bytes.len();
        self.image[start..self.at].copy_from_slice(bytes);
        start
    }
}

/// Writes a word.
pub fn put(image: &mut [u8], at: usize, word: u32) {
    image[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// Returns the text of each token: every ASCII letter by itself, and some longer ones in place of
/// letters that no name has.
fn tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|code| vec![code]).collect();
    let longer = [
        "Tsome", "some_", "function", "tion_", "machine_", "Tma", "tmachine", "kexec", "shut",
        "Tkernel_", "_", "00",
    ];
    for (code, text) in (0..).zip(longer) {
        tokens[code] = text.into();
    }
    for (unused, token) in tokens.iter_mut().enumerate().skip(0x80) {
        *token = format!("\u{1}{unused}").into_bytes();
    }
    tokens[0xff] = Vec::new();
    tokens
}

fn token_tables(tokens: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut index) = (Vec::new(), Vec::new());
    for token in tokens {
        index.extend((table.len() as u16).to_le_bytes());
        table.extend(token);
        table.push(0);
    }
    (table, index)
}
