// SPDX-License-Identifier: Apache-2.0
//! What CPUs, firmware and the monitor itself can be doing when the machine is rebooted, at 80 vCPUs:
//! a test for each, with what the report must say, and the next kernel must run.

use crate::probe;
use baton_qemu::{Disk, End, Machine, Task, linux, paths};
use baton_tests::debugger::{CPSR, Debugger, Monitor, PC, Stub};
use baton_tests::{Boot, Scratch, boot, boot_observed, machine};
use std::thread;
use std::time::Duration;

const SMP: u32 = 80;
const SECONDS: u64 = 300;

/// Function ids of PSCI (DEN0022).
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
const CPU_ON: u64 = 0xc400_0003;
/// [`abi::KEXEC`](baton_abi::KEXEC)
const KEXEC: u64 = baton_abi::KEXEC as u64;
const DENIED: u64 = -3_i64 as u64;

/// The generation after the fault must have found its memory and all CPUs, but for `missing` of them.
#[track_caller]
fn expect_next_kernel(boot: &Boot, missing: usize) {
    boot.expect_no("baton: error: ");
    boot.expect_no("probe: FAIL");
    boot.expect("probe: memory content came over");
    boot.expect(&format!("CPUs taken, {missing} missing"));
    boot.expect("probe: PASS");
    boot.expect_end();
}

/// CPUs in `state` when the machine is taken; all of them must arrive.
#[track_caller]
fn all_arrive(state: &str) -> Boot {
    let boot = boot(
        &machine(SMP),
        &probe::guest(&format!("test=kexec state={state}")),
        SECONDS,
    );
    boot.expect(&format!("probe: state {state}: "));
    expect_next_kernel(&boot, 0);
    boot.expect_no("did not arrive");
    boot
}

#[test]
fn spinning_with_interrupts_masked() {
    all_arrive("masked-loop");
}

#[test]
fn in_wfi_with_the_cpu_interface_off() {
    all_arrive("interface-off");
}

#[test]
fn in_wfi_with_every_priority_masked() {
    all_arrive("priority-mask");
}

#[test]
fn in_wfi_with_its_sgis_off() {
    all_arrive("sgis-off");
}

/// The monitor was not told that the interface was shut: it names the CPUs.
#[test]
fn in_wfi_with_the_cpu_interface_shut_later() {
    let up = started(SMP).count() - 1;
    let append = format!("test=kexec state=interface-off-later missing={up}");
    let boot = boot(&machine(SMP), &probe::guest(&append), SECONDS);
    expect_next_kernel(&boot, up);
    for cpu in started(SMP).skip(1) {
        boot.expect(&format!(
            "baton: warning: cpu {cpu} (MPIDR {:#x}) did not arrive within 1000 ms: left behind, without memory",
            mpidr(cpu)
        ));
    }
}

#[test]
fn in_wfe() {
    all_arrive("wfe");
}

#[test]
fn off() {
    all_arrive("off");
}

#[test]
fn in_standby() {
    all_arrive("standby");
}

#[test]
fn in_standby_with_the_cpu_interface_off() {
    all_arrive("masked-standby");
}

#[test]
fn suspended() {
    all_arrive("power-down");
}

#[test]
fn suspended_with_the_cpu_interface_off() {
    all_arrive("masked-power-down");
}

#[test]
fn half_way_through_cpu_on() {
    all_arrive("cpu-on");
}

#[test]
fn single_stepping() {
    all_arrive("single-step");
}

#[test]
fn taking_faults_in_a_loop() {
    let boot = all_arrive("fault-loop");
    boot.expect("is in the monitor's memory");
}

#[test]
fn taking_faults_at_its_own_vectors() {
    all_arrive("vector-loop");
}

#[test]
fn with_a_corrupt_stack() {
    all_arrive("corrupt-stack");
}

/// The probe finds no store that is later than the end of the generation.
#[test]
fn writing_memory_as_fast_as_it_can() {
    let boot = all_arrive("witness");
    boot.expect("probe: witness: ");
    all_arrive("store");
}

/// Two CPUs ask at once: one wins, the other is taken, or told that it is late.
#[test]
fn asked_for_twice() {
    let boot = boot(
        &machine(SMP),
        &probe::guest("test=kexec caller=two generations=2"),
        SECONDS,
    );
    expect_next_kernel(&boot, 0);
}

#[test]
fn hooks_at_the_wrong_place() {
    let boot = boot(&machine(SMP), &probe::guest("test=hooks"), SECONDS);
    boot.expect("probe: both hooks are undefined here");
    expect_next_kernel(&boot, 0);
}

/// Those that are patched in Linux, made by a process of it, which gets SIGILL, and by the next kernel
/// before the monitor has looked at that.
#[test]
fn hooks_from_user_space_and_from_the_next_kernel() {
    let mut machine = machine(SMP);
    machine.disks = vec![Disk {
        file: paths::probe_image(),
        serial: linux::KERNELS,
        writable: false,
    }];
    let boot = boot(&machine, &Task::Audit.guest("baton.probe=hooks"), 600);
    boot.expect("baton: hooks: kernel at ");
    boot.expect("guest: HVC in user space: status 132");
    boot.expect("baton: reboot 1 by kernel_kexec(): 80 of 80 CPUs taken");
    boot.expect("probe: both hooks are undefined here");
    boot.expect("probe: PASS");
    boot.expect_no("baton: error: ");
    boot.expect_end();
}

/// The CPUs that the probe's first generation turns on.
fn started(smp: u32) -> impl Iterator<Item = u32> {
    (0..smp).filter(|cpu| cpu % 8 != 7)
}

/// QEMU's affinity groups have 16 CPUs.
fn mpidr(cpu: u32) -> u32 {
    ((cpu / 16) << 8) | (cpu % 16)
}

/// A machine with a debugger, and what it sees of the console.
struct Debugged {
    machine: Machine,
    stub: Stub,
    _scratch: Scratch,
}

impl Debugged {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let mut machine = machine(SMP);
        let stub = Stub::add(&mut machine, &scratch);
        Self {
            machine,
            stub,
            _scratch: scratch,
        }
    }

    /// Runs the probe; `act` is shown each line, and the monitor once it has said where it is.
    #[track_caller]
    fn run(&self, append: &str, mut act: impl FnMut(&Stub, &Monitor, &str)) -> Boot {
        let mut monitor = None;
        boot_observed(&self.machine, &probe::guest(append), SECONDS, |line| {
            monitor = monitor.take().or_else(|| Monitor::at(line));
            if let Some(monitor) = &monitor {
                act(&self.stub, monitor, line);
            }
        })
    }
}

/// Held by a debugger when the machine is rebooted: named, left behind, and harmless. The next kernel's
/// CPU_ON says ALREADY_ON, until it is let go: then it is OFF, and can be turned on.
#[test]
fn held_by_a_debugger() {
    const CPU: u32 = 5;
    let debugged = Debugged::new("held");
    let mut held = None;
    let append = format!("test=kexec state=witness held={CPU} missing=1");
    let boot = debugged.run(&append, |stub, _, line| {
        if line.contains("waiting for a debugger to hold CPU") {
            let mut debugger = stub.connect();
            debugger.go_on_without(SMP, &[CPU]);
            held = Some(debugger);
        }
    });
    boot.expect("baton: warning: cpu 5 (MPIDR 0x5) did not arrive within 1000 ms: left behind");
    expect_next_kernel(&boot, 1);
    boot.expect("probe: 79 of 80 CPUs are up");
}

#[test]
fn held_by_a_debugger_and_let_go() {
    const CPU: u32 = 5;
    let debugged = Debugged::new("let-go");
    let mut held = None;
    let append = format!("test=kexec state=witness held={CPU} missing=1 late=yes");
    let boot = debugged.run(&append, |stub, _, line| {
        if line.contains("waiting for a debugger to hold CPU") {
            let mut debugger = stub.connect();
            debugger.go_on_without(SMP, &[CPU]);
            held = Some(debugger);
        }
        if let (true, Some(debugger)) = (line.contains("waiting for the lost CPUs"), &mut held) {
            debugger.stop();
            debugger.go_on_without(SMP, &[]);
        }
    });
    boot.expect("baton: warning: cpu 5 (MPIDR 0x5) did not arrive within 1000 ms: left behind");
    boot.expect("baton: warning: cpu 5: arrived late; it is OFF");
    expect_next_kernel(&boot, 1);
    boot.expect("probe: 80 of 80 CPUs are up");
}

/// Lets the machine run until a CPU calls firmware with what `wanted` says of x0 and x1, and returns
/// that CPU, which has not made the call yet; all CPUs are stopped.
fn await_firmware_call(
    debugger: &mut Debugger,
    monitor: &Monitor,
    held: &[u32],
    wanted: impl Fn(u64, u64) -> bool,
) -> u32 {
    let calls = monitor.firmware_calls();
    calls.iter().for_each(|&call| debugger.break_at(call));
    let cpu = loop {
        debugger.go_on_without(SMP, held);
        let Some(cpu) = debugger.wait() else {
            panic!("expected a call of firmware, seen the machine's end")
        };
        if wanted(debugger.register(cpu, 0), debugger.register(cpu, 1)) {
            break cpu;
        }
        debugger.step(cpu);
    };
    calls
        .iter()
        .for_each(|&call| debugger.do_not_break_at(call));
    cpu
}

/// Firmware returns `value` instead of doing what it was called for.
fn answer_for_firmware(debugger: &mut Debugger, cpu: u32, value: u64) {
    let pc = debugger.register(cpu, PC);
    debugger.set_register(cpu, 0, value);
    debugger.set_register(cpu, PC, pc + 4);
}

#[test]
fn firmware_refuses_cpu_on() {
    let debugged = Debugged::new("refused");
    let mut debugger = None;
    let boot = debugged.run("test=refused-on", |stub, monitor, line| {
        if line.contains("CPUs, monitor at") {
            let mut stub = stub.connect();
            let cpu = await_firmware_call(&mut stub, monitor, &[], |id, _| id == CPU_ON);
            answer_for_firmware(&mut stub, cpu, DENIED);
            stub.go_on_without(SMP, &[]);
            debugger = Some(stub);
        }
    });
    boot.expect("baton: warning: firmware refuses CPU_ON of CPU 1: ");
    boot.expect("probe: CPU_ON was refused; trying again");
    expect_next_kernel(&boot, 0);
}

/// The CPU that called for it, and the one that it called for, are left behind; both come later, in
/// the next generation.
#[test]
fn firmware_answers_cpu_on_late() {
    let debugged = Debugged::new("late");
    let mut held = None;
    let boot = debugged.run("test=late-on missing=2 late=yes", |stub, monitor, line| {
        if line.contains("CPUs, monitor at") {
            let mut debugger = stub.connect();
            let of_cpu_2 = |id, mpidr| id == CPU_ON && mpidr == 2;
            let cpu = await_firmware_call(&mut debugger, monitor, &[], of_cpu_2);
            debugger.go_on_without(SMP, &[cpu]);
            held = Some(debugger);
        }
        if let (true, Some(debugger)) = (line.contains("waiting for the lost CPUs"), &mut held) {
            debugger.stop();
            debugger.go_on_without(SMP, &[]);
        }
    });
    boot.expect("baton: warning: a CPU_ON did not end within ");
    for cpu in [1, 2] {
        boot.expect(&format!(
            "baton: warning: cpu {cpu} (MPIDR {cpu:#x}) did not arrive"
        ));
        boot.expect(&format!(
            "baton: warning: cpu {cpu}: arrived late; it is OFF"
        ));
    }
    expect_next_kernel(&boot, 2);
    boot.expect("probe: 80 of 80 CPUs are up");
}

/// As above, and the answer is a refusal: the CPU that it called for never comes, and nothing of the
/// monitor's waits for it.
#[test]
fn firmware_refuses_cpu_on_late() {
    let mut debugged = Debugged::new("late-refusal");
    "log=debug".clone_into(&mut debugged.machine.baton);
    let mut held = None;
    let append = "test=late-on missing=2 late=yes generations=2";
    let boot = debugged.run(append, |stub, monitor, line| {
        if line.contains("CPUs, monitor at") && held.is_none() {
            let mut debugger = stub.connect();
            let of_cpu_2 = |id, mpidr| id == CPU_ON && mpidr == 2;
            let cpu = await_firmware_call(&mut debugger, monitor, &[], of_cpu_2);
            debugger.go_on_without(SMP, &[cpu]);
            held = Some((debugger, cpu));
        }
        if let (true, Some((debugger, cpu))) =
            (line.contains("waiting for the lost CPUs"), &mut held)
        {
            debugger.stop();
            // Once: a later generation has nobody to wait for.
            if debugger.register(*cpu, 0) == CPU_ON {
                answer_for_firmware(debugger, *cpu, DENIED);
            }
            debugger.go_on_without(SMP, &[]);
        }
    });
    boot.expect("baton: warning: a CPU_ON did not end within ");
    boot.expect("baton: warning: firmware refuses CPU_ON of CPU 2: ");
    boot.expect("baton: warning: cpu 1: arrived late; it is OFF");
    boot.expect("probe: 80 of 80 CPUs are up");
    boot.expect_no("cpu 2: arrived late");
    for (generation, free) in [(1, 15), (2, 16)] {
        let line = boot.expect(&format!("baton: debug: generation {generation}: "));
        let roots = format!(", {free} of 16 stage 2 roots free");
        if !line.ends_with(&roots) {
            boot.fail(format_args!("expected \"{roots}\", seen \"{line}\""));
        }
    }
    expect_next_kernel(&boot, 2);
}

#[test]
fn firmware_returns_from_system_reset() {
    let debugged = Debugged::new("reset");
    let mut debugger = None;
    let boot = debugged.run("test=no-reset", |stub, monitor, line| {
        if line.contains("CPUs, monitor at") {
            let mut stub = stub.connect();
            let cpu = await_firmware_call(&mut stub, monitor, &[], |id, _| id == SYSTEM_RESET);
            answer_for_firmware(&mut stub, cpu, 0);
            stub.go_on_without(SMP, &[]);
            debugger = Some(stub);
        }
    });
    expect_next_kernel(&boot, 0);
}

/// Two CPUs ask, and one of them is held inside the monitor, where it has not been refused yet, until
/// the other one's takeover copies.
#[test]
fn asked_for_during_the_copy() {
    let debugged = Debugged::new("copy");
    let mut debugger = None;
    let append = "test=kexec caller=two missing=1 late=yes";
    let boot = debugged.run(append, |stub, monitor, line| {
        if !line.contains("CPUs are in their states") && !line.contains("CPUs, monitor at") {
            return;
        }
        if debugger.is_none() {
            let mut stub = stub.connect();
            let loser = await_kexec_call(&mut stub, monitor);
            let copy = monitor.function("baton::takeover::copy::share");
            stub.break_at(copy);
            stub.go_on_without(SMP, &[loser]);
            stub.wait();
            stub.do_not_break_at(copy);
            stub.go_on_without(SMP, &[]);
            debugger = Some(stub);
        }
    });
    boot.expect("KEXEC refused: another CPU is rebooting the machine");
    boot.expect(": arrived late; it is OFF");
    expect_next_kernel(&boot, 1);
    boot.expect("probe: 80 of 80 CPUs are up");
}

/// Lets the machine run until a CPU is inside the monitor with a KEXEC call, and returns it.
fn await_kexec_call(debugger: &mut Debugger, monitor: &Monitor) -> u32 {
    let dispatch = monitor.function("baton::exit::smccc::dispatch");
    debugger.break_at(dispatch);
    let cpu = loop {
        debugger.go_on_without(SMP, &[]);
        let Some(cpu) = debugger.wait() else {
            panic!("expected a KEXEC call, seen the machine's end")
        };
        // The second argument is the frame, which begins with x0.
        let frame = debugger.register(cpu, 1);
        if debugger.word(cpu, frame) == KEXEC {
            break cpu;
        }
        debugger.step(cpu);
    };
    debugger.do_not_break_at(dispatch);
    cpu
}

/// Sends a CPU that has come into the monitor to where no code is, and returns it.
fn derail(debugger: &mut Debugger, monitor: &Monitor, held: &[u32]) -> u32 {
    let exit = monitor.function("exit_from_guest");
    debugger.break_at(exit);
    debugger.go_on_without(SMP, held);
    let Some(cpu) = debugger.wait() else {
        panic!("expected a CPU in the monitor, seen the machine's end")
    };
    debugger.do_not_break_at(exit);
    debugger.set_register(cpu, PC, 0x10);
    cpu
}

/// CPUs that come into the monitor all the time, and a boot CPU that waits.
const BUSY: &str = "test=kexec state=fault-loop held=1";
const BUSY_NOW: &str = "waiting for a debugger to hold CPU";

#[test]
fn a_panic_resets_the_machine() {
    let debugged = Debugged::new("panic");
    let mut derailed = None;
    let boot = debugged.run(BUSY, |stub, monitor, line| {
        if line.contains(BUSY_NOW) {
            let mut debugger = stub.connect();
            let cpu = derail(&mut debugger, monitor, &[]);
            debugger.go_on_without(SMP, &[]);
            derailed = Some((debugger, cpu));
        }
    });
    let Some((_, cpu)) = derailed else {
        boot.fail("expected CPUs that fault, seen none")
    };
    boot.expect_error(&[
        &format!("cpu {cpu}: panicked at src/exit/mod.rs:"),
        "exception in the monitor: vector 4",
        "ELR_EL2 0x10; resetting the machine",
    ]);
    if !matches!(boot.end, End::Reset) {
        boot.fail(format_args!("expected a reset, seen: {}", boot.end));
    }
}

/// Where firmware neither resets nor switches off, no CPU goes on without a monitor: those that spin
/// do not come into it by themselves. The boot CPU panics, as it asks for the reboot.
#[test]
fn a_panic_stops_all_cpus_where_firmware_does_not() {
    const HELD: u32 = 1;
    const SPINNING: &str = "test=kexec state=masked-loop held=1";
    let debugged = Debugged::new("panic-stops");
    let mut running = None;
    let boot = debugged.run(SPINNING, |stub, monitor, line| {
        if !line.contains(BUSY_NOW) {
            return;
        }
        let mut debugger = stub.connect();
        derail(&mut debugger, monitor, &[HELD]);
        for function in [SYSTEM_RESET, SYSTEM_OFF] {
            let cpu = await_firmware_call(&mut debugger, monitor, &[HELD], |id, _| id == function);
            answer_for_firmware(&mut debugger, cpu, DENIED);
        }
        debugger.go_on_without(SMP, &[]);
        thread::sleep(Duration::from_secs(2));
        debugger.stop();
        let in_guest = |cpu: &u32| debugger.register(*cpu, CPSR) >> 2 & 3 != 2;
        running = Some(started(SMP).filter(in_guest).collect::<Vec<_>>());
        debugger.end();
    });
    boot.expect("exception in the monitor: vector 4");
    boot.expect("SYSTEM_RESET: ");
    if running.as_ref().is_none_or(|cpus| !cpus.is_empty()) {
        boot.fail(format_args!(
            "expected all CPUs in the monitor, seen {running:?} in the guest"
        ));
    }
}
