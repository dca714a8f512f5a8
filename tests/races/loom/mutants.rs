// SPDX-License-Identifier: Apache-2.0
//! Shows that the models find mistakes: each is made on purpose, at one access to shared memory,
//! and a model has to fail then.

use crate::explore::Model;
use crate::{pieces, takeovers};
use baton_core::sync::model::mutant::{self, Kind, Mutant};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

/// Mistakes of one kind in the lines of one function, and a model that must find each of them.
struct Known {
    file: &'static str,
    function: &'static str,
    /// Part of the line; empty: any line.
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
    // An event is not sent: a CPU that waits for it never wakes.
    Forget in "rendezvous.rs" "order" "": takeover_of_two;
    Forget in "rendezvous.rs" "order" "": refused_takeover_of_two;
    Forget in "on_off.rs" "on" "": cpu_off_meets_cpu_on;
    // A store without release: what was written before it need not be seen.
    Relax in "rendezvous.rs" "order" "": takeover_of_two;
    Relax in "rendezvous.rs" "order" "": refused_takeover_of_two;
    Relax in "barrier.rs" "arrive" "": barrier_shows_what_was_done_before;
    Relax in "gate.rs" "drop" "fetch_and": gate_lets_one_prepare;
    // What was read before the CPU was counted is believed after it.
    Believe in "rendezvous.rs" "prepare" "": two_ask_and_one_is_given_up;
    Believe in "on_off.rs" "on" "": cpu_on_of_a_parked_cpu_meets_hasty_takeover;
    // A read and a write that are not one access: two CPUs decide at once.
    Tear in "arrival.rs" "decide" "": arrival_is_decided_once;
    Tear in "gate.rs" "prepare" "": gate_lets_one_prepare;
    Tear in "gate.rs" "pass" "": gate_waits_for_those_on_their_way;
    Tear in "barrier.rs" "arrive" "": barrier_shows_what_was_done_before;
    Tear in "power.rs" "turn_on" "from | CLAIMED": of_two_callers_one_turns_a_cpu_on;
    Tear in "power.rs" "turn_on" "READY": start_of_a_kernel_that_is_over_never_begins;
}

/// A mistake that does no harm in the models of the pieces.
struct Spare {
    kind: Kind,
    function: &'static str,
    /// Part of the line.
    line: &'static str,
}

macro_rules! spare {
    ($($kind:ident in $function:literal $line:literal: $why:literal;)*) => {
        const SPARE: &[Spare] = &[$(Spare {
            kind: Kind::$kind,
            function: $function,
            line: $line,
        },)*];
    };
}

// Behind the colon: why it does no harm.
spare! {
    Believe in "take_order" "entry": "it is read once a start";
    Believe in "take_order" "context": "it is read once a start";
    Relax in "affinity_info" "word": "an answer orders nothing";
    Believe in "affinity_info" "word": "an answer may be old";
    Relax in "turn" "compare": "a CPU that leaves hands nothing on";
    Relax in "has_arrived" "word": "it is asked when all is decided";
    Believe in "has_arrived" "word": "it is asked when all is decided";
    Relax in "is_missing" "word": "it is asked when all is decided";
    Believe in "is_missing" "word": "it is asked when all is decided";
    Relax in "expect" "word": "the lock of the members is held";
    Tear in "expect" "word": "the lock of the members is held, and no takeover is under way";
    Believe in "arrive" "expected": "it changes between generations alone";
    Tear in "add" "fetch_add": "one CPU at a time calls it";
    Relax in "close" "fetch_or": "the right to prepare is in the same word";
}

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

#[test]
fn mistakes_in_a_refusal_are_found() {
    for (mistake, run) in takeovers::MISTAKES {
        let model = Model {
            name: "a refused takeover with a mistake",
            quick: Some(2),
            thorough: Some(2),
            run,
        };
        QUIET.set(true);
        silence();
        let found = panic::catch_unwind(AssertUnwindSafe(|| model.explore_quickly())).is_err();
        QUIET.set(false);
        assert!(found, "no order fails with {mistake:?}");
    }
}

/// Breaks every access of the pieces in every way: each must be found by a model of the pieces, or
/// be named in [`SPARE`].
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
        SPARE.iter().any(|spare| {
            spare.function == function && line.contains(spare.line) && spare.kind == mutant.kind
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

/// Keeps panics that are wanted from being printed.
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

/// Returns `mutant` in words.
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
