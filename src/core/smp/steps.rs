// SPDX-License-Identifier: Apache-2.0
//! The table of teardown steps, and its walk, as Linux has them for a CPU's way down
//! (`cpuhp_step`).
//!
//! The states between the phases have the names of Linux's `enum cpuhp_state`: a CPU that is ONLINE
//! is in the guest, one at TEARDOWN_CPU has nothing of the old kernel left in it, and one that is
//! IDLE_DEAD is parked in the monitor, off for PSCI.

use crate::hw_error::HwError;

/// The three phases of a takeover, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// ONLINE to TEARDOWN_CPU: every CPU clears its private state.
    Private,
    /// The boot CPU alone clears what all CPUs share, while the others wait.
    Shared,
    /// TEARDOWN_CPU to IDLE_DEAD: every CPU copies its share of the next kernel.
    Load,
}

/// One step. `C` is the CPU that takes it, and `M` the machine that the CPU is a part of.
pub struct Step<C, M> {
    /// What it clears, as reports and `skip-steps=` name it.
    pub name: &'static str,
    /// The phase it belongs to. The steps of a phase are taken in the order of the table.
    pub phase: Phase,
    /// Many CPUs may take it at once.
    pub parallel: bool,
    /// It is taken at CPU_OFF too, when the kernel goes on without the CPU.
    pub at_off: bool,
    /// Takes the step; an error is reported, and the walk goes on.
    pub teardown: fn(&C, &M) -> Result<(), HwError>,
}

/// How the CPUs take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// All at once.
    Parallel,
    /// One CPU after another.
    Serial,
}

impl<C, M> Step<C, M> {
    /// Returns how the CPUs take this step; `serial` (`teardown=serial`) makes all of them take it
    /// one after another, as Linux does.
    pub fn concurrency(&self, serial: bool) -> Concurrency {
        if self.phase == Phase::Shared || (self.parallel && !serial) {
            Concurrency::Parallel
        } else {
            Concurrency::Serial
        }
    }
}

/// How a walk goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct WalkOptions<'a> {
    /// CPUs take every step one after another (`teardown=serial`).
    pub serial: bool,
    /// The walk is for CPU_OFF: the kernel goes on without this CPU.
    pub at_off: bool,
    /// Names of steps that are skipped, with commas between them (`skip-steps=`): the audit must
    /// find what they leave.
    pub skip_steps: Option<&'a str>,
}

impl WalkOptions<'_> {
    /// Returns whether `step` is taken.
    fn takes<C, M>(&self, step: &Step<C, M>) -> bool {
        let mut skipped = self.skip_steps.iter().flat_map(|names| names.split(','));
        (step.at_off || !self.at_off) && skipped.all(|name| name != step.name)
    }
}

/// Takes the steps of `phase` in `table` on `cpu`, whether or not one before has failed.
///
/// A step that is not parallel is run by `serially`, which lets one CPU in at a time. `failed` is
/// called with the name and the error of each step that fails.
pub fn walk<C, M>(
    table: &[Step<C, M>],
    phase: Phase,
    options: WalkOptions,
    cpu: &C,
    machine: &M,
    mut serially: impl FnMut(&dyn Fn() -> Result<(), HwError>) -> Result<(), HwError>,
    mut failed: impl FnMut(&'static str, HwError),
) {
    let taken = |step: &&Step<C, M>| step.phase == phase && options.takes(step);
    for step in table.iter().filter(taken) {
        let result = match step.concurrency(options.serial) {
            Concurrency::Parallel => (step.teardown)(cpu, machine),
            Concurrency::Serial => serially(&|| (step.teardown)(cpu, machine)),
        };
        if let Err(error) = result {
            failed(step.name, error);
        }
    }
}

/// Returns the names of the steps of `table` that CPUs take one after another even without
/// `teardown=serial`.
pub fn serial_steps<C, M>(table: &[Step<C, M>]) -> impl Iterator<Item = &'static str> {
    table
        .iter()
        .filter(|step| step.phase != Phase::Shared && !step.parallel)
        .map(|step| step.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    #[derive(Default)]
    struct Log {
        taken: Mutex<Vec<&'static str>>,
        inside: AtomicUsize,
        most_inside: AtomicUsize,
    }

    impl Log {
        fn take(&self, name: &'static str) -> Result<(), HwError> {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_inside.fetch_max(inside, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
            self.taken.lock().expect("no panic").push(name);
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }

    const BROKEN: HwError = HwError::Absent {
        what: "part",
        id: 3,
    };

    fn step(
        name: &'static str,
        phase: Phase,
        parallel: bool,
        teardown: fn(&Log, &()) -> Result<(), HwError>,
    ) -> Step<Log, ()> {
        Step {
            name,
            phase,
            parallel,
            at_off: name != "not-at-off",
            teardown,
        }
    }

    /// Walks the steps of phase 1 on one CPU, and returns those that were taken and those that
    /// failed.
    fn walk_alone(
        table: &[Step<Log, ()>],
        options: WalkOptions,
    ) -> (Vec<&'static str>, Vec<(&'static str, HwError)>) {
        let (log, mut failures) = (Log::default(), Vec::new());
        let failed = |name, error| failures.push((name, error));
        walk(
            table,
            Phase::Private,
            options,
            &log,
            &(),
            |step| step(),
            failed,
        );
        (log.taken.into_inner().expect("no panic"), failures)
    }

    fn table() -> Vec<Step<Log, ()>> {
        vec![
            step("a", Phase::Private, true, |log, _| log.take("a")),
            step("shared", Phase::Shared, false, |log, _| log.take("shared")),
            step("broken", Phase::Private, true, |_, _| Err(BROKEN)),
            step("b", Phase::Private, true, |log, _| log.take("b")),
            step("load", Phase::Load, true, |log, _| log.take("load")),
        ]
    }

    #[test]
    fn takes_the_steps_of_one_phase_in_order_and_goes_on_after_a_failure() {
        let (taken, failures) = walk_alone(&table(), WalkOptions::default());
        assert_eq!(taken, ["a", "b"]);
        assert_eq!(failures, [("broken", BROKEN)]);
    }

    fn most_inside(table: &[Step<Log, ()>], serial: bool) -> usize {
        let log = Log::default();
        let lock = Mutex::new(());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let serially = |step: &dyn Fn() -> Result<(), HwError>| {
                        let _turn = lock.lock().expect("no panic");
                        step()
                    };
                    let options = WalkOptions {
                        serial,
                        ..WalkOptions::default()
                    };
                    walk(
                        table,
                        Phase::Private,
                        options,
                        &log,
                        &(),
                        serially,
                        |_, _| (),
                    );
                });
            }
        });
        log.most_inside.load(Ordering::SeqCst)
    }

    #[test]
    fn step_that_is_not_safe_in_parallel_is_taken_one_by_one() {
        let safe = [step("a", Phase::Private, true, |log, _| log.take("a"))];
        let unsafe_step = [step("a", Phase::Private, false, |log, _| log.take("a"))];
        assert!(
            most_inside(&safe, false) > 1,
            "a parallel step was never taken in parallel"
        );
        assert_eq!(most_inside(&unsafe_step, false), 1);
        assert_eq!(most_inside(&safe, true), 1, "teardown=serial");
    }

    #[test]
    fn skips_steps_by_name() {
        for (skip_steps, taken) in [
            ("a", &["b"][..]),
            ("b,a", &[]),
            ("b,", &["a"]),
            ("ab", &["a", "b"]),
        ] {
            let options = WalkOptions {
                skip_steps: Some(skip_steps),
                ..WalkOptions::default()
            };
            let seen = walk_alone(&table(), options).0;
            assert_eq!(seen, taken, "without {skip_steps}");
        }
    }

    #[test]
    fn some_steps_are_not_taken_at_cpu_off() {
        let table = [
            step("a", Phase::Private, true, |log, _| log.take("a")),
            step("not-at-off", Phase::Private, true, |log, _| {
                log.take("not-at-off")
            }),
        ];
        for (at_off, taken) in [(false, &["a", "not-at-off"][..]), (true, &["a"])] {
            let options = WalkOptions {
                at_off,
                ..WalkOptions::default()
            };
            let seen = walk_alone(&table, options).0;
            assert_eq!(seen, taken, "at_off: {at_off}");
        }
    }

    #[test]
    fn says_which_steps_are_serial() {
        let mut table = table();
        table[3].parallel = false;
        assert_eq!(serial_steps(&table).collect::<Vec<_>>(), ["b"]);
    }
}
