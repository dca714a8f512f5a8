// SPDX-License-Identifier: Apache-2.0
//! The models find what is broken on purpose.

use crate::explore::Model;
use crate::{pieces, takeovers};
use baton_core::sync::model::mutant::{self, Kind, Mutant};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

/// Mistakes in one function, and a model that must find each of them.
struct Known {
    file: &'static str,
    function: &'static str,
    /// Part of the line.
    line: &'static str,
    kind: Kind,
    model: &'static str,
}

macro_rules! known {
    ($($kind:ident in $file:literal $function:literal $line:literal: $model:ident;)*) => {
        const KNOWN: &[Known] = &[$(Known {
            file: $file,
            function: $function,
            line: $line,
            kind: Kind::$kind,
            model: stringify!($model),
        },)*];
    };
}

known! {
    // A wake-up is lost.
    Forget in "rendezvous.rs" "release" "": takeover_of_two;
    Forget in "on_off.rs" "on" "": cpu_off_meets_cpu_on;
    // A store does not say that what came before it is done.
    Relax in "rendezvous.rs" "release" "": takeover_of_two;
    Relax in "barrier.rs" "arrive" "": barrier_shows_what_was_done_before;
    Relax in "gate.rs" "drop" "fetch_and": gate_lets_one_prepare;
    // What was true before a CPU was counted is not asked for again.
    Believe in "rendezvous.rs" "prepare" "": two_ask_and_one_is_given_up;
    Believe in "on_off.rs" "on" "": cpu_on_of_a_parked_cpu_meets_hasty_takeover;
    // Two decide at once.
    Tear in "arrival.rs" "decide" "": arrival_is_decided_once;
    Tear in "gate.rs" "prepare" "": gate_lets_one_prepare;
    Tear in "gate.rs" "pass" "": gate_waits_for_those_on_their_way;
    Tear in "barrier.rs" "arrive" "": barrier_shows_what_was_done_before;
    Tear in "power.rs" "turn_on" "from | CLAIMED": of_two_callers_one_turns_a_cpu_on;
    Tear in "power.rs" "turn_on" "READY": start_of_a_kernel_that_is_over_never_begins;
}

/// Mistakes that do no harm in the models of the pieces: function, part of the line, and why.
const SPARE: &[(&str, &str, Kind, &str)] = &[
    ("order", "entry", Kind::Believe, "it is read once a start"),
    ("order", "context", Kind::Believe, "it is read once a start"),
    (
        "affinity_info",
        "word",
        Kind::Relax,
        "an answer orders nothing",
    ),
    (
        "affinity_info",
        "word",
        Kind::Believe,
        "an answer may be old",
    ),
    ("turn", "compare", Kind::Relax, "who leaves carries nothing"),
    (
        "has_arrived",
        "word",
        Kind::Relax,
        "asked when all is decided",
    ),
    (
        "has_arrived",
        "word",
        Kind::Believe,
        "asked when all is decided",
    ),
    (
        "is_missing",
        "word",
        Kind::Relax,
        "asked when all is decided",
    ),
    (
        "is_missing",
        "word",
        Kind::Believe,
        "asked when all is decided",
    ),
    ("expect", "word", Kind::Relax, "the roll's lock is held"),
    (
        "expect",
        "word",
        Kind::Tear,
        "the roll's lock is held, in no takeover",
    ),
    (
        "arrive",
        "expected",
        Kind::Believe,
        "it changes between generations alone",
    ),
    ("add", "fetch_add", Kind::Tear, "callers take turns"),
    (
        "close",
        "fetch_or",
        Kind::Relax,
        "the right to prepare goes on the same word",
    ),
];

#[test]
fn known_mistakes_are_found() {
    for known in KNOWN {
        let model = models()
            .find(|model| model.name == known.model)
            .expect("there is such a model");
        let mutants: Vec<Mutant> = mutant::all_in(|| model.explore_quickly())
            .into_iter()
            .filter(|mutant| {
                mutant.kind == known.kind
                    && mutant.file.ends_with(known.file)
                    && place(mutant).0 == known.function
                    && place(mutant).1.contains(known.line)
            })
            .collect();
        assert!(
            !mutants.is_empty(),
            "{}: nothing to break in {} of {}",
            known.model,
            known.function,
            known.file
        );
        for mutant in mutants {
            assert!(
                is_found(mutant, || model.explore_until_found()),
                "{} does not find {}",
                model.name,
                describe(&mutant)
            );
        }
    }
}

/// Every access of the pieces, broken in every way, must be found by the models of the pieces, or be
/// named in [`SPARE`].
#[test]
#[ignore = "takes long: make races"]
fn every_mistake_is_found() {
    let mut all: BTreeSet<Mutant> = BTreeSet::new();
    let lists: Vec<(&Model, BTreeSet<Mutant>)> = pieces::MODELS
        .iter()
        .map(|model| (model, mutant::all_in(|| model.explore_quickly())))
        .collect();
    lists
        .iter()
        .for_each(|(_, list)| all.extend(list.iter().copied()));
    let (mut found, mut left) = (0, Vec::new());
    for mutant in all.iter().filter(|mutant| mutant.file.starts_with("src/")) {
        let by = lists.iter().find(|(model, list)| {
            list.contains(mutant) && is_found(*mutant, || model.explore_quickly())
        });
        match by {
            Some((model, _)) => println!("{}: found by {}", describe(mutant), model.name),
            None => println!("{}: NOT FOUND", describe(mutant)),
        }
        found += usize::from(by.is_some());
        if by.is_none() {
            left.push(mutant);
        }
    }
    println!("{found} mistakes found, {} left", left.len());
    let is_spare = |mutant: &&Mutant| {
        let (function, line) = place(mutant);
        SPARE.iter().any(|&(of, text, kind, _)| {
            of == function && line.contains(text) && kind == mutant.kind
        })
    };
    let unknown: Vec<String> = left
        .into_iter()
        .filter(|mutant| !is_spare(mutant))
        .map(describe)
        .collect();
    assert!(unknown.is_empty(), "not found:\n{}", unknown.join("\n"));
}

fn models() -> impl Iterator<Item = &'static Model> {
    pieces::MODELS.iter().chain(takeovers::MODELS)
}

/// Returns whether `explore` panics with the mistake in what it explores.
fn is_found(mutant: Mutant, explore: impl FnOnce()) -> bool {
    QUIET.set(true);
    silence();
    let run = || mutant::with(mutant, explore);
    let found = panic::catch_unwind(AssertUnwindSafe(run)).is_err();
    QUIET.set(false);
    found
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What is found on purpose is not printed.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                print(info);
            }
        }));
    });
}

fn describe(mutant: &Mutant) -> String {
    let (function, line) = place(mutant);
    format!(
        "{:?} in {}() at {}:{}: {line}",
        mutant.kind, function, mutant.file, mutant.line
    )
}

/// Returns the function that `mutant` is in, and its line.
fn place(mutant: &Mutant) -> (String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = std::fs::read_to_string(root.join(mutant.file)).expect("the source is there");
    let lines: Vec<&str> = source.lines().take(mutant.line as usize).collect();
    let name = |line: &&str| {
        let (before, after) = line.split_once("fn ")?;
        before
            .trim()
            .chars()
            .all(|letter| letter.is_alphanumeric() || " ()".contains(letter))
            .then(|| after.split(['(', '<']).next())
            .flatten()
            .map(str::to_owned)
    };
    let function = lines.iter().rev().find_map(name).unwrap_or_default();
    (function, lines.last().unwrap_or(&"").trim().to_owned())
}
