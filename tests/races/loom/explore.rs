// SPDX-License-Identifier: Apache-2.0
//! How loom goes through a model's orders.

use baton_core::sync::model::mutant;
use loom::model::Builder;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// A test of something that CPUs do together, whatever their order.
#[derive(Clone, Copy)]
pub struct Model {
    pub name: &'static str,
    /// How many preemptions an order may have when there is little time; `None`: any number. A
    /// preemption is a switch from a CPU that could have gone on.
    pub quick: Option<usize>,
    /// The same for `RACES=all`.
    pub thorough: Option<usize>,
    /// Builds the machine, runs its CPUs, and panics if something does not hold.
    pub run: fn(),
}

impl Model {
    /// Goes through the orders with few enough preemptions, and prints how many there were.
    ///
    /// Panics at the first order in which something does not hold, or in which no CPU can go on.
    pub fn explore(&self) {
        let start = Instant::now();
        let bound = match std::env::var("RACES").as_deref() {
            Ok("all") => self.thorough,
            _ => self.quick,
        };
        let orders = self.explore_with(bound);
        let held = match bound {
            Some(bound) => format!(", each with {bound} preemptions at most"),
            None => String::new(),
        };
        let seconds = start.elapsed().as_secs_f64();
        println!("{}: {orders} orders{held}, {seconds:.1} s", self.name);
    }

    /// As [`Model::explore`], always with the bound for little time.
    pub fn explore_quickly(&self) {
        self.explore_with(self.quick);
    }

    /// As [`Model::explore_quickly`], for a model that has a mistake: with two preemptions at
    /// least, as the search ends when the mistake is found.
    pub fn explore_until_found(&self) {
        self.explore_with(self.quick.map(|quick| quick.max(2)));
    }

    fn explore_with(&self, preemptions: Option<usize>) -> u64 {
        let mut builder = Builder::new();
        builder.preemption_bound = preemptions;
        builder.max_branches = 10_000;
        let run = self.run;
        let orders = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&orders);
        builder.check(move || {
            count.fetch_add(1, Relaxed);
            mutant::begin();
            run();
        });
        orders.load(Relaxed)
    }
}

/// Defines a test for each model, and `MODELS`, the list of all. In brackets: [`Model::quick`] and
/// [`Model::thorough`].
#[macro_export]
macro_rules! models {
    ($($name:ident [$quick:expr, $thorough:expr];)*) => {
        pub const MODELS: &[$crate::explore::Model] = &[$($crate::explore::Model {
            name: stringify!($name),
            quick: $quick,
            thorough: $thorough,
            run: $name,
        },)*];

        mod explored {
            $(#[test]
            fn $name() {
                let model = super::MODELS.iter().find(|model| model.name == stringify!($name));
                model.expect("it is in the list").explore();
            })*
        }
    };
}
