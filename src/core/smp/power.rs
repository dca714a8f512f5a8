// SPDX-License-Identifier: Apache-2.0
//! The power state of a CPU as PSCI has it: who may turn it on, and where it then begins.
#![forbid(unsafe_code)]

use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use arm_psci::{AffinityInfo, ErrorCode};

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
/// May begin.
const READY: u8 = 2;
/// In the guest, or in the monitor on its behalf.
const ON: u8 = 3;
/// As `ON`, and where it begins after a power-down is set.
const SUSPENDED: u8 = 4;
/// Parked, and told to leave through firmware's CPU_OFF.
const LEAVING: u8 = 5;
/// As `ON`, on its way to be parked.
const GOING: u8 = 6;
/// It did not come to a takeover: nobody can turn it on before it has come.
const LOST: u8 = 7;
const STATE: u8 = 0x3f;

/// Beside a state: one caller of CPU_ON has the claim to the CPU, and has not said yet where it begins.
const CLAIMED: u8 = 1 << 6;
/// Beside `CLAIMED`: the kernel that the caller belongs to is over.
const VOID: u8 = 1 << 7;

/// One CPU's power state. The target's own word is the lock: who moves it from off owns the start.
#[derive(Debug)]
pub struct Power {
    word: AtomicU8,
    entry: AtomicU64,
    context: AtomicU64,
}

impl Power {
    /// Returns the state of a CPU that firmware has not started.
    pub fn new() -> Self {
        Self {
            word: AtomicU8::new(OFF_FIRMWARE),
            entry: AtomicU64::new(0),
            context: AtomicU64::new(0),
        }
    }

    /// Claims the CPU for a start at `start`, and returns from where. Of any number of callers at
    /// once, one succeeds, if its kernel `still_runs` once it has the claim.
    ///
    /// # Errors
    ///
    /// `ALREADY_ON`, `ON_PENDING` while another caller's start is under way (DEN0022, CPU_ON), or
    /// `DENIED` to a caller whose kernel is over.
    pub fn turn_on(
        &self,
        start: Start,
        still_runs: impl FnOnce() -> bool,
    ) -> Result<Origin, ErrorCode> {
        let claim = |from| {
            self.word
                .compare_exchange(from, from | CLAIMED, Ordering::Acquire, Ordering::Acquire)
        };
        let (off, origin) = match claim(OFF_PARKED) {
            Ok(off) => (off, Origin::Parked),
            Err(OFF_FIRMWARE) if claim(OFF_FIRMWARE).is_ok() => (OFF_FIRMWARE, Origin::Firmware),
            Err(ON | SUSPENDED | GOING | LOST) => return Err(ErrorCode::AlreadyOn),
            Err(_) => return Err(ErrorCode::OnPending),
        };
        // Whoever takes the CPU for the next kernel either is seen here, or sees the claim.
        if still_runs() {
            self.entry.store(start.entry, Ordering::Relaxed);
            self.context.store(start.context, Ordering::Relaxed);
            if self
                .word
                .compare_exchange(off | CLAIMED, READY, Ordering::Release, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(origin);
            }
        }
        self.word.fetch_and(!(CLAIMED | VOID), Ordering::Release);
        Err(ErrorCode::Denied)
    }

    /// Takes back a claim, as firmware refused to start the CPU. Returns whether a takeover had given
    /// the CPU up meanwhile: [`Power::mark_lost`] or this finds out that it never comes from there.
    pub fn refused(&self) -> bool {
        let not_here = |word| matches!(word, READY | LOST).then_some(OFF_FIRMWARE);
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, not_here)
            == Ok(LOST)
    }

    /// What the CPU itself finds when it looks whether it may begin; it is `ON` if it may.
    pub fn order(&self) -> Order {
        let word = self.word.load(Ordering::Acquire);
        match word {
            READY | SUSPENDED => {
                let start = Start {
                    entry: self.entry.load(Ordering::Relaxed),
                    context: self.context.load(Ordering::Relaxed),
                };
                match self.turn(word, ON) {
                    true => Order::Begin(start),
                    false => Order::Stay,
                }
            }
            LEAVING => Order::Leave,
            _ => Order::Stay,
        }
    }

    /// The CPU itself: it is on without having been asked for, as the boot CPU is.
    pub fn set_on(&self) {
        self.set_unless_lost(ON);
    }

    /// The CPU itself: it is on its way to be parked, still on, and no longer one that stays.
    pub fn going_off(&self) {
        self.set_unless_lost(GOING);
    }

    /// Returns whether the CPU is on, and not on its way to be parked.
    pub fn stays(&self) -> bool {
        matches!(self.word.load(Ordering::Acquire), ON | SUSPENDED)
    }

    /// The CPU itself: it is parked in the monitor from now on.
    pub fn park(&self) {
        self.set_unless_lost(OFF_PARKED);
    }

    /// The CPU itself: it is about to lose power, and begins at `start` when it wakes.
    pub fn suspend(&self, start: Start) {
        self.entry.store(start.entry, Ordering::Relaxed);
        self.context.store(start.context, Ordering::Relaxed);
        self.set_unless_lost(SUSPENDED);
    }

    /// Returns whether the CPU is on its way through a power-down.
    pub fn is_suspended(&self) -> bool {
        self.word.load(Ordering::Acquire) == SUSPENDED
    }

    /// The CPU itself: it came to the monitor without having been asked for, as from a spin table.
    pub fn came(&self) {
        let _ = self.turn(OFF_FIRMWARE, OFF_PARKED);
    }

    /// Returns whether the CPU is parked in the monitor.
    pub fn is_parked(&self) -> bool {
        self.word.load(Ordering::Acquire) == OFF_PARKED
    }

    /// Tells a parked CPU to leave through firmware; returns whether it was parked.
    pub fn tell_to_leave(&self) -> bool {
        self.turn(OFF_PARKED, LEAVING)
    }

    /// The CPU itself: firmware has it from its next instruction on; false if it is to stay.
    pub fn left(&self) -> bool {
        self.turn(LEAVING, OFF_FIRMWARE)
    }

    /// The boot CPU: the CPU did not come. What it was about to become counts no more. Returns false if
    /// firmware has it, which refused to start it: it is not lost, and can be started from there.
    pub fn mark_lost(&self) -> bool {
        self.replace(|state| (state != OFF_FIRMWARE).then_some(LOST))
    }

    /// The CPU itself: it came after all, and is parked in the monitor from now on.
    pub fn recovered(&self) {
        self.replace(|_| Some(OFF_PARKED));
    }

    /// Returns what AFFINITY_INFO says (DEN0022).
    pub fn affinity_info(&self) -> AffinityInfo {
        match self.word.load(Ordering::Acquire) {
            OFF_FIRMWARE | OFF_PARKED | LEAVING => AffinityInfo::Off,
            ON | SUSPENDED | GOING | LOST => AffinityInfo::On,
            _ => AffinityInfo::OnPending,
        }
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        self.word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A CPU that was given up finds out when it next looks for its kernel.
    fn set_unless_lost(&self, to: u8) {
        self.replace(|state| (state != LOST).then_some(to));
    }

    /// Replaces the state, if there is one to replace it with, and returns whether. A claim to the old
    /// one is worth nothing, and stays until its owner has seen that: until then nobody else writes where
    /// the CPU begins.
    fn replace(&self, to: impl Fn(u8) -> Option<u8>) -> bool {
        let next = |word: u8| {
            let claim = match word & CLAIMED {
                0 => 0,
                _ => CLAIMED | VOID,
            };
            to(word & STATE).map(|state| state | claim)
        };
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next)
            .is_ok()
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
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Firmware));
        assert_eq!(power.affinity_info(), AffinityInfo::OnPending);
        assert_eq!(power.turn_on(START, || true), Err(ErrorCode::OnPending));
        assert_eq!(power.order(), Order::Begin(START));
        assert_eq!(power.affinity_info(), AffinityInfo::On);
        assert_eq!(power.turn_on(START, || true), Err(ErrorCode::AlreadyOn));
    }

    #[test]
    fn parked_cpu_is_woken() {
        let power = Power::new();
        power.park();
        assert_eq!(power.order(), Order::Stay);
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Parked));
        assert_eq!(power.order(), Order::Begin(START));
    }

    #[test]
    fn cpu_that_came_is_parked_unless_it_was_asked_for() {
        let power = Power::new();
        assert!(!power.is_parked());
        power.came();
        assert!(power.is_parked());
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Parked));
        power.came();
        assert_eq!(power.order(), Order::Begin(START));
    }

    #[test]
    fn refused_start_can_be_tried_again() {
        let power = Power::new();
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Firmware));
        power.refused();
        assert_eq!(power.affinity_info(), AffinityInfo::Off);
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Firmware));
    }

    #[test]
    fn suspended_cpu_is_on_and_begins_where_it_said() {
        let power = Power::new();
        power.set_on();
        assert!(!power.is_suspended());
        power.suspend(START);
        assert!(power.is_suspended());
        assert_eq!(power.affinity_info(), AffinityInfo::On);
        assert_eq!(power.turn_on(START, || true), Err(ErrorCode::AlreadyOn));
        assert_eq!(power.order(), Order::Begin(START));
        assert!(!power.is_suspended());
    }

    #[test]
    fn cpu_on_its_way_off_is_on_but_does_not_stay() {
        let power = Power::new();
        power.set_on();
        assert!(power.stays());
        power.going_off();
        assert!(!power.stays());
        assert_eq!(power.affinity_info(), AffinityInfo::On);
        assert_eq!(power.turn_on(START, || true), Err(ErrorCode::AlreadyOn));
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
        assert_eq!(power.turn_on(START, || true), Err(ErrorCode::OnPending));
        assert!(power.left());
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Firmware));
    }

    #[test]
    fn start_of_a_kernel_that_is_over_is_void() {
        let power = Power::new();
        power.park();
        assert_eq!(power.turn_on(START, || false), Err(ErrorCode::Denied));
        assert_eq!(power.affinity_info(), AffinityInfo::Off);
        // The CPU is taken for the next kernel while the claim stands.
        let denied = power.turn_on(START, || {
            power.park();
            assert_eq!(power.order(), Order::Stay);
            assert_eq!(
                power.turn_on(START, || true),
                Err(ErrorCode::OnPending),
                "where it begins is written by one at a time"
            );
            true
        });
        assert_eq!(denied, Err(ErrorCode::Denied));
        assert_eq!(power.order(), Order::Stay);
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Parked));
    }

    #[test]
    fn forsaken_cpu_is_on_until_it_comes_back() {
        let power = Power::new();
        power.set_on();
        power.going_off();
        power.mark_lost();
        power.park();
        assert_eq!(power.affinity_info(), AffinityInfo::On);
        assert_eq!(
            power.turn_on(START, || true),
            Err(ErrorCode::AlreadyOn),
            "it was given up on its way to be parked"
        );
        power.recovered();
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Parked));
    }

    #[test]
    fn cpu_in_firmware_is_not_forsaken() {
        let power = Power::new();
        assert!(!power.mark_lost());
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Firmware));
        assert!(power.mark_lost());
        assert!(power.refused(), "it was given up meanwhile");
        assert_eq!(power.turn_on(START, || true), Ok(Origin::Firmware));
        assert!(!power.refused(), "nobody gave it up");
        assert!(!power.mark_lost(), "firmware has it");
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
                            power.turn_on(START, || true)
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
