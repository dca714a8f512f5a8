// SPDX-License-Identifier: Apache-2.0
//! How a model is explored.

use baton_core::sync::model::mutant;
use loom::model::Builder;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Something that CPUs do together, and what must hold whatever their order.
#[derive(Clone, Copy)]
pub struct Model {
    pub name: &'static str,
    /// How often at most a CPU is held where it could have gone on, when there is little time;
    /// `None`: as often as can be.
    pub quick: Option<usize>,
    /// The same when there is time.
    pub thorough: Option<usize>,
    pub run: fn(),
}

impl Model {
    /// Goes through the orders that there is time for: all that the model has with `RACES=all`.
    ///
    /// Panics in the first in which something does not hold, or in which nobody can go on.
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

    /// As [`Model::explore`], in little time.
    pub fn explore_quickly(&self) {
        self.explore_with(self.quick);
    }

    /// As [`Model::explore`] with a mistake in it: what is found soon may be looked for far.
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

/// One test for each model, and the list of all. In brackets: preemptions when there is little time,
/// and when there is time.
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
