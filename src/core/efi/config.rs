// SPDX-License-Identifier: Apache-2.0
//! What the monitor is told on a machine with UEFI: by its load options, or by the file `baton.conf` beside
//! its image.
//!
//! A line `next=` names the loader that comes next, by its path on the same partition, and its own load
//! options behind that. All other words are the monitor's options. A `#` begins a comment.

use alloc::string::String;

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
    /// Reads it, line by line.
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or("").trim();
            if let Some(next) = line.strip_prefix("next=") {
                let (path, options) = next.split_once(char::is_whitespace).unwrap_or((next, ""));
                config.next = Some(path.replace('/', "\\"));
                config.next_options = options.trim().into();
            } else if !line.is_empty() {
                if !config.options.is_empty() {
                    config.options.push(' ');
                }
                config.options.push_str(line);
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_loader_and_options_are_told_apart() {
        let text = "# Baton\r\nlog=debug wait=100\r\n\r\nnext=/EFI/debian/shimaa64.efi  quiet a=b # first\r\nhooks=on\r\n";
        let expected = Config {
            next: Some("\\EFI\\debian\\shimaa64.efi".into()),
            next_options: "quiet a=b".into(),
            options: "log=debug wait=100 hooks=on".into(),
        };
        assert_eq!(Config::parse(text), expected);
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "\n\n", "# next=x", "   \t"] {
            assert_eq!(Config::parse(text), Config::default(), "{text:?}");
        }
    }
}
