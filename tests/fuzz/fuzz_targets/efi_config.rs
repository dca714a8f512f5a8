// SPDX-License-Identifier: Apache-2.0
//! Reads `baton.conf`, and load options: options are words, the next loader is a path of UEFI's, and what was
//! told can be told again.
#![no_main]

use baton_core::efi::config::Config;
use libfuzzer_sys::fuzz_target;

const NEXT: &str = "next=";

fuzz_target!(|data: &[u8]| {
    let (at, data) = data.split_first().unwrap_or((&0, &[]));
    let (file, load_options) = data.split_at(usize::from(*at).min(data.len()));
    let mut config = Config::default();
    config.read_file(&String::from_utf8_lossy(file));
    let from_file = config.clone();
    config.read_load_options(load_options);
    assert!(config.options.starts_with(&from_file.options));
    for word in config.options.split_whitespace() {
        assert!(!word.starts_with(NEXT), "{word}");
    }
    let words = config.options.split_whitespace().count();
    assert_eq!(
        words,
        config
            .options
            .split(' ')
            .filter(|word| !word.is_empty())
            .count()
    );
    let Some(next) = &config.next else {
        assert!(config.next_options.is_empty());
        return;
    };
    assert!(
        !next.contains('/') && !next.contains(char::is_whitespace),
        "{next:?}"
    );
    let line = format!("{} {NEXT}{next} {}", config.options, config.next_options);
    // Load options are one line, in which no comment begins.
    if !line.contains(['#', '\n']) {
        let mut again = Config::default();
        again.read_file(&line);
        assert_eq!(again, config);
    }
});
