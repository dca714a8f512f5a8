// SPDX-License-Identifier: Apache-2.0
//! Takeovers of 80 CPUs in random orders (shuttle).

use baton_races::world::{Act, At, Conditions, World};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};
use std::sync::Arc;

const CPUS: usize = 80;

/// Returns where CPU `index` is: the first one kexecs, and of the others each state of being on,
/// off, or turned on or off has some.
fn at(index: usize) -> At {
    match index {
        0 => At::Guest(&[Act::Kexec]),
        1 => At::Guest(&[Act::On(17), Act::On(18), Act::Kexec]),
        2 => At::Guest(&[Act::On(18), Act::On(33), Act::On(79)]),
        3 => At::Guest(&[Act::SendBack(33), Act::On(33)]),
        index if index % 16 == 1 => At::Firmware,
        index if index % 16 == 2 || index == 33 => At::Parked,
        index if index % 5 == 0 => At::Guest(&[Act::Off]),
        index if index % 7 == 0 => At::Guest(&[Act::Kexec]),
        _ => At::Guest(&[]),
    }
}

/// Runs the machine once.
fn run_machine(options: Conditions) {
    let places: Vec<At> = (0..CPUS).map(at).collect();
    let world = Arc::new(World::new(options, &places));
    let cpus: Vec<_> = (0..CPUS)
        .map(|index| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.run(index, at(index)))
        })
        .collect();
    cpus.into_iter()
        .for_each(|cpu| cpu.join().expect("it does not panic"));
    world.check_end();
}

/// Runs the machine in twice `orders` orders. When one fails, shuttle prints how to run it again.
fn in_random_orders(options: Conditions, orders: usize) {
    let mut config = Config::new();
    config.stack_size = 64 << 10;
    config.silence_warnings = true;
    config.max_steps = shuttle::MaxSteps::FailAfter(10_000_000);
    let uniform = RandomScheduler::new(orders);
    Runner::new(uniform, config.clone()).run(move || run_machine(options));
    // Probabilistic concurrency testing: few preemptions, at random places.
    let few = PctScheduler::new(5, orders);
    Runner::new(few, config).run(move || run_machine(options));
}

fn orders() -> usize {
    match std::env::var("RACES").as_deref() {
        Ok("all") => 5_000,
        _ => 50,
    }
}

#[test]
fn eighty_cpus_are_taken() {
    let options = Conditions {
        kexecs: 2,
        ..Conditions::default()
    };
    in_random_orders(options, orders());
}

#[test]
fn eighty_cpus_go_on_and_are_taken() {
    let options = Conditions {
        kexecs: 2,
        refused: 1,
        ..Conditions::default()
    };
    in_random_orders(options, orders());
}

#[test]
fn eighty_cpus_go_on_or_are_given_up() {
    let options = Conditions {
        kexecs: 2,
        refused: 1,
        impatient: true,
        hasty: true,
        ..Conditions::default()
    };
    in_random_orders(options, orders());
}

#[test]
fn eighty_cpus_are_taken_or_given_up() {
    let options = Conditions {
        kexecs: 2,
        impatient: true,
        hasty: true,
        ..Conditions::default()
    };
    in_random_orders(options, orders());
}
