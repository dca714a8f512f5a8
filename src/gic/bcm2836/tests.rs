// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio::{self, Memory};
use baton_sysreg::fake;

fn used() -> (Memory, Bcm2836) {
    let memory = Memory::new(0x1000);
    memory.fill(0x0..0x100);
    let base = NonNull::with_exposed_provenance(memory.base().try_into().expect("not zero"));
    // SAFETY: It is memory.
    let local = unsafe { Bcm2836::new(base) };
    (memory, local)
}

#[test]
fn a_cpu_is_sent_nothing_any_more() {
    let (memory, local) = used();
    memory.fill(0x0..0x100);
    // What is written to the mailboxes' clear registers clears bits: here the ones stay to be seen.
    for mailbox in (0xe0..0xf0).step_by(4) {
        mmio::poke(memory.base() + mailbox, 0);
    }
    local.reset_private(0x8000_0002);
    // QA7, 3.1: timer and mailbox control of core 2 reset to 0.
    memory.expect("core 2 timers", 0x48..0x4c, 0);
    memory.expect("core 2 mailboxes", 0x58..0x5c, 0);
    memory.expect("core 2 mailbox clear", 0xe0..0xf0, !0);
    memory.expect("core 1 timers", 0x44..0x48, !0);
    memory.expect("core 3 mailboxes", 0x5c..0x60, !0);
}

#[test]
fn what_cpus_share_goes_to_the_first() {
    let (memory, local) = used();
    mmio::poke(memory.base() + 0x14, 0);
    local.reset_shared();
    memory.expect("GPU interrupts routing", 0x0c..0x10, 0);
    memory.expect("PMU interrupt routing clear", 0x14..0x18, !0);
    memory.expect("local timer", 0x34..0x38, 0);
}

#[test]
fn a_kick_opens_the_first_mailbox_and_sets_it() {
    let (memory, local) = used();
    fake::reset();
    local.kick(1);
    // What was stored before is seen by who takes it.
    assert_eq!(fake::instructions(), ["dsb ish"]);
    memory.expect("core 1 mailboxes", 0x54..0x58, 1);
    memory.expect("core 1 mailbox 0 set", 0x90..0x94, 1);
    memory.expect("core 1 mailbox 1 set", 0x94..0x98, !0);
}

#[test]
fn all_others_are_kicked_and_not_the_caller() {
    let (memory, local) = used();
    local.kick_all_others(2);
    for core in [0, 1, 3] {
        memory.expect("mailboxes", 0x50 + 4 * core..0x54 + 4 * core, 1);
    }
    memory.expect("core 2 mailboxes", 0x58..0x5c, !0);
}

#[test]
fn mailboxes_interrupt_again_as_before_a_kick() {
    let (memory, local) = used();
    mmio::poke(memory.base() + 0x54, 0x8);
    local.kick(1);
    local.kick(1);
    local.put_back_kicks();
    memory.expect("core 1 mailboxes", 0x54..0x58, 0x8);
    memory.expect("core 2 mailboxes, which was not kicked", 0x58..0x5c, !0);
    local.kick(1);
    local.reset_private(1);
    local.put_back_kicks();
    memory.expect("core 1 mailboxes after a reset", 0x54..0x58, 0);
}
