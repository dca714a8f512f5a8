// SPDX-License-Identifier: Apache-2.0
//! What a CPU counts: its exits from the guest, and when it did what in a takeover.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use log::Level;

/// Exits from the guest by their cause: those of the kernel that runs, and of the one before it.
#[derive(Debug)]
pub struct Exits {
    now: [AtomicU64; CAUSES],
    before: [AtomicU64; CAUSES],
    complaints: AtomicU64,
}

/// Lines that a CPU's guest can cause on the console by what it does wrong, in each generation.
const COMPLAINTS: u64 = 16;

const CAUSES: usize = 4;

/// Why the guest left for the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A PSCI or SMCCC call.
    Call,
    /// One of the two calls patched in its kernel.
    Hook,
    /// A stage 2 fault.
    Fault,
    /// Anything else.
    Other,
}

impl Cause {
    /// All of them, in the order in which reports name them.
    pub const ALL: [Self; CAUSES] = [Self::Call, Self::Hook, Self::Fault, Self::Other];
}

/// What a CPU did in the takeover that is under way, before its request is accepted or refused.
#[derive(Debug, Default)]
pub struct Attempt {
    came: AtomicU64,
    check_start: AtomicU64,
    check_end: AtomicU64,
    checked: AtomicU64,
}

impl Attempt {
    /// The CPU has come at `now`, in ticks of CNTPCT_EL0.
    pub fn came(&self, now: u64) {
        self.came.store(now, Relaxed);
        self.check_start.store(0, Relaxed);
        self.checked.store(0, Relaxed);
    }

    /// The CPU has checked a part from `start` to `end`.
    pub fn has_checked(&self, start: u64, end: u64) {
        if self.check_start.load(Relaxed) == 0 {
            self.check_start.store(start, Relaxed);
        }
        self.check_end.store(end, Relaxed);
        let before = self.checked.load(Relaxed);
        self.checked.store(before + (end - start), Relaxed);
    }

    /// Returns how many ticks the CPU has checked.
    pub fn checked(&self) -> u64 {
        self.checked.load(Relaxed)
    }

    /// The request is accepted: this is a part of the takeover's `times`.
    pub fn accept(&self, times: &Times) {
        times.arrived.store(self.came.load(Relaxed), Relaxed);
        let start = self.check_start.load(Relaxed);
        if start != 0 {
            times.check_start.store(start, Relaxed);
            times.check_end.store(self.check_end.load(Relaxed), Relaxed);
            times.checked.store(self.checked.load(Relaxed), Relaxed);
        }
    }
}

impl Exits {
    /// Returns counters of nothing.
    pub const fn new() -> Self {
        Self {
            now: [const { AtomicU64::new(0) }; CAUSES],
            before: [const { AtomicU64::new(0) }; CAUSES],
            complaints: AtomicU64::new(0),
        }
    }

    /// Counts one. Only the CPU itself does.
    pub fn count(&self, cause: Cause) {
        let counter = &self.now[cause as usize];
        counter.store(counter.load(Relaxed) + 1, Relaxed);
    }

    /// Returns at which level the console is told what the guest does wrong: one that does nothing
    /// else must not have the console to itself.
    pub fn complaint(&self) -> Level {
        match self.complaints.fetch_add(1, Relaxed) {
            ..COMPLAINTS => Level::Warn,
            _ => Level::Trace,
        }
    }

    /// Begins anew for the next kernel; the counts so far become those of the kernel before.
    pub fn retire(&self) {
        for (now, before) in self.now.iter().zip(&self.before) {
            before.store(now.swap(0, Relaxed), Relaxed);
        }
        self.complaints.store(0, Relaxed);
    }

    /// Returns how often the present kernel left for `cause`.
    pub fn now(&self, cause: Cause) -> u64 {
        self.now[cause as usize].load(Relaxed)
    }

    /// Returns how often the kernel before the present one left for `cause`.
    pub fn before(&self, cause: Cause) -> u64 {
        self.before[cause as usize].load(Relaxed)
    }
}

impl Default for Exits {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! times {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// When the CPU did what in the last takeover, in ticks of CNTPCT_EL0; 0 if it did not.
        #[derive(Debug, Default)]
        pub struct Times {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Times {
            /// Returns times of nothing.
            pub const fn new() -> Self {
                Self { $($name: AtomicU64::new(0),)* }
            }

            /// Forgets the takeover before.
            pub fn clear(&self) {
                $(self.$name.store(0, Relaxed);)*
            }
        }
    };
}

times! {
    /// It was in the monitor.
    arrived,
    /// It began to check its part of the request.
    check_start,
    /// It had checked it.
    check_end,
    /// Ticks in which it checked (not a time).
    checked,
    /// It began phase 1.
    phase1_start,
    /// It had finished phase 1.
    phase1_end,
    /// It began phase 3: it had seen that phase 2 was over.
    phase3_start,
    /// It began to copy.
    copy_start,
    /// It had copied its share.
    copy_end,
    /// It had finished phase 3.
    phase3_end,
    /// It entered the next kernel.
    online,
    /// Bytes it copied and zeroed (not a time).
    copied,
    /// Bytes it zeroed (not a time).
    zeroed,
    /// [`baton_abi::ROW_TOOK_PART`] or [`baton_abi::ROW_MISSING`] (not a time).
    part,
}
