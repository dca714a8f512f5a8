// SPDX-License-Identifier: Apache-2.0
//! Reads the monitor's command line: each word has an effect or is a problem, never both.
#![no_main]

use baton_core::options::{Options, Problem};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|data: &[u8]| {
    let line = String::from_utf8_lossy(data);
    let (options, problems) = Options::parse(&line);
    assert!((Duration::from_millis(1)..=Duration::from_secs(60)).contains(&options.wait));
    for problem in &problems {
        assert!(!problem.to_string().is_empty());
    }
    // Without the words that have no effect the options are the same, and there is no problem.
    let bad: Vec<&str> = problems
        .iter()
        .map(|problem| match problem {
            Problem::Unknown(word) | Problem::Value { word, .. } => *word,
        })
        .collect();
    let words = line.split_whitespace();
    let good: Vec<&str> = words.filter(|word| !bad.contains(word)).collect();
    assert_eq!(bad.len() + good.len(), line.split_whitespace().count());
    assert_eq!(Options::parse(&good.join(" ")), (options, Vec::new()));
});
