//! States that a CPU can be in when the machine is taken from under it.
//!
//! Each is a job that does not return. Another one is a function and a line in [`STATES`].

mod faulty;
mod mix;
mod power;
mod running;
mod sleeping;

pub use mix::{Wanted, spread};
pub use power::{POWER_DOWN, STANDBY, off};
pub use running::{check_witness, clear_since, store};

use crate::cpu::{Cpu, Job};
use crate::gic;
use core::sync::atomic::Ordering::Relaxed;

/// A state.
pub struct State {
    /// What it is called in the log.
    pub name: &'static str,
    /// How a CPU gets there.
    pub job: Job,
    /// `AFFINITY_INFO` says OFF when it has got there.
    pub off: bool,
    /// It leaves the CPU counting its heartbeat on.
    pub counts: bool,
    /// It needs another CPU, which it turns on again and again.
    pub pair: bool,
    /// An emulator that runs all CPUs on one thread has no way out of it but the end of a slice of
    /// time: few CPUs at once.
    pub tight: bool,
    /// It is not in the mix of all states, only by `state=`.
    pub alone: bool,
    /// The monitor cannot wake the CPU.
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

static WFE: State = state("wfe", sleeping::wfe);

/// All states.
pub static STATES: &[State] = &[
    state("wfe", sleeping::wfe),
    state("wfi", sleeping::wfi),
    counting("masked-loop", running::masked_loop),
    State {
        off: true,
        ..state("off", off)
    },
    state("standby", power::standby),
    state("power-down", power::power_down),
    counting("store", store),
    State {
        pair: true,
        ..state("cpu-on", power::turn_on_for_ever)
    },
    tight("tight-loop", running::tight_loop),
    state("deaf-wfi", sleeping::deaf_wfi),
    state("interface-off", sleeping::interface_off),
    state("priority-mask", sleeping::priority_mask),
    state("deaf-standby", power::deaf_standby),
    state("deaf-power-down", power::deaf_power_down),
    counting("witness", running::witness),
    counting("single-step", faulty::single_step),
    counting("fault-loop", faulty::fault_loop),
    tight("vector-loop", faulty::vector_loop),
    tight("corrupt-stack", faulty::corrupt_stack),
    // It takes the monitor half of its patience.
    State {
        alone: true,
        ..state("sgis-off", sleeping::sgis_off)
    },
    State {
        alone: true,
        ..state("muted-wfi", sleeping::muted_wfi)
    },
    State {
        alone: true,
        lost: true,
        ..state("deaf-later", sleeping::deaf_later)
    },
];

/// Lets interrupts reach the CPU, where there is a GIC that the probe knows.
fn hear(this: &'static Cpu) {
    if this.redistributor.load(Relaxed) != 0 || gic::v2::get().is_some() {
        gic::enable(this, 0);
    }
}
