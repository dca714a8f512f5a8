// SPDX-License-Identifier: Apache-2.0
//! The table of steps that a CPU walks from ONLINE to IDLE_DEAD, as Linux's `cpuhp_step`s.

use crate::hw_error::HwError;

/// The states that phases begin and end in (Linux `enum cpuhp_state`, from the top downward).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Parked in the monitor; PSCI says OFF.
    IdleDead,
    /// The CPU has nothing of the old kernel left in it.
    TeardownCpu,
    /// In the guest.
    Online,
}

/// The three phases, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// ONLINE to TEARDOWN_CPU: every CPU clears what is its own.
    Own,
    /// On the boot CPU alone, with all others quiet: what there is once.
    Sync,
    /// TEARDOWN_CPU to IDLE_DEAD: every CPU copies its share.
    Load,
}

/// One step. `C` is the CPU that takes it, `M` the machine that it is a part of.
pub struct Step<C, M> {
    /// What it clears, as the report names it.
    pub name: &'static str,
    /// The phase it belongs to; steps of a phase are taken in the table's order.
    pub phase: Phase,
    /// It may be taken by many CPUs at once.
    pub parallel: bool,
    /// It is taken as well when a kernel that goes on turns the CPU off.
    pub at_off: bool,
    /// Does it.
    pub teardown: fn(&C, &M) -> Result<(), HwError>,
}

/// How a step is taken by a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// At once.
    Parallel,
    /// One CPU after another.
    Serial,
}

impl<C, M> Step<C, M> {
    /// The capability check: whether CPUs take this step at once.
    ///
    /// `serial` makes every step one by one, as Linux does it.
    pub fn concurrency(&self, serial: bool) -> Concurrency {
        if self.phase == Phase::Sync || (self.parallel && !serial) {
            Concurrency::Parallel
        } else {
            Concurrency::Serial
        }
    }
}

/// How a table is walked.
#[derive(Clone, Copy, Debug, Default)]
pub struct WalkOptions<'a> {
    /// Every step is taken by one CPU after another.
    pub serial: bool,
    /// The kernel goes on, and turns this CPU off.
    pub at_off: bool,
    /// The steps of these names, with commas between them, are not taken: what they leave must be
    /// found by those who audit.
    pub skip_steps: Option<&'a str>,
}

impl WalkOptions<'_> {
    /// Returns whether `step` is taken.
    fn takes<C, M>(&self, step: &Step<C, M>) -> bool {
        let left_out = self.skip_steps.iter().flat_map(|names| names.split(','));
        (step.at_off || !self.at_off) && left_out.into_iter().all(|name| name != step.name)
    }
}

/// Takes the steps of `phase` in `table` on `cpu`, all of them whatever becomes of one.
///
/// `serially` runs a step one CPU after another; `failed` is told of each step that failed.
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

/// Returns the names of the steps of `table` that are not safe in parallel.
pub fn serial_steps<C, M>(table: &[Step<C, M>]) -> impl Iterator<Item = &'static str> {
    table
        .iter()
        .filter(|step| step.phase != Phase::Sync && !step.parallel)
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

    fn table() -> Vec<Step<Log, ()>> {
        vec![
            step("a", Phase::Own, true, |log, _| log.take("a")),
            step("sync", Phase::Sync, false, |log, _| log.take("sync")),
            step("broken", Phase::Own, true, |_, _| Err(BROKEN)),
            step("b", Phase::Own, true, |log, _| log.take("b")),
            step("load", Phase::Load, true, |log, _| log.take("load")),
        ]
    }

    #[test]
    fn takes_the_steps_of_one_phase_in_order_and_goes_on_after_a_failure() {
        let log = Log::default();
        let mut failures = Vec::new();
        walk(
            &table(),
            Phase::Own,
            WalkOptions::default(),
            &log,
            &(),
            |step| step(),
            |name, error| {
                failures.push((name, error));
            },
        );
        assert_eq!(*log.taken.lock().expect("no panic"), ["a", "b"]);
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
                    walk(table, Phase::Own, options, &log, &(), serially, |_, _| ());
                });
            }
        });
        log.most_inside.load(Ordering::SeqCst)
    }

    #[test]
    fn step_that_is_not_safe_in_parallel_is_taken_one_by_one() {
        let safe = [step("a", Phase::Own, true, |log, _| log.take("a"))];
        let unsafe_step = [step("a", Phase::Own, false, |log, _| log.take("a"))];
        assert!(
            most_inside(&safe, false) > 1,
            "a parallel step was never taken in parallel"
        );
        assert_eq!(most_inside(&unsafe_step, false), 1);
        assert_eq!(most_inside(&safe, true), 1, "teardown=serial");
    }

    #[test]
    fn leaves_steps_out() {
        for (skip_steps, taken) in [
            ("a", &["b"][..]),
            ("b,a", &[]),
            ("b,", &["a"]),
            ("ab", &["a", "b"]),
        ] {
            let log = Log::default();
            let options = WalkOptions {
                skip_steps: Some(skip_steps),
                ..WalkOptions::default()
            };
            walk(
                &table(),
                Phase::Own,
                options,
                &log,
                &(),
                |step| step(),
                |_, _| (),
            );
            assert_eq!(
                *log.taken.lock().expect("no panic"),
                taken,
                "without {skip_steps}"
            );
        }
    }

    #[test]
    fn some_steps_are_not_taken_when_a_cpu_is_turned_off() {
        let table = [
            step("a", Phase::Own, true, |log, _| log.take("a")),
            step("not-at-off", Phase::Own, true, |log, _| {
                log.take("not-at-off")
            }),
        ];
        for (at_off, taken) in [(false, &["a", "not-at-off"][..]), (true, &["a"])] {
            let log = Log::default();
            let options = WalkOptions {
                at_off,
                ..WalkOptions::default()
            };
            walk(
                &table,
                Phase::Own,
                options,
                &log,
                &(),
                |step| step(),
                |_, _| (),
            );
            assert_eq!(
                *log.taken.lock().expect("no panic"),
                taken,
                "at_off: {at_off}"
            );
        }
    }

    #[test]
    fn says_which_steps_are_serial() {
        let mut table = table();
        table[3].parallel = false;
        assert_eq!(serial_steps(&table).collect::<Vec<_>>(), ["b"]);
    }
}
