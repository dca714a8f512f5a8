//! The power state of a CPU as PSCI has it: who may turn it on, and where it then begins.

use arm_psci::{AffinityInfo, ErrorCode};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Where a CPU is turned on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Firmware has it off: it is asked to start it.
    Firmware,
    /// It is parked in the monitor: an event wakes it.
    Parked,
}

/// Where a CPU begins in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Physical address of the first instruction.
    pub entry: u64,
    /// What the CPU finds in x0.
    pub context: u64,
}

/// What a parked CPU is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stay parked.
    Stay,
    /// Begin in the guest.
    Begin(Start),
    /// Leave the monitor through firmware's CPU_OFF.
    Leave,
}

/// In firmware, off: never started, or sent back.
const OFF_FIRMWARE: u8 = 0;
/// In the monitor, parked.
const OFF_PARKED: u8 = 1;
/// Claimed by one caller of CPU_ON, who has not said yet where it begins.
const CLAIMED: u8 = 2;
/// May begin.
const READY: u8 = 3;
/// In the guest, or in the monitor on its behalf.
const ON: u8 = 4;
/// As `ON`, and where it begins after a power-down is set.
const SUSPENDED: u8 = 5;
/// Parked, and told to leave through firmware's CPU_OFF.
const LEAVING: u8 = 6;
/// As `ON`, on its way to be parked.
const GOING: u8 = 7;

/// One CPU's power state. The target's own word is the lock: who moves it from off owns the start.
#[derive(Debug)]
pub struct Power {
    state: AtomicU8,
    entry: AtomicU64,
    context: AtomicU64,
}

impl Power {
    /// Returns the state of a CPU that firmware has not started.
    pub const fn new() -> Self {
        Self {
            state: AtomicU8::new(OFF_FIRMWARE),
            entry: AtomicU64::new(0),
            context: AtomicU64::new(0),
        }
    }

    /// Claims the CPU for a start at `start`, and returns from where. Of any number of callers at
    /// once, one succeeds.
    ///
    /// # Errors
    ///
    /// `ALREADY_ON`, or `ON_PENDING` while another caller's start is under way (DEN0022, CPU_ON).
    pub fn turn_on(&self, start: Start) -> Result<Origin, ErrorCode> {
        let claim = |from| {
            self.state
                .compare_exchange(from, CLAIMED, Ordering::Acquire, Ordering::Acquire)
        };
        let origin = match claim(OFF_PARKED) {
            Ok(_) => Origin::Parked,
            Err(OFF_FIRMWARE) if claim(OFF_FIRMWARE).is_ok() => Origin::Firmware,
            Err(ON | SUSPENDED | GOING) => return Err(ErrorCode::AlreadyOn),
            Err(_) => return Err(ErrorCode::OnPending),
        };
        self.entry.store(start.entry, Ordering::Relaxed);
        self.context.store(start.context, Ordering::Relaxed);
        self.state.store(READY, Ordering::Release);
        Ok(origin)
    }

    /// Takes back a claim, as firmware refused to start the CPU.
    pub fn refused(&self) {
        self.state.store(OFF_FIRMWARE, Ordering::Release);
    }

    /// What the CPU itself finds when it looks whether it may begin; it is `ON` if it may.
    pub fn order(&self) -> Order {
        match self.state.load(Ordering::Acquire) {
            READY | SUSPENDED => {
                let start = Start {
                    entry: self.entry.load(Ordering::Relaxed),
                    context: self.context.load(Ordering::Relaxed),
                };
                self.state.store(ON, Ordering::Release);
                Order::Begin(start)
            }
            LEAVING => Order::Leave,
            _ => Order::Stay,
        }
    }

    /// The CPU itself: it is on without having been asked for, as the boot CPU is.
    pub fn set_on(&self) {
        self.state.store(ON, Ordering::Release);
    }

    /// The CPU itself: it is on its way to be parked, still on, and no longer one that stays.
    pub fn going_off(&self) {
        self.state.store(GOING, Ordering::Release);
    }

    /// Returns whether the CPU is on, and not on its way to be parked.
    pub fn stays(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), ON | SUSPENDED)
    }

    /// The CPU itself: it is parked in the monitor from now on.
    pub fn park(&self) {
        self.state.store(OFF_PARKED, Ordering::Release);
    }

    /// The CPU itself: it is about to lose power, and begins at `start` when it wakes.
    pub fn suspend(&self, start: Start) {
        self.entry.store(start.entry, Ordering::Relaxed);
        self.context.store(start.context, Ordering::Relaxed);
        self.state.store(SUSPENDED, Ordering::Release);
    }

    /// The CPU itself: it came to the monitor without having been asked for, as from a spin table.
    pub fn came(&self) {
        let _ = self.state.compare_exchange(
            OFF_FIRMWARE,
            OFF_PARKED,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// Returns whether the CPU is parked in the monitor.
    pub fn is_parked(&self) -> bool {
        self.state.load(Ordering::Acquire) == OFF_PARKED
    }

    /// Tells a parked CPU to leave through firmware; returns whether it was parked.
    pub fn tell_to_leave(&self) -> bool {
        self.state
            .compare_exchange(OFF_PARKED, LEAVING, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The CPU itself: firmware has it from its next instruction on.
    pub fn left(&self) {
        self.state.store(OFF_FIRMWARE, Ordering::Release);
    }

    /// Returns what AFFINITY_INFO says (DEN0022).
    pub fn affinity_info(&self) -> AffinityInfo {
        match self.state.load(Ordering::Acquire) {
            OFF_FIRMWARE | OFF_PARKED | LEAVING => AffinityInfo::Off,
            CLAIMED | READY => AffinityInfo::OnPending,
            _ => AffinityInfo::On,
        }
    }
}

impl Default for Power {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    const START: Start = Start {
        entry: 0x4000_0000,
        context: 7,
    };

    #[test]
    fn first_start_goes_through_firmware() {
        let power = Power::new();
        assert_eq!(power.affinity_info(), AffinityInfo::Off);
        assert_eq!(power.turn_on(START), Ok(Origin::Firmware));
        assert_eq!(power.affinity_info(), AffinityInfo::OnPending);
        assert_eq!(power.turn_on(START), Err(ErrorCode::OnPending));
        assert_eq!(power.order(), Order::Begin(START));
        assert_eq!(power.affinity_info(), AffinityInfo::On);
        assert_eq!(power.turn_on(START), Err(ErrorCode::AlreadyOn));
    }

    #[test]
    fn parked_cpu_is_woken() {
        let power = Power::new();
        power.park();
        assert_eq!(power.order(), Order::Stay);
        assert_eq!(power.turn_on(START), Ok(Origin::Parked));
        assert_eq!(power.order(), Order::Begin(START));
    }

    #[test]
    fn cpu_that_came_is_parked_unless_it_was_asked_for() {
        let power = Power::new();
        assert!(!power.is_parked());
        power.came();
        assert!(power.is_parked());
        assert_eq!(power.turn_on(START), Ok(Origin::Parked));
        power.came();
        assert_eq!(power.order(), Order::Begin(START));
    }

    #[test]
    fn refused_start_can_be_tried_again() {
        let power = Power::new();
        assert_eq!(power.turn_on(START), Ok(Origin::Firmware));
        power.refused();
        assert_eq!(power.affinity_info(), AffinityInfo::Off);
        assert_eq!(power.turn_on(START), Ok(Origin::Firmware));
    }

    #[test]
    fn suspended_cpu_is_on_and_begins_where_it_said() {
        let power = Power::new();
        power.set_on();
        power.suspend(START);
        assert_eq!(power.affinity_info(), AffinityInfo::On);
        assert_eq!(power.turn_on(START), Err(ErrorCode::AlreadyOn));
        assert_eq!(power.order(), Order::Begin(START));
    }

    #[test]
    fn cpu_on_its_way_off_is_on_but_does_not_stay() {
        let power = Power::new();
        power.set_on();
        assert!(power.stays());
        power.going_off();
        assert!(!power.stays());
        assert_eq!(power.affinity_info(), AffinityInfo::On);
        assert_eq!(power.turn_on(START), Err(ErrorCode::AlreadyOn));
        power.park();
        assert_eq!(power.affinity_info(), AffinityInfo::Off);
    }

    #[test]
    fn parked_cpu_leaves_once() {
        let power = Power::new();
        power.park();
        assert!(power.tell_to_leave());
        assert!(!power.tell_to_leave());
        assert_eq!(power.order(), Order::Leave);
        assert_eq!(power.turn_on(START), Err(ErrorCode::OnPending));
        power.left();
        assert_eq!(power.turn_on(START), Ok(Origin::Firmware));
    }

    #[test]
    fn of_many_callers_one_succeeds() {
        for parked in [false, true] {
            let power = Power::new();
            if parked {
                power.park();
            }
            let together = Barrier::new(8);
            let results: Vec<_> = thread::scope(|scope| {
                let callers: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            together.wait();
                            power.turn_on(START)
                        })
                    })
                    .collect();
                callers
                    .into_iter()
                    .map(|caller| caller.join().expect("no panic"))
                    .collect()
            });
            let successes = results.iter().filter(|result| result.is_ok()).count();
            assert_eq!(successes, 1, "{results:?}");
            assert!(
                results
                    .iter()
                    .all(|r| r.is_ok() || *r == Err(ErrorCode::OnPending)),
                "{results:?}"
            );
        }
    }
}
