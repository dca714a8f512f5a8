// SPDX-License-Identifier: Apache-2.0
//! What the monitor is told on a machine with UEFI: by the file `baton.conf` beside its image, and by its
//! load options.
//!
//! A line is the monitor's options, and behind them `next=`, which names the loader that comes next by its
//! path on the same partition, with its own load options up to the end of the line. A `#` begins a comment.

use super::text;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

const NEXT: &str = "next=";
/// Options that leave a kernel something of the one before it, cause faults, or lead to a trusted OS.
const NEED_TRUST: [&str; 8] = [
    "skip-steps=",
    "lpis=",
    "inject=",
    "tee=",
    "no=",
    "dma=",
    "smmu=bypass",
    "crash=keep-dma",
];

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The loader that comes next, with `\` between the folders; `None`: it is to be found.
    pub next: Option<String>,
    /// Its load options; empty if there are none.
    pub next_options: String,
    /// The monitor's options, separated by spaces.
    pub options: String,
}

impl Config {
    /// Reads the file beside the image, line by line.
    pub fn read_file(&mut self, text: &str) {
        for line in text.lines() {
            self.read_line(line.split('#').next().unwrap_or(""), &mut |_| true);
        }
    }

    /// Reads load options: UTF-16, little-endian, which may end in a 0. They count more than the file. Words
    /// without `=` are left out: a shell puts the image's name first.
    pub fn read_load_options(&mut self, bytes: &[u8]) {
        let units: Vec<u16> = text::units(bytes).collect();
        // A boot manager may put data of its own there, which is no text.
        if let Ok(text) = String::from_utf16(&units) {
            self.read_line(&text, &mut |word| word.contains('='));
        }
    }

    /// Takes out the options that whoever can write the file or the load options must not choose where Secure
    /// Boot is on, and returns them: neither has a signature.
    pub fn distrust(&mut self) -> Vec<String> {
        let mut taken = Vec::new();
        let options = mem::take(&mut self.options);
        self.read_line(&options, &mut |word| {
            let needs_trust = NEED_TRUST.iter().any(|option| word.starts_with(option));
            if needs_trust {
                taken.push(word.into());
            }
            !needs_trust
        });
        taken
    }

    fn read_line(&mut self, line: &str, counts: &mut dyn FnMut(&str) -> bool) {
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            if let Some(next) = rest.strip_prefix(NEXT) {
                let (path, options) = next.split_once(char::is_whitespace).unwrap_or((next, ""));
                self.next = Some(path.replace('/', "\\"));
                self.next_options = options.trim().into();
                return;
            }
            let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            if counts(word) {
                if !self.options.is_empty() {
                    self.options.push(' ');
                }
                self.options.push_str(word);
            }
            rest = behind.trim_start();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn next_loader_and_options_are_told_apart() {
        let text = "# Baton\r\nlog=debug wait=100\r\n\r\nnext=/EFI/debian/shimaa64.efi  quiet a=b # first\r\nhooks=on\r\n";
        let mut config = Config::default();
        config.read_file(text);
        let expected = Config {
            next: Some("\\EFI\\debian\\shimaa64.efi".into()),
            next_options: "quiet a=b".into(),
            options: "log=debug wait=100 hooks=on".into(),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn load_options_count_more_than_the_file() {
        let mut config = Config::default();
        config.read_file("log=debug\nnext=\\a.efi one");
        config.read_load_options(&units("BATON.EFI log=info  next=\\b.efi\0x=y"));
        let expected = Config {
            next: Some("\\b.efi".into()),
            next_options: "".into(),
            options: "log=debug log=info".into(),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn options_that_need_trust_are_taken_out() {
        let mut config = Config::default();
        config.read_file(
            "tee=forward log=debug\nskip-steps=a,b wait=100 inject=heap@1 lpis=keep no=mpam\n",
        );
        config.read_file(
            "dma=keep smmu=bypass smmu=fence crash=keep-dma crash=off\nnext=\\a.efi tee=x",
        );
        let taken = config.distrust();
        assert_eq!(
            taken,
            [
                "tee=forward",
                "skip-steps=a,b",
                "inject=heap@1",
                "lpis=keep",
                "no=mpam",
                "dma=keep",
                "smmu=bypass",
                "crash=keep-dma"
            ]
        );
        assert_eq!(
            (config.options.as_str(), config.next_options.as_str()),
            ("log=debug wait=100 smmu=fence crash=off", "tee=x")
        );
        assert_eq!(Config::default().distrust(), [""; 0]);
    }

    #[test]
    fn nothing_is_nothing() {
        let mut config = Config::default();
        for text in ["", "\n\n", "# next=x", "   \t"] {
            config.read_file(text);
        }
        config.read_load_options(&[]);
        config.read_load_options(&[0x00, 0xd8, 0x41, 0x00, 0x3d]);
        assert_eq!(config, Config::default());
    }
}
