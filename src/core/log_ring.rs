// SPDX-License-Identifier: Apache-2.0
//! The last lines of the log, in memory.
//!
//! What is written has an offset, counted in bytes from the first line ever. A reader asks for what is
//! from an offset on, and gets whole lines: where they have been written over, the oldest ones that are
//! left.
#![forbid(unsafe_code)]

use crate::acpi::sum;
use baton_abi::log::{LOG_SIZE, LogHeader, MAGIC, SIZE, VERSION};
use core::fmt;
use zerocopy::IntoBytes;

/// The last `N` bytes of the log, as the guest is shown them ([`baton_abi::log`]): on pages of their own.
///
/// All zero while it is empty, so that it costs no bytes in the image.
#[repr(C, align(4096))]
pub struct LogRing<const N: usize = LOG_SIZE> {
    header: LogHeader,
    bytes: [u8; N],
}

// Nothing but the log is on its pages.
const _: () = assert!(size_of::<LogRing>() == SIZE);

/// Bytes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Offset of the first one.
    pub start: u64,
    /// The bytes, in two pieces where they go round the ring's end.
    pub pieces: [&'a [u8]; 2],
}

impl<const N: usize> LogRing<N> {
    /// Returns a ring without any line.
    pub const fn new() -> Self {
        Self {
            header: LogHeader::new(),
            bytes: [0; N],
        }
    }

    /// Appends a line; what `line` formats to is to have no end of a line.
    pub fn push(&mut self, prefix: &str, line: fmt::Arguments) {
        self.header.magic = MAGIC;
        self.header.version = VERSION;
        self.header.size = N as u64;
        // A CPU that panicked in the middle of a line left it without its end.
        if self.last().is_some_and(|byte| byte != b'\n') {
            self.put(b'\n');
        }
        // Writing to memory does not fail; formatting is the caller's.
        let _ = fmt::Write::write_fmt(self, format_args!("{prefix}{line}\n"));
        self.header.checksum = 0;
        let total = sum(self.header.as_bytes()).wrapping_add(self.header.sum);
        self.header.checksum = total.wrapping_neg();
    }

    /// Returns the offset of the next byte.
    pub fn end(&self) -> u64 {
        self.header.end
    }

    /// Returns what has changed since the next byte was that at `offset`: bytes of the ring, then the
    /// header, each with its offset in what the guest is shown.
    pub fn changed_since(&self, offset: u64) -> [(usize, &[u8]); 3] {
        let start = offset.clamp(self.header.end.saturating_sub(N as u64), self.header.end);
        let [first, second] = self.part(start, u64::MAX).pieces;
        let behind = size_of::<LogHeader>();
        [
            (behind + (start % N as u64) as usize, first),
            (behind, second),
            (0, self.header.as_bytes()),
        ]
    }

    /// Returns what is there from `offset` on, `most` bytes at most. Where that has been written over,
    /// it begins with the oldest whole line; behind the last byte there is nothing.
    pub fn read(&self, offset: u64, most: u64) -> Part<'_> {
        let offset = offset.min(self.header.end);
        let start = match self.header.end - offset > N as u64 {
            true => self.oldest(),
            false => offset,
        };
        self.part(start, most)
    }

    /// Returns the last whole lines that have `most` bytes together.
    pub fn last_lines(&self, most: u64) -> Part<'_> {
        let first = self.header.end.saturating_sub(most).max(self.oldest());
        self.part(self.line_from(first), most)
    }

    /// The offset of the oldest line that is whole.
    fn oldest(&self) -> u64 {
        self.line_from(self.header.end.saturating_sub(N as u64))
    }

    /// The offset of the first line that begins at `offset` or behind it, of bytes that are there.
    fn line_from(&self, offset: u64) -> u64 {
        let before = |offset: u64| match offset.checked_sub(1) {
            // Written over: the line that ended there cannot be told from one that goes on.
            Some(before) if self.header.end - before > N as u64 => b'\0',
            Some(before) => self.at(before),
            None => b'\n',
        };
        (offset..self.header.end)
            .find(|offset| before(*offset) == b'\n')
            .unwrap_or(self.header.end)
    }

    fn part(&self, start: u64, most: u64) -> Part<'_> {
        let size = self.header.end.saturating_sub(start).min(most) as usize;
        let from = (start % N as u64) as usize;
        let first = size.min(N - from);
        Part {
            start,
            pieces: [
                self.bytes.get(from..from + first).unwrap_or_default(),
                self.bytes.get(..size - first).unwrap_or_default(),
            ],
        }
    }

    fn last(&self) -> Option<u8> {
        self.header.end.checked_sub(1).map(|offset| self.at(offset))
    }

    /// The byte at `offset`, which is there.
    fn at(&self, offset: u64) -> u8 {
        let at = (offset % N as u64) as usize;
        self.bytes.get(at).copied().unwrap_or_default()
    }

    fn put(&mut self, byte: u8) {
        let at = (self.header.end % N as u64) as usize;
        if let Some(place) = self.bytes.get_mut(at) {
            self.header.sum = self.header.sum.wrapping_sub(*place).wrapping_add(byte);
            *place = byte;
        }
        self.header.end += 1;
    }
}

impl<const N: usize> Default for LogRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Write for LogRing<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.put(byte));
        Ok(())
    }
}

impl Part<'_> {
    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// The offset behind the last one.
    pub fn next(&self) -> u64 {
        self.start + self.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn text(part: Part<'_>) -> String {
        let bytes: Vec<u8> = part.pieces.concat();
        String::from_utf8(bytes).expect("lines of text")
    }

    fn filled(lines: core::ops::Range<u32>) -> LogRing<32> {
        let mut ring = LogRing::new();
        for line in lines {
            ring.push("", format_args!("line {line}"));
        }
        ring
    }

    #[test]
    fn keeps_lines_with_their_prefix() {
        let mut ring = LogRing::<32>::new();
        assert_eq!(ring.read(0, 100).size(), 0, "nothing was written yet");
        ring.push("error: ", format_args!("no {}", 1));
        ring.push("", format_args!("two"));
        let part = ring.read(0, 100);
        assert_eq!((text(part), part.next()), ("error: no 1\ntwo\n".into(), 16));
    }

    #[test]
    fn is_read_on_from_where_a_reader_was() {
        let mut ring = filled(0..2);
        let first = ring.read(0, 9);
        assert_eq!((text(first), first.next()), ("line 0\nli".into(), 9));
        let rest = ring.read(9, 100);
        assert_eq!((text(rest), rest.next()), ("ne 1\n".into(), 14));
        assert_eq!(ring.read(14, 100).size(), 0);
        ring.push("", format_args!("new"));
        assert_eq!(text(ring.read(14, 100)), "new\n");
    }

    #[test]
    fn drops_the_oldest_lines_whole() {
        // Each has 7 bytes: of 32, the oldest 4 are half a line's.
        let ring = filled(0..9);
        let part = ring.read(0, 100);
        assert_eq!(text(part), "line 5\nline 6\nline 7\nline 8\n");
        assert_eq!(part.start, 35, "it says what was lost");
        assert_eq!(part.next(), 63);
        assert_eq!(
            text(ring.read(34, 100)),
            "\nline 5\nline 6\nline 7\nline 8\n"
        );
    }

    #[test]
    fn a_line_that_ends_the_ring_exactly_does_not_make_the_next_one_whole() {
        let mut ring = LogRing::<8>::new();
        ring.push("", format_args!("abcdefg"));
        assert_eq!(text(ring.read(0, 100)), "abcdefg\n");
        ring.push("", format_args!("xyz"));
        // "efg\n" is what is left of the first.
        assert_eq!(text(ring.read(0, 100)), "xyz\n");
    }

    #[test]
    fn offsets_from_nowhere_are_no_harm() {
        let ring = filled(0..9);
        for offset in [64, 1000, u64::MAX] {
            let part = ring.read(offset, u64::MAX);
            assert_eq!((part.size(), part.start), (0, 63), "offset {offset}");
        }
        assert_eq!(ring.read(63, u64::MAX).size(), 0);
        assert_eq!(ring.read(40, 0).size(), 0);
        assert_eq!(ring.read(40, 0).next(), 40);
    }

    #[test]
    fn a_line_longer_than_the_ring_is_none() {
        let mut ring = filled(0..2);
        ring.push("", format_args!("{}", "x".repeat(40)));
        assert_eq!(ring.read(0, 100).size(), 0);
        ring.push("", format_args!("next"));
        assert_eq!(text(ring.read(0, 100)), "next\n");
    }

    #[test]
    fn a_line_that_was_never_ended_does_not_join_the_next() {
        let mut ring = filled(0..1);
        for byte in b"cut" {
            ring.put(*byte);
        }
        ring.push("error: ", format_args!("panicked"));
        assert_eq!(text(ring.read(0, 100)), "line 0\ncut\nerror: panicked\n");
    }

    #[test]
    fn last_lines_are_whole_and_fit() {
        let ring = filled(0..9);
        for (most, expected) in [
            (0, ""),
            (6, ""),
            (7, "line 8\n"),
            (20, "line 7\nline 8\n"),
            (28, "line 5\nline 6\nline 7\nline 8\n"),
            (1000, "line 5\nline 6\nline 7\nline 8\n"),
        ] {
            assert_eq!(text(ring.last_lines(most)), expected, "{most} bytes");
        }
        assert_eq!(text(filled(0..2).last_lines(100)), "line 0\nline 1\n");
    }

    /// What a guest is shown that got all changes so far, and the `ring` that it is of.
    fn expect_shown(ring: &LogRing<61>, shown: &[u8]) {
        let (header, bytes) = shown.split_at(size_of::<LogHeader>());
        assert_eq!(header, ring.header.as_bytes());
        assert_eq!(bytes, ring.bytes);
        assert_eq!(sum(shown), 0, "its checksum");
    }

    #[test]
    fn changes_are_all_that_a_copy_needs() {
        let mut ring = LogRing::<61>::new();
        let mut shown = [0; size_of::<LogHeader>() + 61];
        let mut end = 0;
        for number in 0..50_usize {
            // Longer than the ring too.
            let line = "x".repeat(number * 13 % 140);
            ring.push("", format_args!("{number}{line}"));
            if number % 3 == 0 {
                for (at, bytes) in ring.changed_since(end) {
                    shown[at..at + bytes.len()].copy_from_slice(bytes);
                }
                end = ring.end();
                expect_shown(&ring, &shown);
            }
        }
        let end = ring.end();
        for offset in [end, end + 1, u64::MAX] {
            let [first, second, _] = ring.changed_since(offset);
            assert_eq!(
                first.1.len() + second.1.len(),
                0,
                "nothing from {offset} on"
            );
        }
    }

    /// What is read is what was written, wherever the ring is.
    #[test]
    fn agrees_with_a_log_that_keeps_all() {
        let mut ring = LogRing::<61>::new();
        let mut all = String::new();
        for number in 0..200_u32 {
            let line = "abcdefghijklmnopqrstuvwxyz".repeat(2);
            let line = &line[..(number * 7 % 40) as usize];
            ring.push("p: ", format_args!("{line}"));
            all.push_str(&format!("p: {line}\n"));
            let part = ring.read(0, u64::MAX);
            let start = part.start as usize;
            assert_eq!(text(part), all[start..], "after line {number}");
            assert!(start == 0 || all.as_bytes()[start - 1] == b'\n');
            assert!(all.len() - start <= 61);
            // No whole line that is there is left out.
            let fits = all.len().saturating_sub(61);
            let older = all[fits..start].strip_suffix('\n').unwrap_or("");
            assert!(fits == 0 || !older.contains('\n'), "left out: {older:?}");
        }
    }
}
