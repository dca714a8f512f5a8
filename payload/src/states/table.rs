// SPDX-License-Identifier: Apache-2.0
//! All states. Each is a job that does not return; another one is a function and a line in [`STATES`].

use super::{faulty, power, running, sleeping};
use crate::cpu::Job;

/// A state.
pub struct State {
    /// What it is called in the log.
    pub name: &'static str,
    /// How a CPU gets there.
    pub job: Job,
    /// `AFFINITY_INFO` says OFF when it has got there.
    pub off: bool,
    /// The CPU counts its heartbeat in it.
    pub counts: bool,
    /// It needs another CPU, which it turns on again and again.
    pub pair: bool,
    /// An emulator that runs all CPUs on one thread has no way out of it but the end of a slice of
    /// time: few CPUs at once.
    pub tight: bool,
    /// It is not in the mix of all states, only by `state=`.
    pub alone: bool,
    /// The kick does not wake the CPU: the monitor gives it up as lost.
    pub lost: bool,
}

const fn state(name: &'static str, job: Job) -> State {
    State {
        name,
        job,
        off: false,
        counts: false,
        pair: false,
        tight: false,
        alone: false,
        lost: false,
    }
}

const fn counting(name: &'static str, job: Job) -> State {
    State {
        counts: true,
        ..state(name, job)
    }
}

const fn tight(name: &'static str, job: Job) -> State {
    State {
        tight: true,
        ..state(name, job)
    }
}

/// The state for a CPU that there is no other for.
pub static WFE: State = state("wfe", sleeping::wfe);

/// All states.
pub static STATES: &[State] = &[
    state("wfe", sleeping::wfe),
    state("wfi", sleeping::wfi),
    counting("masked-loop", running::masked_loop),
    State {
        off: true,
        ..state("off", power::off)
    },
    state("standby", power::standby),
    state("power-down", power::power_down),
    counting("store", running::store),
    State {
        pair: true,
        ..state("cpu-on", power::turn_on_for_ever)
    },
    tight("tight-loop", running::tight_loop),
    state("masked-wfi", sleeping::masked_wfi),
    state("interface-off", sleeping::interface_off),
    state("priority-mask", sleeping::priority_mask),
    state("masked-standby", power::masked_standby),
    state("masked-power-down", power::masked_power_down),
    counting("witness", running::witness),
    counting("single-step", faulty::single_step),
    counting("fault-loop", faulty::fault_loop),
    tight("vector-loop", faulty::vector_loop),
    tight("corrupt-stack", faulty::corrupt_stack),
    // The monitor takes half of its time limit to get such a CPU.
    State {
        alone: true,
        ..state("sgis-off", sleeping::sgis_off)
    },
    State {
        alone: true,
        ..state("low-priority-wfi", sleeping::low_priority_wfi)
    },
    State {
        alone: true,
        lost: true,
        ..state("interface-off-later", sleeping::interface_off_later)
    },
];
