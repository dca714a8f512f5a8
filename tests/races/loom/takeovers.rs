// SPDX-License-Identifier: Apache-2.0
//! Models of whole takeovers, with all that CPUs can be in the middle of.
//!
//! `impatient` and `hasty` are what `Conditions` says: a takeover that gives up CPUs at once, and
//! one that does not wait for CPU_ON calls either.

use baton_races::world::{Act, At, Conditions, Mistake, World};
use loom::thread;
use std::sync::Arc;

crate::models! {
    takeover_of_two [Some(2), Some(5)];
    takeover_of_parked_and_off [Some(1), Some(2)];
    takeover_of_three [Some(1), Some(2)];
    two_in_a_row [Some(2), Some(4)];
    two_ask_at_once [Some(2), Some(4)];
    two_ask_and_one_is_given_up [Some(2), Some(4)];
    cpu_that_is_given_up_comes_late [Some(2), Some(4)];
    cpu_that_is_given_up_comes_in_the_next_takeover [Some(2), Some(3)];
    cpu_on_through_firmware_meets_takeover [Some(1), Some(2)];
    cpu_on_of_a_parked_cpu_meets_takeover [Some(0), Some(2)];
    cpu_on_meets_hasty_takeover [Some(1), Some(2)];
    cpu_on_of_a_parked_cpu_meets_hasty_takeover [Some(0), Some(2)];
    cpu_on_is_held_from_before_it_counts_the_cpu [Some(1), Some(2)];
    cpu_on_is_held_from_before_it_claims_the_cpu [Some(3), None];
    refused_cpu_on_meets_hasty_takeover [Some(1), Some(2)];
    refused_cpu_that_was_given_up_is_not_waited_for [Some(1), Some(2)];
    cpu_off_meets_takeover [Some(3), None];
    cpu_off_meets_impatient_takeover [Some(2), Some(4)];
    cpu_off_meets_cpu_on [Some(4), None];
    cpu_that_is_sent_back_meets_cpu_on [Some(0), Some(1)];
    cpu_that_is_sent_back_meets_takeover [Some(1), Some(2)];
    cpu_that_leaves_meets_cpu_on [Some(3), None];
    cpu_that_leaves_meets_takeover [Some(2), Some(4)];
    cpu_that_leaves_meets_cpu_on_and_takeover [Some(0), Some(1)];
    cpu_that_leaves_meets_cpu_on_and_hasty_takeover [Some(0), Some(1)];
    refused_takeover_of_two [Some(2), Some(4)];
    refused_takeover_of_parked_and_off [Some(1), Some(2)];
    refused_and_asked_again [Some(2), Some(3)];
    two_ask_and_one_is_refused [Some(1), Some(3)];
    two_ask_and_both_are_refused [Some(1), Some(3)];
    cpu_that_is_given_up_comes_when_it_is_refused [Some(2), Some(4)];
    cpu_that_is_given_up_comes_after_a_refusal [Some(1), Some(2)];
    cpu_on_through_firmware_meets_refusal [Some(1), Some(2)];
    cpu_on_of_a_parked_cpu_meets_refusal [Some(0), Some(2)];
    cpu_on_meets_hasty_refusal [Some(1), Some(2)];
    cpu_off_meets_refusal [Some(2), Some(4)];
}

/// Runs a machine whose CPUs are `at` their places; the first one runs in the model's first thread.
fn run<const N: usize>(options: Conditions, at: [At; N]) {
    let world = Arc::new(World::new(options, &at));
    let others: Vec<_> = (1..N)
        .map(|index| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.run(index, at[index]))
        })
        .collect();
    world.run(0, at[0]);
    others
        .into_iter()
        .for_each(|thread| thread.join().expect("it does not panic"));
    world.check_end();
}

const KEXEC: At = At::Guest(&[Act::Kexec]);
const IDLE: At = At::Guest(&[]);

fn kexecs(kexecs: u64) -> Conditions {
    Conditions {
        kexecs,
        ..Conditions::default()
    }
}

fn impatient(kexecs: u64) -> Conditions {
    Conditions {
        kexecs,
        impatient: true,
        ..Conditions::default()
    }
}

/// As [`impatient`], and CPU_ON calls that are under way are not waited for.
fn hasty(kexecs: u64) -> Conditions {
    Conditions {
        hasty: true,
        ..impatient(kexecs)
    }
}

/// The first `refused` requests are refused.
fn refused(refused: u64, conditions: Conditions) -> Conditions {
    Conditions {
        refused,
        ..conditions
    }
}

/// What a mistake is found by: a machine that fails with it.
pub const MISTAKES: [(Mistake, fn()); 3] = [
    (Mistake::MemoryLast, || {
        run(mistaken(Mistake::MemoryLast, kexecs(1)), [KEXEC, IDLE]);
    }),
    (Mistake::LeavesTwice, || {
        run(mistaken(Mistake::LeavesTwice, kexecs(2)), [KEXEC, IDLE]);
    }),
    (Mistake::ClearsAtOnce, || {
        run(mistaken(Mistake::ClearsAtOnce, impatient(1)), [KEXEC, IDLE]);
    }),
];

/// As [`refused`], the first request, with a mistake.
fn mistaken(mistake: Mistake, conditions: Conditions) -> Conditions {
    Conditions {
        mistake: Some(mistake),
        ..refused(1, conditions)
    }
}

fn takeover_of_two() {
    run(kexecs(1), [KEXEC, IDLE]);
}

fn takeover_of_parked_and_off() {
    run(kexecs(1), [KEXEC, At::Parked, At::Firmware]);
}

fn takeover_of_three() {
    run(kexecs(1), [KEXEC, IDLE, IDLE]);
}

fn two_in_a_row() {
    run(kexecs(2), [KEXEC, IDLE]);
}

fn two_ask_at_once() {
    run(kexecs(1), [KEXEC, KEXEC]);
}

/// The second CPU is held in its request, and its kernel is over when it goes on.
fn two_ask_and_one_is_given_up() {
    run(impatient(1), [KEXEC, KEXEC]);
}

fn cpu_that_is_given_up_comes_late() {
    run(impatient(1), [KEXEC, IDLE]);
}

fn cpu_that_is_given_up_comes_in_the_next_takeover() {
    run(impatient(2), [KEXEC, IDLE]);
}

fn cpu_on_through_firmware_meets_takeover() {
    run(kexecs(1), [KEXEC, At::Guest(&[Act::On(2)]), At::Firmware]);
}

fn cpu_on_of_a_parked_cpu_meets_takeover() {
    run(kexecs(1), [KEXEC, At::Guest(&[Act::On(2)]), At::Parked]);
}

fn cpu_on_meets_hasty_takeover() {
    run(hasty(1), [KEXEC, At::Guest(&[Act::On(2)]), At::Firmware]);
}

fn cpu_on_of_a_parked_cpu_meets_hasty_takeover() {
    run(hasty(1), [KEXEC, At::Guest(&[Act::On(2)]), At::Parked]);
}

/// It is the caller of CPU_ON that runs first and is held, not the CPU that takes over: so one
/// preemption is enough.
fn cpu_on_is_held_from_before_it_counts_the_cpu() {
    run(hasty(1), [At::Guest(&[Act::On(2)]), KEXEC, At::Firmware]);
}

/// The CPU that the call is for arrives in the takeover, and the next kernel turns it on too.
fn cpu_on_is_held_from_before_it_claims_the_cpu() {
    const AT: [At; 3] = [IDLE, IDLE, At::Parked];
    let world = Arc::new(World::new(hasty(1), &AT));
    let other = Arc::clone(&world);
    let caller = thread::spawn(move || {
        let _ = other.turn_on(0, 2);
    });
    world.take_over_without(1, 0, 2);
    caller.join().expect("it does not panic");
    world.begin(2);
}

fn refused_cpu_on_meets_hasty_takeover() {
    let options = Conditions {
        refuses: true,
        ..hasty(1)
    };
    run(options, [KEXEC, At::Guest(&[Act::On(2)]), At::Firmware]);
}

/// As [`cpu_on_is_held_from_before_it_counts_the_cpu`], and firmware refuses.
fn refused_cpu_that_was_given_up_is_not_waited_for() {
    let options = Conditions {
        refuses: true,
        ..hasty(1)
    };
    run(options, [At::Guest(&[Act::On(2)]), KEXEC, At::Firmware]);
}

fn cpu_off_meets_takeover() {
    run(kexecs(1), [KEXEC, At::Guest(&[Act::Off])]);
}

fn cpu_off_meets_impatient_takeover() {
    run(impatient(1), [KEXEC, At::Guest(&[Act::Off])]);
}

fn cpu_off_meets_cpu_on() {
    run(
        kexecs(0),
        [At::Guest(&[Act::On(1)]), At::Guest(&[Act::Off])],
    );
}

fn cpu_that_is_sent_back_meets_cpu_on() {
    run(
        kexecs(1),
        [
            At::Guest(&[Act::OnOnce(2), Act::Kexec]),
            At::Guest(&[Act::SendBack(2)]),
            At::Parked,
        ],
    );
}

fn restless(kexecs: u64) -> Conditions {
    Conditions {
        kexecs,
        restless: true,
        ..Conditions::default()
    }
}

fn cpu_that_leaves_meets_cpu_on() {
    run(restless(0), [At::Guest(&[Act::OnOnce(1)]), At::Parked]);
}

/// What [`cpu_that_leaves_meets_cpu_on`] finds without the wait.
#[test]
#[should_panic = "CPU_ON of CPU 1, which is off"]
fn cpu_on_has_to_wait_for_a_cpu_that_leaves() {
    let rash = || {
        let options = Conditions {
            rash: true,
            ..restless(0)
        };
        run(options, [At::Guest(&[Act::OnOnce(1)]), At::Parked]);
    };
    loom::model(rash);
}

/// The next kernel too turns the CPU on, wherever the takeover has met it.
fn cpu_that_leaves_meets_takeover() {
    run(restless(1), [KEXEC, At::Parked]);
}

fn cpu_that_leaves_meets_cpu_on_and_takeover() {
    run(restless(1), [KEXEC, At::Guest(&[Act::On(2)]), At::Parked]);
}

fn cpu_that_leaves_meets_cpu_on_and_hasty_takeover() {
    let options = Conditions {
        restless: true,
        ..hasty(1)
    };
    run(options, [KEXEC, At::Guest(&[Act::On(2)]), At::Parked]);
}

fn cpu_that_is_sent_back_meets_takeover() {
    run(
        kexecs(1),
        [KEXEC, At::Guest(&[Act::SendBack(2)]), At::Parked],
    );
}

fn refused_takeover_of_two() {
    run(refused(1, kexecs(1)), [KEXEC, IDLE]);
}

fn refused_takeover_of_parked_and_off() {
    run(refused(1, kexecs(1)), [KEXEC, At::Parked, At::Firmware]);
}

fn refused_and_asked_again() {
    run(refused(1, kexecs(2)), [KEXEC, IDLE]);
}

/// The second request is made again when the first one is refused, and is served.
fn two_ask_and_one_is_refused() {
    run(refused(1, kexecs(2)), [KEXEC, KEXEC]);
}

fn two_ask_and_both_are_refused() {
    run(refused(2, kexecs(2)), [KEXEC, KEXEC]);
}

/// Before the refusal, between that and the end of the takeover, or after it.
fn cpu_that_is_given_up_comes_when_it_is_refused() {
    run(refused(1, impatient(1)), [KEXEC, IDLE]);
}

/// Before the next takeover, in it, or when it is given up again.
fn cpu_that_is_given_up_comes_after_a_refusal() {
    run(refused(1, impatient(2)), [KEXEC, IDLE]);
}

fn cpu_on_through_firmware_meets_refusal() {
    run(
        refused(1, kexecs(1)),
        [KEXEC, At::Guest(&[Act::On(2)]), At::Firmware],
    );
}

fn cpu_on_of_a_parked_cpu_meets_refusal() {
    run(
        refused(1, kexecs(1)),
        [KEXEC, At::Guest(&[Act::On(2)]), At::Parked],
    );
}

fn cpu_on_meets_hasty_refusal() {
    run(
        refused(1, hasty(1)),
        [KEXEC, At::Guest(&[Act::On(2)]), At::Firmware],
    );
}

fn cpu_off_meets_refusal() {
    run(refused(1, kexecs(1)), [KEXEC, At::Guest(&[Act::Off])]);
}
