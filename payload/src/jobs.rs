// SPDX-License-Identifier: Apache-2.0
//! Jobs: the loop in which a CPU that is up waits for one, and a way to run one to its end.

use crate::cpu::{Cpu, Job};
use crate::gic::v2;
use crate::hints;
use crate::outcome::{Outcome, fail};
use crate::time::{self, TIMEOUT_MS, wait_until};

/// Where secondary CPUs come in from `start.S`, with the MMU on.
pub extern "C" fn secondary_main(this: &'static Cpu) -> ! {
    time::init_event_stream();
    v2::learn(this);
    this.come_up();
    this.run_on_entry();
    loop {
        if !this.run_pending() {
            hints::wait_for_event();
        }
    }
}

impl Cpu {
    /// Runs a job on the CPU and waits for its result.
    pub fn run(&self, job: Job, argument: u64) -> Outcome<u64> {
        self.start(job, argument);
        wait_until(TIMEOUT_MS, || self.result().is_some());
        match self.result() {
            Some(result) => Ok(result),
            None => fail!(
                "CPU {:#x}: expected to end its job within {TIMEOUT_MS} ms, seen nothing",
                self.mpidr()
            ),
        }
    }
}
