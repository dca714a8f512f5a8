//! The table of steps that a CPU walks from ONLINE to IDLE_DEAD, as Linux's `cpuhp_step`s.

use super::error::StepError;

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

/// One step. `C` is what its function is given: the CPU that takes it, and the machine.
pub struct Step<C: ?Sized> {
    /// What it clears, as the report names it.
    pub name: &'static str,
    /// The phase it belongs to; steps of a phase are taken in the table's order.
    pub phase: Phase,
    /// It may be taken by many CPUs at once.
    pub parallel: bool,
    /// It is taken as well when a kernel that goes on turns the CPU off.
    pub at_off: bool,
    /// Does it.
    pub teardown: fn(&C) -> Result<(), StepError>,
}

/// How a step is taken by a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At once.
    AtOnce,
    /// One CPU after another.
    OneByOne,
}

impl<C: ?Sized> Step<C> {
    /// The capability check: whether CPUs take this step at once.
    ///
    /// `serial` makes every step one by one, as Linux does it.
    pub fn turn(&self, serial: bool) -> Turn {
        if self.phase == Phase::Sync || (self.parallel && !serial) {
            Turn::AtOnce
        } else {
            Turn::OneByOne
        }
    }
}

/// How a table is walked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// Every step is taken by one CPU after another.
    pub serial: bool,
    /// The kernel goes on, and turns this CPU off.
    pub at_off: bool,
    /// The steps of these names, with commas between them, are not taken: what they leave must be
    /// found by those who audit.
    pub leave_out: Option<&'a str>,
}

impl Manner<'_> {
    /// Returns whether `step` is taken.
    fn takes<C: ?Sized>(&self, step: &Step<C>) -> bool {
        let left_out = self.leave_out.iter().flat_map(|names| names.split(','));
        (step.at_off || !self.at_off) && left_out.into_iter().all(|name| name != step.name)
    }
}

/// Takes the steps of `phase` in `table`, all of them whatever becomes of one.
///
/// `in_turn` runs a step one CPU after another; `failed` is told of each step that failed.
pub fn walk<C: ?Sized>(
    table: &[Step<C>],
    phase: Phase,
    manner: Manner,
    context: &C,
    mut in_turn: impl FnMut(&dyn Fn() -> Result<(), StepError>) -> Result<(), StepError>,
    mut failed: impl FnMut(&'static str, StepError),
) {
    let taken = |step: &&Step<C>| step.phase == phase && manner.takes(step);
    for step in table.iter().filter(taken) {
        let result = match step.turn(manner.serial) {
            Turn::AtOnce => (step.teardown)(context),
            Turn::OneByOne => in_turn(&|| (step.teardown)(context)),
        };
        if let Err(error) = result {
            failed(step.name, error);
        }
    }
}

/// Returns the names of the steps of `table` that are not safe in parallel.
pub fn serial_steps<C: ?Sized>(table: &[Step<C>]) -> impl Iterator<Item = &'static str> {
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
        fn take(&self, name: &'static str) -> Result<(), StepError> {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_inside.fetch_max(inside, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
            self.taken.lock().expect("no panic").push(name);
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }

    const BROKEN: StepError = StepError::Absent {
        what: "part",
        id: 3,
    };

    fn step(
        name: &'static str,
        phase: Phase,
        parallel: bool,
        teardown: fn(&Log) -> Result<(), StepError>,
    ) -> Step<Log> {
        Step {
            name,
            phase,
            parallel,
            at_off: name != "not-at-off",
            teardown,
        }
    }

    fn table() -> Vec<Step<Log>> {
        vec![
            step("a", Phase::Own, true, |log| log.take("a")),
            step("sync", Phase::Sync, false, |log| log.take("sync")),
            step("broken", Phase::Own, true, |_| Err(BROKEN)),
            step("b", Phase::Own, true, |log| log.take("b")),
            step("load", Phase::Load, true, |log| log.take("load")),
        ]
    }

    #[test]
    fn takes_the_steps_of_one_phase_in_order_and_goes_on_after_a_failure() {
        let log = Log::default();
        let mut failures = Vec::new();
        walk(
            &table(),
            Phase::Own,
            Manner::default(),
            &log,
            |step| step(),
            |name, error| {
                failures.push((name, error));
            },
        );
        assert_eq!(*log.taken.lock().expect("no panic"), ["a", "b"]);
        assert_eq!(failures, [("broken", BROKEN)]);
    }

    fn most_inside(table: &[Step<Log>], serial: bool) -> usize {
        let log = Log::default();
        let lock = Mutex::new(());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let in_turn = |step: &dyn Fn() -> Result<(), StepError>| {
                        let _turn = lock.lock().expect("no panic");
                        step()
                    };
                    let manner = Manner {
                        serial,
                        ..Manner::default()
                    };
                    walk(table, Phase::Own, manner, &log, in_turn, |_, _| ());
                });
            }
        });
        log.most_inside.load(Ordering::SeqCst)
    }

    #[test]
    fn step_that_is_not_safe_in_parallel_is_taken_one_by_one() {
        let safe = [step("a", Phase::Own, true, |log| log.take("a"))];
        let unsafe_step = [step("a", Phase::Own, false, |log| log.take("a"))];
        assert!(
            most_inside(&safe, false) > 1,
            "a parallel step was never taken in parallel"
        );
        assert_eq!(most_inside(&unsafe_step, false), 1);
        assert_eq!(most_inside(&safe, true), 1, "teardown=serial");
    }

    #[test]
    fn leaves_steps_out() {
        for (leave_out, taken) in [
            ("a", &["b"][..]),
            ("b,a", &[]),
            ("b,", &["a"]),
            ("ab", &["a", "b"]),
        ] {
            let log = Log::default();
            let manner = Manner {
                leave_out: Some(leave_out),
                ..Manner::default()
            };
            walk(&table(), Phase::Own, manner, &log, |step| step(), |_, _| ());
            assert_eq!(
                *log.taken.lock().expect("no panic"),
                taken,
                "without {leave_out}"
            );
        }
    }

    #[test]
    fn some_steps_are_not_taken_when_a_cpu_is_turned_off() {
        let table = [
            step("a", Phase::Own, true, |log| log.take("a")),
            step("not-at-off", Phase::Own, true, |log| log.take("not-at-off")),
        ];
        for (at_off, taken) in [(false, &["a", "not-at-off"][..]), (true, &["a"])] {
            let log = Log::default();
            let manner = Manner {
                at_off,
                ..Manner::default()
            };
            walk(&table, Phase::Own, manner, &log, |step| step(), |_, _| ());
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
