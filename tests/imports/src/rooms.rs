// SPDX-License-Identifier: Apache-2.0
//! The rooms of the monitor, from the top down.

use crate::graph::Graph;

/// Each room may import from those below it, and nothing from the others beside it.
const FLOORS: [&[&str]; 8] = [
    &["main"],
    &["boot"],
    &["exit"],
    &["psci", "kexec_hooks", "baton_calls", "tee"],
    &["takeover"],
    &["report", "firmware"],
    &["machine"],
    &["gic", "vcpu", "console", "memory", "dma"],
];
/// Below all of [`FLOORS`] but the crates.
const GROUND: &str = "arch";

/// The rule, as a fault shows it.
const RULE: &str = "boot → exit → {psci, kexec_hooks, baton_calls, tee} → takeover → {report, firmware} → \
                    machine → {gic, vcpu, console, memory, dma} → arch";

/// Returns a line for each import that does not lead downward.
pub fn upward(graph: &Graph) -> Vec<String> {
    graph
        .imports()
        .filter_map(|import| {
            let (from, to) = (import.from.room(), import.to.room());
            if from == to || from == "lib" {
                return None;
            }
            let place = format!("{}:{}", import.from.file(), import.line);
            match (floor(from), floor(to)) {
                (Some(upper), Some(lower)) if upper < lower => None,
                (Some(_), Some(_)) => Some(format!(
                    "{place}: `{}`: {from} may not import from {to}; the rule is {RULE}",
                    import.path
                )),
                (None, _) => Some(format!("{place}: {from} is no room of the rule: {RULE}")),
                (_, None) => Some(format!("{place}: {to} is no room of the rule: {RULE}")),
            }
        })
        .collect()
}

fn floor(room: &str) -> Option<usize> {
    if room == GROUND {
        return Some(FLOORS.len());
    }
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        upward(&Graph::of("src", files).expect("sources that parse"))
    }

    #[test]
    fn downward_is_allowed() {
        let files = [
            ("exit/mod.rs", "use crate::machine::Machine;"),
            ("machine/mod.rs", "fn f() { crate::arch::time::now(); }"),
            ("arch/time.rs", ""),
        ];
        assert_eq!(faults(&files), Vec::<String>::new());
    }

    #[test]
    fn upward_and_sideways_are_named_with_their_line() {
        let files = [
            ("exit/mod.rs", ""),
            (
                "psci/mod.rs",
                "\nuse crate::{exit, kexec_hooks::hit};\nuse crate::exit::run;",
            ),
            ("kexec_hooks.rs", ""),
        ];
        let seen = faults(&files);
        let expected = [
            "src/psci/mod.rs:2: `crate::exit`: psci may not import from exit;",
            "src/psci/mod.rs:2: `crate::kexec_hooks::hit`: psci may not import from kexec_hooks;",
            "src/psci/mod.rs:3: `crate::exit::run`: psci may not import from exit;",
        ];
        assert_eq!(seen.len(), expected.len(), "seen: {seen:#?}");
        for (seen, expected) in seen.iter().zip(expected) {
            assert!(
                seen.starts_with(expected),
                "expected {expected}, seen {seen}"
            );
        }
    }

    #[test]
    fn what_only_tests_import_does_not_count() {
        let files = [
            ("exit/mod.rs", ""),
            (
                "arch/time.rs",
                "#[cfg(test)]\nmod tests {\n use crate::exit::run;\n}",
            ),
        ];
        assert_eq!(faults(&files), Vec::<String>::new());
    }
}
