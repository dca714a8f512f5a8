// SPDX-License-Identifier: Apache-2.0
//! Debian's kernel panics when few expect it: between the two calls of its kexec, while that takes the machine, in a
//! panic, and with CPUs that have no power.
//!
//! A kernel that kexecs has a lock that its way to the crash kernel wants too: a panic of its own has it reset the
//! machine. A debugger takes CPUs that way all the same.

use crate::crash::{CARRIED, CRASH, SMP, boot_debugged, expect_carried, expect_notes, pc_of_note};
use crate::el3;
use baton_qemu::hang::STEXT;
use baton_qemu::{End, kexec, linux};
use baton_tests::debugger::{Debugger, Monitor};
use baton_tests::{Boot, Kernel, Scratch, machine};

const SECONDS: u64 = 600;
/// The CPU that kexecs, or panics by itself.
const FIRST: u32 = 0;
/// One that a debugger has leave for the crash kernel.
const OTHER: u32 = 1;
/// The guest kexecs with a crash kernel loaded, and does not hash the next one: it is soon where it leaves.
const KEXECS: &str = "baton.panic=kexec baton.checks=off";
/// Where the monitor has begun a takeover, and no CPU is stopped yet.
const TAKE_OVER: &str = "baton::takeover::platform::take_over";
/// Where it looks whether an HVC is a call that is patched.
const HIT: &str = "baton::kexec_hooks::hit";
/// Where a CPU says that it has come: the first one to do so has taken the kernel's memory away.
const ARRIVE: &str = "<baton_core::smp::barrier::Barrier>::arrive";
/// Where a CPU comes to a takeover that has begun.
const JOIN: &str = "baton_core::smp::phases::join::<baton::machine::Machine>";
/// A list of pages that goes on where no memory is: an address, and that flag.
const NOWHERE: u64 = 0xdead_0000_0000 | 2;

/// What a debugger knows of the machine.
struct Machine<'a> {
    debugger: &'a mut Debugger,
    kernel: Kernel,
    monitor: Monitor,
}

impl Machine<'_> {
    /// Lets all run but `held`, until `cpu` comes to `place`.
    #[track_caller]
    fn run_to(&mut self, place: u64, cpu: u32, held: &[u32]) {
        self.debugger.break_at(place);
        self.debugger.go_on_without(SMP, held);
        let seen = self.debugger.wait();
        assert_eq!(seen, Some(cpu), "the CPU that comes to {place:#x}");
        self.debugger.do_not_break_at(place);
    }

    /// Lets it run to its end.
    fn go_on(&mut self) {
        self.debugger.go_on_without(SMP, &[]);
    }
}

/// Runs a guest that panics, or does what `append` says, on a machine with the monitor's command line `baton`; `act` is
/// called when the crash kernel is loaded, and lets the machine go on.
#[track_caller]
fn run(name: &str, append: &str, act: impl FnOnce(&mut Machine)) -> Boot {
    let scratch = Scratch::new(name);
    boot_debugged(
        machine(SMP),
        append,
        &scratch,
        SECONDS,
        |debugger, waiting, lines| {
            let monitor = lines.iter().find_map(|line| Monitor::at(line));
            act(&mut Machine {
                debugger,
                kernel: Kernel::at(waiting.stext),
                monitor: monitor.expect("a line of the monitor's"),
            });
        },
    )
}

/// The same, with the guest's CPU that kexecs at its second patched call; it has passed the first one.
#[track_caller]
fn run_kexec(name: &str, act: impl FnOnce(&mut Machine)) -> Boot {
    run(name, KEXECS, |machine| {
        machine.run_to(machine.kernel.leaves(), FIRST, &[]);
        act(machine);
    })
}

/// The kernel must have reset the machine by itself, by `panic=-1`.
#[track_caller]
fn expect_reset(boot: &Boot) {
    boot.expect("Kernel panic - not syncing: sysrq triggered crash");
    boot.expect_no(CARRIED);
    boot.expect_no("guest: generation 1");
    boot.expect_no("baton: error: ");
    if !matches!(boot.end, End::Reset) {
        boot.fail(format_args!("expected a reset, seen: {}", boot.end));
    }
}

#[test]
fn a_panic_between_the_calls_of_a_kexec_is_the_kernels_own_reset() {
    let boot = run_kexec("panic-between", |machine| {
        machine.kernel.panic(machine.debugger, FIRST);
        machine.go_on();
    });
    boot.expect(kexec::STARTING);
    expect_reset(&boot);
}

#[test]
fn a_crash_between_the_calls_of_a_kexec_is_carried() {
    let mut place = 0;
    let boot = run_kexec("crash-between", |machine| {
        place = machine.kernel.leaves();
        machine.kernel.crash(machine.debugger, OTHER);
        machine.run_to(machine.monitor.function(TAKE_OVER), OTHER, &[FIRST]);
        machine.go_on();
    });
    expect_crash(&boot);
    boot.expect(&format!("guest: vmcore: note {FIRST}: pc {place:016x}, "));
}

/// Its CPU asks again and again until it is taken itself.
#[test]
fn a_crash_while_a_kexec_takes_the_machine_comes_too_late() {
    let boot = run_kexec("crash-late", |machine| {
        crash_during_takeover(machine);
        machine.go_on();
    });
    boot.expect_ok(linux::check(&boot, 1, SMP));
    boot.expect_no(CARRIED);
    boot.expect("baton: reboot 1 by kernel_kexec(): 4 of 4 CPUs taken, 0 missing, 0 steps failed");
}

#[test]
fn a_crash_is_carried_when_the_kexec_that_it_has_met_is_refused() {
    let boot = run_kexec("crash-refused", |machine| {
        // The list of its pages begins where no memory is.
        let kimage = machine.debugger.register(FIRST, 0);
        machine.debugger.set_word(FIRST, kimage, NOWHERE);
        crash_during_takeover(machine);
        machine.go_on();
    });
    boot.expect(&format!("baton: warning: cpu {FIRST}: kexec refused: "));
    expect_crash(&boot);
}

/// A CPU is in the monitor already when the memory of its kernel is taken away, by whose tables its call is known.
#[test]
fn a_crash_whose_call_is_looked_up_too_late_is_made_again() {
    let boot = run_kexec("crash-again", |machine| {
        let kimage = machine.debugger.register(FIRST, 0);
        machine.debugger.set_word(FIRST, kimage, NOWHERE);
        machine.run_to(machine.monitor.function(TAKE_OVER), FIRST, &[]);
        machine.kernel.crash(machine.debugger, OTHER);
        machine.run_to(machine.monitor.function(HIT), OTHER, &[FIRST]);
        let all_but = |one| (0..SMP).filter(|cpu| *cpu != one).collect::<Vec<_>>();
        machine.run_to(machine.monitor.function(ARRIVE), FIRST, &all_but(FIRST));
        machine.run_to(machine.monitor.function(JOIN), OTHER, &all_but(OTHER));
        machine.go_on();
    });
    boot.expect(&format!("baton: warning: cpu {FIRST}: kexec refused: "));
    boot.expect_no("Internal error: Oops");
    expect_crash(&boot);
}

/// The CPU is in the monitor, on its way to its crash kernel, for as long as the kexec takes.
#[test]
fn a_crash_that_comes_after_all_others_have_gathered_is_left_behind() {
    let boot = run_kexec("crash-behind", |machine| {
        machine.kernel.crash(machine.debugger, OTHER);
        machine.run_to(machine.monitor.function(HIT), OTHER, &[FIRST]);
        let copy = machine
            .monitor
            .function("baton::takeover::steps::copy_share");
        machine.debugger.break_at(copy);
        machine.debugger.go_on_without(SMP, &[OTHER]);
        let copies = machine.debugger.wait();
        assert!(copies.is_some_and(|cpu| cpu != OTHER), "a CPU that copies");
        machine.debugger.do_not_break_at(copy);
        machine.go_on();
    });
    boot.expect_ok(linux::check(&boot, 1, SMP));
    boot.expect_no(CARRIED);
    boot.expect(&format!(
        "baton: warning: cpu {OTHER}: arrived late; it is OFF"
    ));
    boot.expect("baton: reboot 1 by kernel_kexec(): 3 of 4 CPUs taken, 1 missing, 0 steps failed");
}

/// One has its crash carried, and the other is one of those that are taken.
#[test]
fn two_cpus_crash_at_once() {
    let others = [OTHER, OTHER + 1];
    let mut places = [0; 2];
    let boot = run("crash-twice", KEXECS, |machine| {
        for cpu in others {
            machine.kernel.crash(machine.debugger, cpu);
        }
        // Where an HVC there has its CPU go on, and where one asks again.
        let leaves = machine.kernel.leaves_crashed();
        places = [leaves + 4, leaves];
        // Both are in the monitor before one of them is the first.
        let hit = machine.monitor.function(HIT);
        machine.debugger.break_at(hit);
        let mut held = Vec::new();
        for _ in others {
            machine.debugger.go_on_without(SMP, &held);
            held.extend(machine.debugger.wait());
        }
        assert!(
            others.iter().all(|cpu| held.contains(cpu)),
            "both at {hit:#x}, seen {held:?}"
        );
        machine.debugger.do_not_break_at(hit);
        machine.go_on();
    });
    expect_crash(&boot);
    let seen = |cpu, place| boot.find(&format!("guest: vmcore: note {cpu}: pc {place:016x}, "));
    let [first, again] = places;
    let is_first = |cpu, other| seen(cpu, first).is_some() && seen(other, again).is_some();
    let [one, two] = others;
    if !is_first(one, two) && !is_first(two, one) {
        boot.fail(format_args!(
            "expected notes {one} and {two} at {first:#x} and {again:#x}, in any order"
        ));
    }
}

/// The kernel panics again before it leaves: it is on its way there a second time.
#[test]
fn a_panic_in_a_panic_is_carried() {
    let boot = run("panic-nested", "", |machine| {
        machine.run_to(machine.kernel.function("__crash_kexec"), FIRST, &[]);
        machine.kernel.panic(machine.debugger, FIRST);
        machine.go_on();
    });
    boot.expect_lines(2, "Kernel panic - not syncing: sysrq triggered crash");
    expect_crash(&boot);
}

/// Between the two calls after a panic the kernel has its lock.
#[test]
fn a_panic_between_the_calls_of_a_panic_is_the_kernels_own_reset() {
    let boot = run("panic-again", "", |machine| {
        machine.run_to(machine.kernel.leaves_crashed(), FIRST, &[]);
        machine.kernel.panic(machine.debugger, FIRST);
        machine.go_on();
    });
    expect_reset(&boot);
}

/// CPUs lie in an idle state in which they have no power: the kick wakes them, and the dump has what they called
/// firmware with.
#[test]
fn cpus_without_power_are_in_the_dump() {
    let boot = el3::boot_with_idle_state(&machine(SMP), &CRASH.guest("baton.panic=idle"), SECONDS);
    expect_crash(&boot);
    let place = Kernel::at(STEXT).behind_smc() % STEXT;
    // One that has just been awake may wait with power.
    let seen: Vec<u64> = (1..SMP).map(|cpu| pc_of_note(&boot, cpu)).collect();
    if !seen.contains(&place) {
        boot.fail(format_args!(
            "expected a CPU in its call of firmware, at {place:#x} but for multiples of {STEXT:#x}, seen {seen:#x?}"
        ));
    }
}

/// Has a CPU leave for the crash kernel while another one's takeover is under way, and has not stopped it yet.
fn crash_during_takeover(machine: &mut Machine) {
    machine.run_to(machine.monitor.function(TAKE_OVER), FIRST, &[]);
    machine.kernel.crash(machine.debugger, OTHER);
    let leaves = machine.kernel.leaves_crashed();
    machine.debugger.step(OTHER);
    // The monitor has it ask again.
    machine.run_to(leaves, OTHER, &[FIRST]);
}

/// The panic must have been carried, with the registers of all CPUs.
#[track_caller]
fn expect_crash(boot: &Boot) {
    boot.expect_ok(linux::check(boot, 2, SMP));
    expect_carried(boot, 1);
    expect_notes(boot, 4, 0, 0);
}
