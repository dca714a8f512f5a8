// SPDX-License-Identifier: Apache-2.0
//! Models of the protocol's pieces, one by one: barrier, gate, arrival and power state.

use arm_psci::{AffinityInfo, ErrorCode};
use baton_core::smp::arrival::Arrival;
use baton_core::smp::barrier::Barrier;
use baton_core::smp::gate::Gate;
use baton_core::smp::power::{Order, Origin, Power, Start};
use baton_core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use baton_core::sync::{pause, sev, wfe};
use baton_races::plain::Plain;
use loom::thread::{self, JoinHandle};
use std::sync::Arc;

crate::models! {
    barrier_shows_what_was_done_before [None, None];
    barrier_serves_the_next_generation [None, None];
    gate_lets_one_prepare [None, None];
    gate_waits_for_those_on_their_way [Some(2), None];
    gate_loses_nobody [None, None];
    arrival_is_decided_once [None, None];
    of_two_callers_one_turns_a_cpu_on [None, None];
    parked_cpu_is_woken_and_begins_where_it_is_told [None, None];
    start_of_a_kernel_that_is_over_never_begins [None, None];
    parked_cpu_leaves_or_begins [Some(3), None];
}

const START: Start = Start {
    entry: 0x4000_0000,
    context: 7,
};

/// Runs `run` on a thread of the model.
fn spawn<T: Sync + Send + 'static>(with: &Arc<T>, run: fn(&T)) -> JoinHandle<()> {
    let with = Arc::clone(with);
    thread::spawn(move || run(&with))
}

/// Waits for all `threads`.
fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("it does not panic"));
}

/// CPUs 0 and 1 share a leaf, CPU 2 has one of its own; CPU 0, the boot CPU, waits for all.
fn barrier_shows_what_was_done_before() {
    struct Shared(Barrier, [Plain; 3]);
    let shared = Arc::new(Shared(Barrier::new(), Default::default()));
    (0..3).for_each(|cpu| shared.0.add(cpu));
    fn arrive(shared: &Shared, cpu: usize) {
        shared.1[cpu].set(1);
        shared.0.arrive(cpu, 1);
    }
    let others = [
        spawn(&shared, |shared| arrive(shared, 1)),
        spawn(&shared, |shared| arrive(shared, 2)),
    ];
    arrive(&shared, 0);
    while !shared.0.is_complete(1) {
        pause();
    }
    assert!(shared.1.iter().all(|plain| plain.get() == 1));
    join(others);
}

/// One word leads each CPU into the next generation, as `Rendezvous::released` does.
fn barrier_serves_the_next_generation() {
    struct Shared(Barrier, AtomicU64);
    let shared = Arc::new(Shared(Barrier::new(), AtomicU64::new(0)));
    (0..2).for_each(|cpu| shared.0.add(cpu));
    let other = spawn(&shared, |shared| {
        shared.0.arrive(1, 1);
        while shared.1.load(core::sync::atomic::Ordering::Acquire) == 0 {
            pause();
        }
        shared.0.arrive(1, 2);
    });
    for generation in 1..=2 {
        shared.0.arrive(0, generation);
        while !shared.0.is_complete(generation) {
            pause();
        }
        assert!(!shared.0.is_complete(generation + 1));
        shared
            .1
            .store(generation, core::sync::atomic::Ordering::Release);
    }
    join([other]);
}

fn gate_lets_one_prepare() {
    struct Shared(Gate, Plain);
    fn ask(shared: &Shared) {
        if let Some(preparation) = shared.0.prepare() {
            // As the plan is written.
            shared.1.set(1);
            let closed = preparation.close();
            shared.1.set(2);
            closed.open();
        }
        if let Some(preparation) = shared.0.prepare() {
            shared.1.set(3);
            drop(preparation);
        }
    }
    let shared = Arc::new(Shared(Gate::new(), Plain::default()));
    let other = spawn(&shared, ask);
    ask(&shared);
    join([other]);
    assert!(shared.0.prepare().is_some(), "a right was not given back");
}

fn gate_waits_for_those_on_their_way() {
    struct Shared(Gate, [Plain; 2], Plain);
    fn start(shared: &Shared, caller: usize) {
        if let Some(_pass) = shared.0.pass() {
            // No takeover changes the set of CPUs meanwhile, and the next one sees this change of
            // it.
            assert_eq!(shared.2.get(), 0, "closed when the pass was given");
            shared.1[caller].set(1);
        }
    }
    let shared = Arc::new(Shared(Gate::new(), Default::default(), Plain::default()));
    let others = [
        spawn(&shared, |shared| start(shared, 0)),
        spawn(&shared, |shared| start(shared, 1)),
    ];
    let closed = shared.0.prepare().expect("nobody else asks").close();
    while !closed.is_quiet() {
        pause();
    }
    shared.2.set(1);
    shared.1.iter().for_each(|change| {
        change.get();
    });
    assert!(shared.0.pass().is_none(), "a CPU is started in a takeover");
    shared.2.set(0);
    closed.open();
    join(others);
}

/// One CPU starts another one while a takeover is prepared and given up, and one begun and ended.
fn gate_loses_nobody() {
    let gate = Arc::new(Gate::new());
    let other = spawn(&gate, |gate| drop(gate.pass()));
    drop(gate.prepare().expect("nobody else asks"));
    gate.prepare().expect("it was given back").close().open();
    join([other]);
    let closed = gate.prepare().expect("the gate is open").close();
    assert!(closed.is_quiet(), "a CPU_ON that ended is waited for");
    closed.open();
    assert!(gate.pass().is_some(), "the gate is closed for good");
}

fn arrival_is_decided_once() {
    struct Shared(Arrival, Plain, AtomicU64);
    let shared = Arc::new(Shared(Arrival::new(), Plain::default(), AtomicU64::new(0)));
    shared.0.expect();
    let other = spawn(&shared, |shared| {
        shared.1.set(1);
        if shared.0.arrive(1) {
            shared.2.store(1, Relaxed);
        }
    });
    let given_up = shared.0.give_up(1);
    if !given_up {
        assert_eq!(shared.1.get(), 1, "what it did before it arrived");
    }
    join([other]);
    assert_eq!(
        shared.2.load(Relaxed) == 1,
        !given_up,
        "both or none decided"
    );
    assert_eq!(shared.0.has_arrived(1), !given_up);
    assert_eq!(shared.0.is_missing(1), given_up);
}

fn of_two_callers_one_turns_a_cpu_on() {
    struct Shared(Power, AtomicU64);
    fn turn_on(shared: &Shared, context: u64) {
        let start = Start { context, ..START };
        match shared.0.turn_on(start, |_| Ok(())) {
            Ok(origin) => {
                assert_eq!(origin, Origin::Firmware);
                assert_eq!(shared.0.affinity_info(), AffinityInfo::OnPending);
                let before = shared.1.fetch_add(context, Relaxed);
                assert_eq!(before, 0, "two callers succeeded");
            }
            Err(error) => assert_eq!(error, ErrorCode::OnPending),
        }
    }
    let shared = Arc::new(Shared(Power::new(), AtomicU64::new(0)));
    let others = [
        spawn(&shared, |shared| turn_on(shared, 1)),
        spawn(&shared, |shared| turn_on(shared, 2)),
    ];
    join(others);
    let context = shared.1.load(Relaxed);
    assert_eq!(
        shared.0.take_order(),
        Order::Begin(Start { context, ..START }),
        "it begins where the one that succeeded said"
    );
}

/// Waits, parked, for another order than to stay.
fn wait_for_order(power: &Power) -> Order {
    loop {
        match power.take_order() {
            Order::Stay => wfe(),
            order => return order,
        }
    }
}

fn parked_cpu_is_woken_and_begins_where_it_is_told() {
    struct Shared(Power, Plain);
    let shared = Arc::new(Shared(Power::new(), Plain::default()));
    shared.0.park();
    let other = spawn(&shared, |shared| {
        assert_eq!(wait_for_order(&shared.0), Order::Begin(START));
        assert_eq!(shared.1.get(), 3, "what the caller wrote before CPU_ON");
    });
    shared.1.set(3);
    assert_eq!(shared.0.turn_on(START, |_| Ok(())), Ok(Origin::Parked));
    sev();
    join([other]);
}

/// The caller is held anywhere in its call; the target is taken for the next kernel meanwhile,
/// whose own CPU_ON must win.
fn start_of_a_kernel_that_is_over_never_begins() {
    struct Shared(Power, AtomicU64);
    let shared = Arc::new(Shared(Power::new(), AtomicU64::new(0)));
    shared.0.park();
    let old = spawn(&shared, |shared| {
        let old = Start {
            entry: 0x1000,
            context: 1,
        };
        let still_runs = |_| match shared.1.load(core::sync::atomic::Ordering::Acquire) {
            0 => Ok(()),
            _ => Err(ErrorCode::Denied),
        };
        let _ = shared.0.turn_on(old, still_runs);
    });
    shared.1.store(1, core::sync::atomic::Ordering::Release);
    shared.0.park();
    loop {
        match shared.0.turn_on(START, |_| Ok(())) {
            Ok(origin) => break assert_eq!(origin, Origin::Parked),
            Err(error) => assert_eq!(error, ErrorCode::OnPending),
        }
        pause();
    }
    assert_eq!(wait_for_order(&shared.0), Order::Begin(START));
    join([old]);
}

fn parked_cpu_leaves_or_begins() {
    let power = Arc::new(Power::new());
    power.park();
    let caller = spawn(&power, |power| {
        power.tell_to_leave();
        sev();
    });
    let cpu = spawn(&power, |power| match wait_for_order(power) {
        Order::Leave => {
            assert!(power.mark_left());
        }
        order => assert_eq!(order, Order::Begin(START)),
    });
    let origin = loop {
        match power.turn_on(START, |_| Ok(())) {
            Ok(Origin::Leaving) => pause(),
            origin => break origin.expect("nobody else turns it on"),
        }
    };
    sev();
    join([caller, cpu]);
    if origin == Origin::Firmware {
        assert_eq!(power.take_order(), Order::Begin(START));
    }
}
