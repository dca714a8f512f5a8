// SPDX-License-Identifier: Apache-2.0
//! Firmware that refuses calls, or returns from one that never returns.

use super::debugged::{
    CPU_ON, DENIED, Debugged, STARTED, answer_for_firmware, await_firmware_call,
};
use super::panics::SYSTEM_RESET;
use super::{SMP, expect_next_kernel};

#[test]
fn firmware_refuses_cpu_on() {
    refuses_cpu_on(Debugged::new("refused"));
}

#[track_caller]
pub fn refuses_cpu_on(machine: Debugged) {
    let boot = machine
        .at(STARTED, |debugger, monitor| {
            let cpu = await_firmware_call(debugger, monitor, &[], |id, _| id == CPU_ON);
            answer_for_firmware(debugger, cpu, DENIED);
            debugger.go_on_without(SMP, &[]);
        })
        .run("test=refused-on");
    boot.expect("baton: warning: firmware refuses CPU_ON of CPU 1: ");
    boot.expect("probe: CPU_ON was refused; trying again");
    expect_next_kernel(&boot, 0);
}

#[test]
fn firmware_returns_from_system_reset() {
    let boot = Debugged::new("reset")
        .at(STARTED, |debugger, monitor| {
            let cpu = await_firmware_call(debugger, monitor, &[], |id, _| id == SYSTEM_RESET);
            answer_for_firmware(debugger, cpu, 0);
            debugger.go_on_without(SMP, &[]);
        })
        .run("test=no-reset");
    expect_next_kernel(&boot, 0);
}
