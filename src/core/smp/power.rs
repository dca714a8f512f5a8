// SPDX-License-Identifier: Apache-2.0
//! The power state of a CPU as PSCI defines it: who may turn it on, and where it then begins.
#![forbid(unsafe_code)]

use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use arm_psci::{AffinityInfo, ErrorCode};

/// Where a CPU is while it is off, and so how it is turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In firmware, which has to be asked to start it.
    Firmware,
    /// Parked in the monitor: an event wakes it.
    Parked,
    /// About to go from there to firmware: it cannot be turned on before it has.
    Leaving,
}

/// Where a CPU begins in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Physical address of the first instruction.
    pub entry: u64,
    /// What the CPU finds in x0 (`context_id` of CPU_ON).
    pub context: u64,
}

/// What a parked CPU has to do.
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
/// CPU_ON has set where it begins, and it has not begun yet.
const READY: u8 = 2;
/// In the guest, or in an exit from it.
const ON: u8 = 3;
/// As `ON`, in CPU_SUSPEND or SYSTEM_SUSPEND: where it begins after a power-down is set.
const SUSPENDED: u8 = 4;
/// Parked, and told to leave through firmware's CPU_OFF.
const LEAVING: u8 = 5;
/// As `ON`, in CPU_OFF and not parked yet.
const GOING_OFF: u8 = 6;
/// It did not arrive in a takeover: nobody can turn it on before it has recovered.
const LOST: u8 = 7;
const STATE: u8 = 0x3f;

/// Flag beside a state: one caller of CPU_ON has claimed the CPU, and has not set yet where it
/// begins.
const CLAIMED: u8 = 1 << 6;
/// Flag beside `CLAIMED`: the state has changed since, and the claim is worth nothing.
const VOID: u8 = 1 << 7;

/// One CPU's power state.
///
/// The word of the target is the lock that callers of CPU_ON take: who moves it from off to
/// `CLAIMED` alone writes where the CPU begins.
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

    /// Turns the CPU on at `start`, and returns where it was. Of any number of callers at once one
    /// succeeds, and only if `may_start`, which is asked after the claim, has no objection.
    ///
    /// The CPU begins when it next looks at [`Power::take_order`]: the caller wakes it, or has
    /// firmware start it. Of one that is [`Origin::Leaving`] nothing is changed: the caller asks again.
    ///
    /// # Errors
    ///
    /// `ALREADY_ON`, `ON_PENDING` while another caller's start is under way (DEN0022, CPU_ON), what
    /// `may_start` returns, or `DENIED` to a caller whose kernel is over.
    pub fn turn_on(
        &self,
        start: Start,
        may_start: impl FnOnce(Origin) -> Result<(), ErrorCode>,
    ) -> Result<Origin, ErrorCode> {
        let claim = |from| {
            self.word
                .compare_exchange(from, from | CLAIMED, Ordering::Acquire, Ordering::Acquire)
        };
        let (off, origin) = match claim(OFF_PARKED) {
            Ok(off) => (off, Origin::Parked),
            Err(OFF_FIRMWARE) if claim(OFF_FIRMWARE).is_ok() => (OFF_FIRMWARE, Origin::Firmware),
            Err(LEAVING) => return Ok(Origin::Leaving),
            Err(ON | SUSPENDED | GOING_OFF | LOST) => return Err(ErrorCode::AlreadyOn),
            Err(_) => return Err(ErrorCode::OnPending),
        };
        // A takeover that takes the CPU either has begun and is seen here, or sees the claim.
        let objection = may_start(origin).err();
        if objection.is_none() {
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
        Err(objection.unwrap_or(ErrorCode::Denied))
    }

    /// Records that firmware refused to start the CPU, which is off there again. Returns whether a
    /// takeover has given the CPU up since [`Power::turn_on`]: the caller then knows that it was
    /// left behind, and never comes. Where [`Power::mark_lost`] comes after this, that returns
    /// false instead.
    pub fn mark_refused(&self) -> bool {
        let in_firmware = |word| matches!(word, READY | LOST).then_some(OFF_FIRMWARE);
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, in_firmware)
            == Ok(LOST)
    }

    /// Records that the calling CPU, which CPU_ON has brought or which is parked, is off in firmware: it
    /// cannot begin. Returns false, and changes nothing, while a caller of CPU_ON has it.
    pub fn refuse(&self) -> bool {
        self.turn(READY, OFF_FIRMWARE) || self.turn(OFF_PARKED, OFF_FIRMWARE)
    }

    /// Returns what the CPU that calls this, and is parked, has to do; it is `ON` from now on if
    /// that is to begin.
    pub fn take_order(&self) -> Order {
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

    /// Records that the calling CPU is on without CPU_ON, as the boot CPU of a kernel is.
    pub fn set_on(&self) {
        self.set_unless_lost(ON);
    }

    /// Records that the calling CPU is in CPU_OFF: still on, but about to be parked.
    pub fn mark_going_off(&self) {
        self.set_unless_lost(GOING_OFF);
    }

    /// Returns whether the CPU is on, and not in CPU_OFF.
    pub fn stays_on(&self) -> bool {
        matches!(self.word.load(Ordering::Acquire), ON | SUSPENDED)
    }

    /// Records that the calling CPU is parked in the monitor.
    pub fn park(&self) {
        self.set_unless_lost(OFF_PARKED);
    }

    /// Records that the calling CPU is about to lose power, and begins at `start` when it wakes.
    pub fn suspend(&self, start: Start) {
        self.entry.store(start.entry, Ordering::Relaxed);
        self.context.store(start.context, Ordering::Relaxed);
        self.set_unless_lost(SUSPENDED);
    }

    /// Returns whether the CPU is in a power-down that [`Power::suspend`] has announced.
    pub fn is_suspended(&self) -> bool {
        self.word.load(Ordering::Acquire) == SUSPENDED
    }

    /// Records that the calling CPU is parked in the monitor, having come without CPU_ON as from a
    /// spin table; changes nothing if CPU_ON has claimed it.
    pub fn park_unless_claimed(&self) {
        let _ = self.turn(OFF_FIRMWARE, OFF_PARKED);
    }

    /// Returns whether the CPU is parked in the monitor.
    pub fn is_parked(&self) -> bool {
        self.word.load(Ordering::Acquire) == OFF_PARKED
    }

    /// Tells a parked CPU to leave through firmware's CPU_OFF. Returns false, and changes nothing,
    /// if it is not parked.
    pub fn tell_to_leave(&self) -> bool {
        self.turn(OFF_PARKED, LEAVING)
    }

    /// Records that the calling CPU is about to leave through firmware's CPU_OFF. Returns false,
    /// and changes nothing, if it is not to leave any more.
    pub fn mark_left(&self) -> bool {
        self.turn(LEAVING, OFF_FIRMWARE)
    }

    /// Records that the CPU did not arrive in a takeover, whatever it was about to become; the boot
    /// CPU calls this. Returns false, and changes nothing, if the CPU is off in firmware, which
    /// refused to start it: it is not lost, and can be started from there.
    pub fn mark_lost(&self) -> bool {
        self.replace(|state| (state != OFF_FIRMWARE).then_some(LOST))
    }

    /// Records that the calling CPU, which was lost, is parked in the monitor.
    pub fn mark_recovered(&self) {
        self.replace(|_| Some(OFF_PARKED));
    }

    /// Returns what AFFINITY_INFO says of the CPU (DEN0022).
    pub fn affinity_info(&self) -> AffinityInfo {
        match self.word.load(Ordering::Acquire) {
            OFF_FIRMWARE | OFF_PARKED | LEAVING => AffinityInfo::Off,
            ON | SUSPENDED | GOING_OFF | LOST => AffinityInfo::On,
            _ => AffinityInfo::OnPending,
        }
    }

    /// Changes the word from `from` to `to`. Returns false, and changes nothing, if it is another
    /// one.
    fn turn(&self, from: u8, to: u8) -> bool {
        self.word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Sets the state, unless the CPU is lost: it finds out when it next asks whether its kernel is
    /// over.
    fn set_unless_lost(&self, to: u8) {
        self.replace(|state| (state != LOST).then_some(to));
    }

    /// Sets the state to what `to` makes of the old one. Returns false, and changes nothing, if
    /// that is `None`.
    ///
    /// A claim to the CPU becomes void, and stays until the caller of CPU_ON has seen that: until
    /// then nobody else may write where the CPU begins.
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
mod tests;
