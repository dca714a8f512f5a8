//! `test=fuzz`: millions of calls and accesses that make no sense, on all CPUs at once.
//!
//! Each CPU draws from `seed=` and its own place what it does next, `calls=` times. What would end
//! the machine, or start a CPU where there is no code, is left out or made so that it is refused; all
//! else must come back: with an abort, with a code, and without an address of the monitor's in any
//! register. After that the machine reboots into the next generation.

mod accesses;
mod lists;

use super::gic_tables;
use crate::abi;
use crate::arena::{PAGE, SCRATCH_PAGES};
use crate::call::{self, Conduit, code};
use crate::console::say;
use crate::context::Context;
use crate::cpu::{Cpu, MAX_CPUS};
use crate::cpus::Cpus;
use crate::finish::fail_and_stop;
use crate::outcome::{Outcome, ensure, fail};
use crate::{arrival, gic, hints, image, kexec, pattern, states, time};
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64};
use smccc::psci::{PSCI_CPU_OFF, PSCI_CPU_ON_32, PSCI_CPU_ON_64};
use smccc::psci::{PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64};

/// How long all CPUs may take, in milliseconds.
const TIMEOUT_MS: u64 = 3_600_000;

/// What all CPUs know of the machine.
pub struct Field {
    cpus: Cpus,
    calls: u64,
    seed: u64,
    /// The monitor's first byte, and the first behind it.
    monitor: (u64, u64),
    /// The first byte of RAM, and of the console's registers.
    ram: u64,
    uart: u64,
    /// Addresses at every edge.
    edges: [u64; 32],
    /// Physical address of the running image, and of its device tree.
    image: u64,
    tree: u64,
    arena: crate::arena::Arena,
}

static FIELD: AtomicPtr<Field> = AtomicPtr::new(ptr::null_mut());
/// How far each CPU is, and where its numbers come from: it may be off in between.
static DONE: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static NUMBERS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static REFUSED: AtomicU64 = AtomicU64::new(0);
static ABORTS: AtomicU64 = AtomicU64::new(0);

/// All CPUs, for as many generations as are wanted.
pub fn run(context: &Context) -> Outcome {
    let cpus = context.cpus;
    let (calls, generation) = (context.options.calls, context.generation);
    if generation > 0 {
        arrival::check(context)?;
        if generation > context.options.generations {
            return Ok(());
        }
    } else {
        cpus.bring_up(cpus.others())?;
    }
    let seed = context.options.seed.wrapping_add(generation);
    say!(
        "fuzz: seed={seed}, {calls} times on {} CPUs",
        cpus.all.len()
    );
    let Some(gic) = &context.machine.gic else {
        fail!("expected a GICv3, seen none")
    };
    gic::init(gic, cpus.all)?;
    gic_tables::prepare(context)?;
    let mut field = field(context, seed)?;
    FIELD.store(&raw mut field, Release);
    for cpu in cpus.others() {
        cpu.set_on_entry(Some(fuzz));
        cpu.start(fuzz, 0);
    }
    fuzz(cpus.boot, 0);
    let finished = |cpu: &Cpu| DONE[cpu.place()].load(Acquire) >= calls;
    let all = time::wait_until(TIMEOUT_MS, || {
        // Those that are off are somebody's to turn on again.
        for cpu in cpus.others().filter(|cpu| !finished(cpu)) {
            cpu.turn_on();
        }
        cpus.others().all(finished)
    });
    ensure!(
        all,
        "expected all CPUs to end within {TIMEOUT_MS} ms, seen some that did not"
    );
    for cpu in cpus.others() {
        cpu.set_on_entry(None);
    }
    say!(
        "fuzz: seed={seed}: {} calls, {} refused, {} accesses aborted",
        cpus.calls(),
        REFUSED.load(Relaxed),
        ABORTS.load(Relaxed)
    );
    kexec::prepare(context, cpus.boot, 0)?.go()
}

fn field(context: &Context, seed: u64) -> Outcome<Field> {
    let (Some((monitor, size)), Some((ram, ram_size))) = (
        context.machine.monitor(),
        context.machine.ram_at(context.arena.0),
    ) else {
        fail!("expected the monitor and the arena in the device tree")
    };
    let (end, ram_end) = (monitor + size, ram + ram_size);
    let uart = context.machine.uart;
    let gic = context
        .machine
        .gic
        .as_ref()
        .map_or(0, |gic| gic.distributor);
    Ok(Field {
        cpus: context.cpus,
        calls: context.options.calls,
        seed,
        monitor: (monitor, end),
        ram,
        uart,
        edges: [
            0,
            1,
            4,
            u64::MAX,
            u64::MAX - 3,
            u64::MAX - 7,
            !(PAGE - 1),
            1 << 31,
            1 << 32,
            (1 << 32) - 1,
            1 << 40,
            (1 << 40) - 8,
            1 << 47,
            1 << 48,
            1 << 63,
            monitor,
            monitor + 1,
            monitor - 1,
            monitor - 4,
            monitor - 8,
            monitor - PAGE,
            monitor + PAGE,
            monitor + size / 2,
            end - PAGE,
            end - 8,
            end - 1,
            end,
            ram,
            ram - 1,
            ram_end - 1,
            uart,
            gic,
        ],
        image: image::image().0,
        tree: context.machine.fdt.as_ptr() as u64,
        arena: context.arena,
    })
}

/// Random numbers that depend on the seed and the CPU alone.
pub struct Numbers<'a> {
    state: &'a AtomicU64,
    field: &'a Field,
}

impl Numbers<'_> {
    fn any(&self) -> u64 {
        let state = self.state.load(Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.store(state, Relaxed);
        pattern::mix(state)
    }

    fn below(&self, bound: u64) -> u64 {
        self.any() % bound
    }

    fn of<T: Copy>(&self, list: &[T]) -> Option<T> {
        list.get(self.below(list.len() as u64) as usize).copied()
    }

    fn edge(&self) -> u64 {
        self.of(&self.field.edges).unwrap_or(0)
    }

    /// An argument: an edge, near one, a CPU, a small number, or anything.
    fn argument(&self) -> u64 {
        match self.below(8) {
            0..3 => self.edge(),
            3 => self.edge().wrapping_add(self.below(64)).wrapping_sub(32),
            4 => self.cpu().mpidr(),
            5 => self.below(8),
            6 => self.any() & 0xffff_ffff,
            _ => self.any(),
        }
    }

    /// Somewhere in the monitor's memory, at its edges most of all.
    fn in_monitor(&self) -> u64 {
        let (start, end) = self.field.monitor;
        match self.below(8) {
            0 => start,
            1 => end - 8,
            2 => (start + self.below(0x4_0000)) & !7,
            _ => (start + self.below(end - start)) & !7,
        }
    }

    fn cpu(&self) -> &'static Cpu {
        let cpus = &self.field.cpus;
        self.of_cpus().unwrap_or(cpus.boot)
    }

    fn of_cpus(&self) -> Option<&'static Cpu> {
        let all = self.field.cpus.all;
        all.get(self.below(all.len() as u64) as usize)
    }
}

/// The n-th page of scratch memory, of eight, that is this CPU's own.
fn page(field: &Field, this: &Cpu, n: u64) -> u64 {
    field
        .arena
        .scratch(SCRATCH_PAGES - 1 - (8 * this.place() as u64 + n))
}

/// A job: goes on from where the CPU was to the end.
fn fuzz(this: &'static Cpu, _: u64) -> u64 {
    let place = this.place();
    let (Some(done), Some(state)) = (DONE.get(place), NUMBERS.get(place)) else {
        return 1;
    };
    // SAFETY: `run` has stored its own, and waits until all are done.
    let Some(field) = (unsafe { FIELD.load(Acquire).as_ref() }) else {
        return 1;
    };
    gic::enable(this, 0);
    if done.load(Relaxed) == 0 {
        state.store(pattern::word(field.seed, this.place() as u64), Relaxed);
    }
    let numbers = Numbers { state, field };
    while done.load(Relaxed) < field.calls {
        let n = done.load(Relaxed) + 1;
        done.store(n, Release);
        if let Err(failure) = act(this, &numbers) {
            fail_and_stop(format_args!("CPU {:#x}, time {n}: {failure}", this.mpidr()));
        }
        if n % 256 == 0 {
            hints::relax();
        }
    }
    0
}

/// One thing, whatever it is.
fn act(this: &'static Cpu, numbers: &Numbers) -> Outcome {
    match numbers.below(64) {
        0..24 => {
            let id = known_id(numbers);
            some_call(id, numbers)
        }
        24..32 => {
            let id = numbers.any() as u32 >> (numbers.below(2) * numbers.below(32));
            some_call(id, numbers)
        }
        32..36 => cpu_on(numbers),
        36..40 => accesses::load(numbers),
        40..44 => accesses::store(numbers),
        44..48 => accesses::odd(this, numbers),
        48 => accesses::fetch(numbers),
        49..53 => accesses::immediate(this, numbers),
        53..57 => lists::refused(this, numbers),
        57 => report(this, numbers),
        58 => accesses::walk(this, numbers),
        59 => accesses::register(numbers),
        60 => suspend(numbers),
        61 if numbers.below(16) == 0 => off(this, numbers),
        62 if numbers.below(16) == 0 => gic_tables::check_redistributor(this),
        _ => {
            numbers.cpu().affinity_info();
            Ok(())
        }
    }
}

/// An id of somebody's.
fn known_id(numbers: &Numbers) -> u32 {
    let number = numbers.below(0x20) as u32;
    match numbers.below(12) {
        0..3 => 0x8400_0000 + number,
        3..5 => 0xc400_0000 + number,
        5 => 0xc600_0000 + number % 4,
        6 => 0x8600_ff00 + number % 4,
        7 => 0x8000_0000 + number % 4,
        8 => 0x8400_0050 + number,
        9 => 0x8400_0130 + number,
        10 => numbers
            .of(&[
                0x8000_8000,
                0x8000_7fff,
                0x8200_ff01,
                0x3200_0004,
                0xb200_0004,
                0x8400_0060,
            ])
            .unwrap_or(0),
        // The same with hints and reserved bits.
        _ => 0x8400_0000 | number | 1 << (16 + number % 8),
    }
}

/// Ids that end the machine, this CPU, or the generation if they are well meant.
fn ends_something(id: u32) -> bool {
    let psci = id & 0x3f00_0000 == 0x0400_0000 && id & 0xffe0 == 0;
    // CPU_SUSPEND, CPU_OFF, CPU_ON, SYSTEM_OFF, SYSTEM_RESET, CPU_FREEZE, CPU_DEFAULT_SUSPEND,
    // SYSTEM_SUSPEND, SYSTEM_RESET2, SYSTEM_OFF2.
    let number = id & 0x1f;
    (psci && matches!(number, 0x1..=0x3 | 0x8 | 0x9 | 0xb..=0xe | 0x12 | 0x15)) || id == abi::KEXEC
}

fn some_call(id: u32, numbers: &Numbers) -> Outcome {
    if ends_something(id & !(1 << 16)) {
        return Ok(());
    }
    let mut arguments = [0; 17];
    for argument in &mut arguments {
        *argument = numbers.argument();
    }
    let conduit = match numbers.below(2) {
        0 => Conduit::Hvc,
        _ => Conduit::Smc,
    };
    make(conduit, id, arguments, numbers.field).map(|_| ())
}

/// Makes a call. What it changes must be no address of the monitor's.
fn make(conduit: Conduit, id: u32, arguments: [u64; 17], field: &Field) -> Outcome<i64> {
    let results = call::all(conduit, id, arguments);
    let (start, end) = field.monitor;
    let id64 = id.into();
    let given = core::iter::once(&id64).chain(&arguments);
    for (n, (seen, given)) in results.iter().zip(given).enumerate() {
        ensure!(
            seen == given || !(start..end).contains(seen),
            "{conduit:?} {id:#x}: expected no address of the monitor in x{n}, seen {seen:#x}"
        );
    }
    let code = results[0] as i64;
    REFUSED.fetch_add(u64::from(code < 0 || results[0] >> 31 == 1), Relaxed);
    Ok(code)
}

/// CPU_ON: with an entry that is refused whoever it is for, or in earnest.
fn cpu_on(numbers: &Numbers) -> Outcome {
    let target = numbers.cpu();
    if numbers.below(2) == 0 {
        target.turn_on();
        return Ok(());
    }
    let id = numbers
        .of(&[PSCI_CPU_ON_32, PSCI_CPU_ON_64])
        .unwrap_or(PSCI_CPU_ON_64);
    let bad = match numbers.below(3) {
        0 => numbers.in_monitor(),
        1 => numbers.field.image + 1 + numbers.below(3),
        _ => numbers
            .of(&[0, 1 << 47, u64::MAX - 3, u64::MAX])
            .unwrap_or(0),
    };
    // The 32-bit call has 32 bits of it.
    let entry = if id == PSCI_CPU_ON_32 {
        bad as u32 as u64
    } else {
        bad
    };
    let in_ram = |address: u64| {
        (numbers.field.ram..numbers.field.monitor.0).contains(&address) && address.is_multiple_of(4)
    };
    if in_ram(entry) {
        return Ok(());
    }
    let mut arguments = [0; 17];
    arguments[..3].copy_from_slice(&[target.mpidr(), bad, numbers.argument()]);
    let seen = make(call::psci_conduit(), id, arguments, numbers.field)? as i32;
    ensure!(
        seen == code::INVALID_ADDRESS as i32,
        "CPU_ON at {entry:#x}: expected INVALID_ADDRESS, seen {seen}"
    );
    Ok(())
}

/// CPU_SUSPEND with any power_state; a timer wakes the CPU where it is taken at its word.
fn suspend(numbers: &Numbers) -> Outcome {
    gic::start_timer(1);
    let id = numbers
        .of(&[PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64])
        .unwrap_or(PSCI_CPU_SUSPEND_64);
    let state = match numbers.below(4) {
        0 => states::STANDBY,
        1 => states::POWER_DOWN,
        2 => 1 << numbers.below(32),
        _ => numbers.argument(),
    };
    let mut arguments = [0; 17];
    // An entry that is refused: a CPU that does lose power would never come back.
    arguments[..3].copy_from_slice(&[state, numbers.in_monitor(), numbers.argument()]);
    if state & states::POWER_DOWN != 0 || numbers.below(8) == 0 {
        make(call::psci_conduit(), id, arguments, numbers.field)?;
    }
    gic::stop_timer();
    while gic::take().is_some() {}
    Ok(())
}

/// CPU_OFF: another CPU, or the boot CPU when it is done, turns this one on again.
fn off(this: &'static Cpu, numbers: &Numbers) -> Outcome {
    if ptr::eq(this, numbers.field.cpus.boot) {
        return Ok(());
    }
    let seen = call::psci(PSCI_CPU_OFF, [0; 3]);
    fail!("CPU_OFF: expected not to return, seen {seen}")
}

/// REPORT to where it may, and may not, be written.
fn report(this: &Cpu, numbers: &Numbers) -> Outcome {
    let mut arguments = [0; 17];
    // The arena's room, so that what is written in earnest hurts nobody.
    let buffer = match numbers.below(2) {
        0 => numbers.in_monitor() - numbers.below(2) * 8,
        _ => numbers
            .of(&[
                0,
                numbers.field.monitor.0 - 8,
                1 << 47,
                u64::MAX - 7,
                page(numbers.field, this, 0) + 4,
            ])
            .unwrap_or(0),
    };
    let size = numbers
        .of(&[0, 8, 1 << 20, u64::MAX, u64::MAX - 7])
        .unwrap_or(0);
    arguments[..2].copy_from_slice(&[buffer, size]);
    let seen = make(Conduit::Hvc, abi::REPORT, arguments, numbers.field)?;
    ensure!(
        size < 1 << 20 || seen < 0,
        "REPORT to {size:#x} bytes at {buffer:#x}: expected an error, seen {seen}"
    );
    Ok(())
}
