// SPDX-License-Identifier: Apache-2.0
//! Where the monitor's lines go once a guest runs: to memory, and to the UART only if that is the
//! guest's own console.

use crate::probe;
use baton_qemu::Machine;
use baton_tests::{Boot, boot, boot_changed, machine};
use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty};

/// The monitor's last line on a console that its guest does not use.
const LEAVES: &str = "baton: the kernel's console is not this UART";
/// A line of the monitor's in generation 1.
const ENTERED: &str = "generation 1: entered";

/// Runs the probe, and has it read the log in each generation, with the monitor's command line `baton`.
#[track_caller]
fn run(append: &str, baton: &str) -> Boot {
    let machine = Machine {
        baton: baton.to_owned(),
        ..machine(2)
    };
    boot(&machine, &probe::guest(append), 120)
}

/// The same on a board whose tree names no console: the UART is that of its `serial0`.
#[track_caller]
fn run_without_a_console(append: &str, baton: &str) -> Boot {
    boot_changed(
        &machine(2),
        &probe::guest(append),
        Vec::new(),
        120,
        |tree| {
            let chosen = tree.find_node_mut("/chosen").expect("QEMU's /chosen");
            chosen.remove_property("stdout-path");
            let bootargs = format!("{baton}\0");
            let bootargs = DeviceTreeProperty::new("bootargs", bootargs.as_bytes());
            chosen.add_property(bootargs.unwrap());
            let mut aliases = DeviceTreeNode::new("aliases").unwrap();
            let serial0 = DeviceTreeProperty::new("serial0", *b"/pl011@9000000\0");
            aliases.add_property(serial0.unwrap());
            tree.root.add_child(aliases);
        },
    )
}

/// The probe must have passed.
#[track_caller]
fn expect_pass(boot: &Boot) {
    boot.expect_no("probe: FAIL");
    boot.expect("probe: PASS");
    boot.expect_end();
}

/// Returns how many lines of the monitor's there are behind the first one with `pattern`.
#[track_caller]
fn lines_behind(boot: &Boot, pattern: &str) -> usize {
    boot.expect(pattern);
    let behind = boot.lines.iter();
    behind
        .skip_while(|line| !line.text.contains(pattern))
        .skip(1)
        .filter(|line| line.text.starts_with("baton: "))
        .count()
}

#[test]
fn is_read_by_a_call() {
    let boot = run("test=log generations=1", "");
    expect_pass(&boot);
    boot.expect("probe: log: Baton ");
    boot.expect_no(LEAVES);
    boot.expect(&format!("baton: {ENTERED}"));
}

#[test]
fn is_kept_from_a_uart_that_the_guest_does_not_use() {
    let boot = run_without_a_console("test=log generations=2", "");
    expect_pass(&boot);
    let seen = lines_behind(&boot, LEAVES);
    assert_eq!(seen, 0, "lines of the monitor's on the guest's UART");
    boot.expect(&format!("probe: log: {ENTERED}"));
}

#[test]
fn goes_to_the_uart_where_that_is_asked_for() {
    let boot = run_without_a_console("test=kexec generations=1", "log=uart");
    expect_pass(&boot);
    boot.expect_no(LEAVES);
    boot.expect(&format!("baton: {ENTERED}"));
}

/// Generation 1 has a tree that names no console, and so have those after it.
#[test]
fn the_console_is_looked_for_in_each_kernels_tree() {
    let boot = run("test=log generations=2 stdout=gone", "");
    expect_pass(&boot);
    boot.expect_no(&format!("baton: {ENTERED}"));
    let seen = lines_behind(&boot, LEAVES);
    assert_eq!(seen, 0, "lines of the monitor's on the guest's UART");
    boot.expect(&format!("probe: log: {ENTERED}"));
}

#[test]
fn a_panic_is_said_on_any_console() {
    let boot = run_without_a_console("test=kexec generations=1", "inject=heap@1");
    assert_eq!(
        lines_behind(&boot, LEAVES),
        1,
        "lines behind the guest's entry"
    );
    boot.expect_error(&["cpu 1: panicked at ", "; resetting the machine"]);
    boot.expect_end();
}
