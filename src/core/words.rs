// SPDX-License-Identifier: Apache-2.0
//! Lists of words with a separator between them, as byte strings: what a tree and a command line have.
//!
//! Written out and not inlined: with iterators each place where one is read has half a kilobyte.
#![forbid(unsafe_code)]

/// Splits a text at the first `separator`, which is in neither part; without one, all is the first.
#[inline(never)]
pub fn split(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let mut length = 0;
    for byte in text {
        if *byte == separator {
            break;
        }
        length += 1;
    }
    let (first, rest) = text.split_at_checked(length).unwrap_or_default();
    (first, rest.get(1..).unwrap_or_default())
}

/// Says whether a word is in a list.
#[inline(never)]
pub fn has(mut list: &[u8], separator: u8, word: &[u8]) -> bool {
    while !list.is_empty() {
        let first;
        (first, list) = split(list, separator);
        if first == word {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first() {
        let cases: [(&str, &str, &str); 6] = [
            ("a b c", "a", "b c"),
            ("ab", "ab", ""),
            ("ab ", "ab", ""),
            (" a", "", "a"),
            ("", "", ""),
            (" ", "", ""),
        ];
        for (text, first, rest) in cases {
            let expected = (first.as_bytes(), rest.as_bytes());
            assert_eq!(split(text.as_bytes(), b' '), expected, "{text:?}");
        }
    }

    #[test]
    fn has_whole_words() {
        let list = b"one\0\0two\0";
        for (word, expected) in [("one", true), ("two", true), ("", true), ("tw", false)] {
            assert_eq!(has(list, 0, word.as_bytes()), expected, "{word:?}");
        }
        assert!(!has(b"", 0, b""));
    }
}
