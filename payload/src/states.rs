//! States that a CPU can be in when the machine is taken from under it.
//!
//! Each is a job that does not return. Another one is a function and a line in [`STATES`].

use crate::arena::PAGE;
use crate::call::{self, code};
use crate::cpu::{self, Cpu, Job, MAX_CPUS, wait_for};
use crate::gic;
use crate::list::List;
use crate::outcome::Outcome;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use smccc::psci::{PSCI_CPU_OFF, PSCI_CPU_SUSPEND_64};

/// `CPU_SUSPEND` power_state, original format: standby of the CPU (DEN0022, 5.4.2).
pub const STANDBY: u64 = 0;
/// `CPU_SUSPEND` power_state, original format: power-down of the CPU.
pub const POWER_DOWN: u64 = 1 << 16;

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
    /// It is not in the mix of all states, only by `state=`.
    pub alone: bool,
}

const fn state(name: &'static str, job: Job) -> State {
    State {
        name,
        job,
        off: false,
        counts: false,
        pair: false,
        alone: false,
    }
}

static WFE: State = state("wfe", wfe);

/// All states; those of the mix come first.
pub static STATES: &[State] = &[
    state("wfe", wfe),
    state("wfi", wfi),
    State {
        counts: true,
        ..state("masked-loop", masked_loop)
    },
    State {
        off: true,
        ..state("off", off)
    },
    state("standby", standby),
    state("power-down", power_down),
    State {
        counts: true,
        ..state("store", store)
    },
    State {
        pair: true,
        ..state("cpu-on", turn_on_for_ever)
    },
    State {
        alone: true,
        ..state("tight-loop", tight_loop)
    },
    State {
        alone: true,
        ..state("muted-wfi", muted_wfi)
    },
    State {
        alone: true,
        ..state("deaf-wfi", deaf_wfi)
    },
    State {
        alone: true,
        ..state("deaf-standby", deaf_standby)
    },
];

fn wfe(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        cpu::wait_for_event();
    }
}

/// WFI as a kernel does it: its CPU interface is on, an SGI would wake it.
fn wfi(this: &'static Cpu, argument: u64) -> u64 {
    hear(this);
    deaf_wfi(this, argument)
}

/// Lets interrupts reach the CPU, where there is a GIC that the probe knows.
fn hear(this: &'static Cpu) {
    if this.redistributor.load(Relaxed) != 0 || gic::v2::get().is_some() {
        gic::enable(this, 0);
    }
}

/// WFI that an SGI does not end: its priority is below the mask.
fn muted_wfi(this: &'static Cpu, argument: u64) -> u64 {
    hear(this);
    gic::mute(this);
    deaf_wfi(this, argument)
}

/// WFI with the CPU interface as it is at reset: no interrupt reaches the CPU.
fn deaf_wfi(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        cpu::wait_for_interrupt();
    }
}

/// A loop with all interrupts masked, as the probe always has them. YIELD is for emulators that run
/// all CPUs on one thread: without it each such CPU takes a whole time slice.
fn masked_loop(this: &'static Cpu, victim: u64) -> u64 {
    this.say_reached();
    loop {
        beat(this, victim);
        cpu::relax();
    }
}

/// The same with no way out for an emulator; for one CPU at a time.
pub fn tight_loop(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    // SAFETY: does nothing, for ever: there is no instruction but the branch.
    unsafe { core::arch::asm!("1: b 1b", options(noreturn, nomem, nostack)) }
}

/// Stores as fast as it can: its heartbeat, and into the page at address `victim` if it isn't 0.
pub fn store(this: &'static Cpu, victim: u64) -> u64 {
    this.say_reached();
    loop {
        for _ in 0..64 {
            beat(this, victim);
        }
        cpu::relax();
    }
}

/// Turns the CPU off: for states and for tests. It does not return but for an error.
pub fn off(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    call::psci(PSCI_CPU_OFF, [0; 3]) as u64
}

fn standby(this: &'static Cpu, argument: u64) -> u64 {
    hear(this);
    deaf_standby(this, argument)
}

/// Standby with the CPU interface as it is at reset: no interrupt reaches the CPU.
fn deaf_standby(this: &'static Cpu, _: u64) -> u64 {
    this.say_reached();
    loop {
        call::psci(PSCI_CPU_SUSPEND_64, [STANDBY, 0, 0]);
    }
}

fn power_down(this: &'static Cpu, _: u64) -> u64 {
    hear(this);
    this.say_reached();
    let context = &raw const *this as u64;
    loop {
        call::psci(
            PSCI_CPU_SUSPEND_64,
            [POWER_DOWN, crate::entry::secondary_entry(), context],
        );
    }
}

/// `argument`: address of the [`Cpu`] to turn on whenever it is off.
fn turn_on_for_ever(this: &'static Cpu, argument: u64) -> u64 {
    // SAFETY: `spread` passes the address of an element of the static array of CPUs.
    let target = unsafe { &*(argument as *const Cpu) };
    loop {
        if target.turn_on() == code::SUCCESS {
            beat(this, 0);
            this.say_reached();
        }
        cpu::relax();
    }
}

fn beat(this: &Cpu, victim: u64) {
    let count = this.heartbeat.load(Relaxed).wrapping_add(1);
    this.heartbeat.store(count, Relaxed);
    if victim != 0 {
        let word = victim + count % (PAGE / 8) * 8;
        // SAFETY: `spread` gives each CPU a page of its own in a part of the arena that is free.
        unsafe { (word as *mut u64).write_volatile(count) };
    }
}

/// The state for an index in a generation: `only`, or one of the mix. The mix moves on from
/// generation to generation, so that chains see all states on small machines too.
fn choose(index: usize, generation: u64, only: Option<&'static State>) -> &'static State {
    let mix = STATES.iter().filter(|state| !state.alone);
    let n = (index + generation as usize * 3) % mix.clone().count();
    only.or(mix.clone().nth(n)).unwrap_or(&WFE)
}

/// Puts CPUs that are up into the states, and waits until each has got there.
///
/// Those that store do so into pages from `victims` on, which the reboot overwrites: were one of
/// their stores to land after that, the next generation would find it.
///
/// The last one runs the tight loop, and is started when all others have been seen in their states.
pub fn spread(
    cpus: impl Iterator<Item = &'static Cpu> + Clone,
    generation: u64,
    only: Option<&'static State>,
    victims: u64,
) -> Outcome {
    let count = cpus.clone().count();
    let last = if count > 1 && only.is_none() {
        cpus.clone().last()
    } else {
        None
    };
    let mut started = List::<Option<(&'static Cpu, &'static State)>, MAX_CPUS>::new();
    let mut free = cpus.take(count - usize::from(last.is_some())).zip(0..);
    while let Some((cpu, index)) = free.next() {
        let state = choose(index, generation, only);
        let target = if state.pair {
            free.next().map(|(target, _)| target)
        } else {
            None
        };
        let state = if state.pair && target.is_none() {
            &WFE
        } else {
            state
        };
        if let Some(target) = target {
            target.set_on_entry(Some(off));
            target.start(off, 0);
        }
        let victim = victims + index as u64 * PAGE;
        cpu.start(
            state.job,
            target.map_or(victim, |target| &raw const *target as u64),
        );
        // There are no more than MAX_CPUS.
        let _ = started.push(Some((cpu, state)));
    }
    for (cpu, state) in started.iter().flatten() {
        wait_for(
            [*cpu].into_iter(),
            format_args!("to reach the state {}", state.name),
            |cpu| {
                cpu.reached.load(Acquire) == 1
                    && (!state.off || cpu.affinity_info() == code::AFFINITY_OFF)
                    && (!state.counts || cpu.heartbeat.load(Relaxed) > 0)
            },
        )?;
    }
    if let Some(last) = last {
        last.start(tight_loop, 0);
        wait_for([last].into_iter(), "to reach the tight loop", |cpu| {
            cpu.reached.load(Acquire) == 1
        })?;
    }
    Ok(())
}
