// SPDX-License-Identifier: Apache-2.0
//! Firmware at EL3 whose CPUs lose all they have in a power-down (`tests/firmware`): they come back
//! through the monitor.

use crate::enable_method::set_cpu;
use crate::{linux, probe};
use baton_qemu::report::Exits;
use baton_qemu::{Guest, Machine};
use baton_tests::{Blob, Boot, boot_changed, machine};
use dtoolkit::Node;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

const SMP: u32 = 4;

/// Where the firmware looks for options.
const OPTIONS: u64 = 0x4010_0000;
/// `SCR_EL3.FIQ`, with which a CPU shows its guest other priorities of interrupts than without.
const FIQ_TO_EL3: u32 = 1 << 0;
/// CPUs 2 and 3 wait in spin tables, of which PSCI knows nothing; that of CPU 0 would be here.
const IN_SPIN_TABLES: u32 = 1 << 1;
/// There is SMCCC_ARCH_FEATURE_AVAILABILITY.
pub const TELLS_FEATURES: u32 = 1 << 2;
/// PSCI is that of 0.2.
const PSCI_0_2: u32 = 1 << 3;
/// CPU_SUSPEND has the OS-initiated mode.
const OS_INITIATED: u32 = 1 << 4;
const SPIN_TABLES: u64 = 0x4010_1000;

/// Boots `guest` above the firmware with these options, its device tree changed by `change`.
#[track_caller]
fn boot(
    machine: &Machine,
    guest: &Guest,
    options: u32,
    seconds: u64,
    change: impl FnOnce(&mut DeviceTree),
) -> Boot {
    boot_with_traps(machine, guest, options, [0; 3], seconds, change)
}

/// The same, above firmware whose `SCR_EL3`, `CPTR_EL3` and `MDCR_EL3` have the bits of `traps` other than
/// where nothing traps.
#[track_caller]
pub fn boot_with_traps(
    machine: &Machine,
    guest: &Guest,
    options: u32,
    traps: [u64; 3],
    seconds: u64,
    change: impl FnOnce(&mut DeviceTree),
) -> Boot {
    let machine = Machine {
        el3: true,
        ..machine.clone()
    };
    let words = [options.into()].into_iter().chain(traps);
    let options = Blob {
        at: OPTIONS,
        bytes: words.flat_map(u64::to_le_bytes).collect(),
    };
    boot_changed(&machine, guest, vec![options], seconds, |tree| {
        add_psci(tree);
        change(tree);
    })
}

/// The same with an idle state in which CPUs have no power.
#[track_caller]
pub fn boot_with_idle_state(machine: &Machine, guest: &Guest, seconds: u64) -> Boot {
    boot(machine, guest, 0, seconds, add_idle_state)
}

#[track_caller]
fn probe(append: &str, options: u32) -> Boot {
    probe_on(&machine(SMP), append, options)
}

#[track_caller]
fn probe_on(machine: &Machine, append: &str, options: u32) -> Boot {
    let boot = boot(machine, &probe::guest(append), options, 180, |_| ());
    boot.expect("probe: PASS");
    boot.expect_no("baton: error: ");
    boot.expect_no("baton: warning: ");
    boot.expect_end();
    boot
}

#[test]
fn psci() {
    let boot = probe("test=psci", 0);
    boot.expect_no("power-down was turned into standby");
    boot.expect("psci: power-down woken by the timer: good");
    boot.expect_no("SYSTEM_SUSPEND is not offered");
    boot.expect("psci: SYSTEM_SUSPEND: good");
    // Each of the three was called a thousand times: no exits.
    boot.expect("psci: SMCCC_ARCH_FEATURES of 0x80008000: 0");
    boot.expect("psci: workarounds: good");
    let exits = boot.expect("baton: exits so far: ");
    if Exits::parse(exits).is_none_or(|exits| exits.calls >= 1000) {
        boot.fail(format_args!(
            "expected fewer than 1000 calls, seen \"{exits}\""
        ));
    }
}

/// A CPU with all that QEMU has: vectors, matrices, keys, tags. A power-down leaves every trap of them on.
#[test]
fn newest_cpu() {
    let machine = Machine {
        cpu: "max".into(),
        ..machine(SMP)
    };
    probe_on(&machine, "test=psci", 0);
    probe_on(&machine, "test=kexec state=power-down", 0);
}

/// CPUs without power when the machine is taken: the kick wakes them.
#[track_caller]
fn wakes_for_the_takeover(state: &str) {
    for options in [0, FIQ_TO_EL3] {
        let boot = probe(&format!("test=kexec state={state}"), options);
        boot.expect(&format!("probe: state {state}: 3 CPUs"));
        boot.expect("4 of 4 CPUs taken, 0 missing");
    }
}

#[test]
fn powered_down_when_the_machine_is_taken() {
    wakes_for_the_takeover("power-down");
}

#[test]
fn powered_down_with_the_cpu_interface_off() {
    wakes_for_the_takeover("masked-power-down");
}

#[test]
fn asleep_with_every_priority_masked() {
    wakes_for_the_takeover("priority-mask");
}

/// An idle state in which CPUs have no power, and the machine suspended to RAM: an unmodified Linux uses
/// both and kexecs, and so does the next one.
#[test]
fn linux() {
    let guest = linux::KEXEC.guest("baton.suspend=on");
    let boot = boot_with_idle_state(&machine(SMP), &guest, 300);
    boot.expect_ok(baton_qemu::linux::check(&boot, 1, SMP));
    linux::expect_carried(&boot);
    boot.expect("4 of 4 CPUs taken, 0 missing");
    let idle: Vec<_> = boot.all("guest: idle: ").collect();
    let woke = boot.all("guest: suspend: woke, CPUs online: 4 of 4");
    for (what, count) in [("idle", idle.len()), ("suspend", woke.count())] {
        if count != 2 {
            boot.fail(format_args!(
                "expected {what} of both kernels, seen of {count}"
            ));
        }
    }
    for line in idle {
        let words = line.text.rsplit("idle: ").next().unwrap_or_default();
        let times = words.split(' ').map_while(|word| word.parse::<u32>().ok());
        if times.filter(|times| *times > 0).count() != SMP as usize {
            boot.fail(format_args!(
                "expected each CPU to have lain idle without power, seen \"{words}\""
            ));
        }
    }
}

/// Firmware of PSCI 0.2, which has no PSCI_FEATURES: the guest has all that such a firmware has, by the monitor's
/// PSCI_FEATURES, and is carried.
#[test]
fn firmware_of_psci_0_2() {
    let boot = probe("test=psci", PSCI_0_2);
    boot.expect("psci: features: good");
    boot.expect_no("power-down was turned into standby");
    boot.expect("psci: power-down woken by the timer: good");
    boot.expect("SYSTEM_SUSPEND is not offered");
    let boot = probe("test=kexec state=power-down", PSCI_0_2);
    boot.expect("4 of 4 CPUs taken, 0 missing");
}

/// Linux has the OS-initiated mode set with all its CPUs on. The next kernel begins with the
/// platform-coordinated mode, for which firmware wants to have all other CPUs off, and sets the other again.
#[test]
fn linux_sets_the_suspend_mode_in_each_kernel() {
    let guest = linux::KEXEC.guest("");
    let boot = boot(&machine(SMP), &guest, OS_INITIATED, 300, |tree| {
        add_idle_state(tree);
        let domain = node("power-domain", &[("#power-domain-cells", &[0; 4])]);
        tree.find_node_mut("/psci").unwrap().add_child(domain);
    });
    boot.expect_ok(baton_qemu::linux::check(&boot, 1, SMP));
    linux::expect_carried(&boot);
    boot.expect("4 of 4 CPUs taken, 0 missing");
    boot.expect_no("failed to set ");
    boot.expect_lines(
        2,
        "CPUidle PSCI: Initialized CPU PM domain topology using OSI mode",
    );
}

/// A CPU that stays off for longer than `park=` is off in firmware too, in its own kernel and in the next; CPU_ON
/// has it back at any moment.
#[test]
fn cpus_that_stay_parked_go_back_to_firmware() {
    let guest = probe::guest("test=parked generations=2");
    let boot = boot(&machine(SMP), &guest, 0, 240, |tree| {
        set_command_line(tree, "park=20");
    });
    boot.expect("probe: PASS");
    boot.expect("probe: parked: 3 CPUs went back to firmware");
    for wrong in ["baton: error: ", "baton: warning: "] {
        boot.expect_no(wrong);
    }
    boot.expect_end();
}

/// Every CPU that is off goes back at once: Linux takes CPUs off and on, and kexecs.
#[test]
fn linux_whose_cpus_go_back_to_firmware_at_once() {
    let guest = linux::KEXEC.guest("");
    let boot = boot(&machine(SMP), &guest, 0, 300, |tree| {
        set_command_line(tree, "park=1");
    });
    boot.expect_ok(baton_qemu::linux::check(&boot, 1, SMP));
    linux::expect_carried(&boot);
    boot.expect("4 of 4 CPUs taken, 0 missing, 0 steps failed");
}

/// Two CPUs come by PSCI and two from spin tables: the monitor has all of them, and the guest is offered
/// all by PSCI. Firmware would say on the console that it is asked for one of a spin table.
#[test]
fn spin_tables_beside_psci() {
    let guest = probe::guest("test=kexec generations=2");
    let boot = boot(&machine(SMP), &guest, IN_SPIN_TABLES, 180, add_spin_tables);
    boot.expect("probe: PASS");
    boot.expect("4 of 4 CPUs taken, 0 missing, 0 steps failed");
    for wrong in ["baton: error: ", "baton: warning: ", "firmware: "] {
        boot.expect_no(wrong);
    }
    boot.expect_end();
}

/// The same with Linux, which takes CPUs off and on and kexecs.
#[test]
fn linux_on_spin_tables_beside_psci() {
    let guest = linux::KEXEC.guest("");
    let boot = boot(&machine(SMP), &guest, IN_SPIN_TABLES, 300, add_spin_tables);
    boot.expect_ok(baton_qemu::linux::check(&boot, 1, SMP));
    linux::expect_carried(&boot);
    boot.expect("4 of 4 CPUs taken, 0 missing, 0 steps failed");
    boot.expect_no("firmware: ");
}

/// What firmware says of its services comes through the monitor as it is, all registers of it; a service
/// that firmware does not have is NOT_SUPPORTED by firmware's word.
#[test]
fn queries_of_firmwares_services() {
    let boot = probe("test=queries", 0);
    for expected in [
        "0x8200ff00: [2, 0, 0, 0]",
        "0x8200ff01: [2000000, 2000001, 2000002, 2000003]",
        "0x8200ff03: [2, 14, 0, 0]",
        "0x8400ff00: [e, 0, 0, 0]",
        "0x8400ff01: [4000000, 4000001, 4000002, 4000003]",
        "0x8400ff03: [4, 28, 0, 0]",
        "0xbf00ff00: [3f, 0, 0, 0]",
        "0xbf00ff01: [3f000000, 3f000001, 3f000002, 3f000003]",
        "0xbf00ff03: [3f, 276, 0, 0]",
        "0x8300ff01: [ffffffffffffffff, ",
    ] {
        boot.expect(&format!("probe: queries: {expected}"));
    }
}

/// Puts CPUs 2 and 3 into spin tables.
fn add_spin_tables(tree: &mut DeviceTree) {
    for number in 2..u64::from(SMP) {
        let word = (SPIN_TABLES + 8 * number).to_be_bytes();
        set_cpu(tree, number, "enable-method", Some(b"spin-table\0"));
        set_cpu(tree, number, "cpu-release-addr", Some(&word));
    }
}

/// Gives the monitor its command line.
pub fn set_command_line(tree: &mut DeviceTree, baton: &str) {
    let chosen = tree.find_node_mut("/chosen").expect("QEMU's /chosen");
    let line = format!("{baton}\0");
    let bootargs = DeviceTreeProperty::new("bootargs", line.as_bytes());
    chosen.add_property(bootargs.unwrap());
}

/// Runs the probe above an OP-TEE, with the monitor's command line `baton`.
#[track_caller]
fn above_optee(append: &str, baton: &str) -> Boot {
    let boot = boot(&machine(SMP), &probe::guest(append), 0, 60, |tree| {
        set_command_line(tree, baton);
    });
    boot.expect("probe: PASS");
    boot.expect_no("baton: error: ");
    boot.expect_no("firmware: ");
    boot.expect_end();
    boot
}

#[test]
fn a_trusted_os_is_told_of_the_guests_memory_alone() {
    let boot = above_optee("test=tee", "tee=forward");
    boot.expect("probe: tee: messages, lists and requests: good");
}

#[test]
fn a_trusted_os_is_not_there_by_itself() {
    above_optee("test=no-tee", "");
}

/// A buffer of firmware's that is in no other kernel's way.
const BUFFER: u64 = 0x4018_0000;
const BUFFER_SIZE: u64 = 0x1_0000;

/// Management Mode gets messages that reach nothing of the monitor's, and what firmware answers comes back as
/// it is; each of the others is one line. SDEI is not there.
#[test]
fn management_mode_is_told_of_no_memory_of_the_monitors() {
    let guest = probe::guest("test=services");
    let boot = boot(&machine(SMP), &guest, 0, 60, |tree| {
        let cells = 2_u32.to_be_bytes();
        let mut reserved = node(
            "reserved-memory",
            &[
                ("#address-cells", &cells),
                ("#size-cells", &cells),
                ("ranges", &[]),
            ],
        );
        let reg = [BUFFER, BUFFER_SIZE].map(u64::to_be_bytes).concat();
        reserved.add_child(node(&format!("mm@{BUFFER:x}"), &[("reg", &reg)]));
        tree.root.add_child(reserved);
    });
    boot.expect("probe: services: Management Mode and SDEI: good");
    boot.expect("probe: PASS");
    boot.expect_no("baton: error: ");
    boot.expect_no("firmware: ");
    boot.expect_end();
    boot.expect_lines(8, "refused: MM_COMMUNICATE: ");
}

/// Adds what firmware adds that answers PSCI.
pub fn add_psci(tree: &mut DeviceTree) {
    let psci = node(
        "psci",
        &[("compatible", b"arm,psci-1.0\0"), ("method", b"smc\0")],
    );
    tree.root.add_child(psci);
    for_each_cpu(tree, "enable-method", b"psci\0");
}

/// Adds what firmware's power-down of a CPU looks like in a device tree
/// (`Documentation/devicetree/bindings/cpu/idle-states.yaml`).
fn add_idle_state(tree: &mut DeviceTree) {
    let phandle = 0xba70_u32.to_be_bytes();
    let microseconds = 100_u32.to_be_bytes();
    let power_down = (1_u32 << 16).to_be_bytes();
    let mut states = node("idle-states", &[("entry-method", b"psci\0")]);
    states.add_child(node(
        "cpu-sleep-0",
        &[
            ("compatible", b"arm,idle-state\0"),
            ("arm,psci-suspend-param", &power_down),
            ("entry-latency-us", &microseconds),
            ("exit-latency-us", &microseconds),
            ("min-residency-us", &microseconds),
            ("phandle", &phandle),
        ],
    ));
    for_each_cpu(tree, "cpu-idle-states", &phandle);
    tree.find_node_mut("/cpus").unwrap().add_child(states);
}

fn node(name: &str, properties: &[(&str, &[u8])]) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(name).unwrap();
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new(*name, *value).unwrap());
    }
    node
}

fn for_each_cpu(tree: &mut DeviceTree, name: &str, value: &[u8]) {
    let cpus = tree.find_node_mut("/cpus").unwrap().children_mut();
    for cpu in cpus.filter(|node| node.name().starts_with("cpu@")) {
        cpu.add_property(DeviceTreeProperty::new(name, value).unwrap());
    }
}
