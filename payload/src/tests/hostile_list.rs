// SPDX-License-Identifier: Apache-2.0
//! `test=hostile-list`: asks for reboots that must be refused, while all other CPUs run on.

use crate::arena::PAGE;
use crate::call::{self, code};
use crate::console::say;
use crate::context::Context;
use crate::cpu::MAX_CPUS;
use crate::cpus::wait_for;
use crate::outcome::{Outcome, ensure, expect_any, fail};
use crate::{arrival, kexec, states};
use baton_abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE, KEXEC};
use core::sync::atomic::Ordering::Relaxed;

/// The address is wrong: the ABI's code for what is not in guest memory.
const ADDRESS: &[i64] = &[code::INVALID_ADDRESS];
/// The list is wrong.
const LIST: &[i64] = &[code::INVALID_PARAMETERS];
/// Either may be said first.
const EITHER: &[i64] = &[code::INVALID_ADDRESS, code::INVALID_PARAMETERS];

/// A list page: where it is, and the entries that it begins with. The rest of the page is zero.
type Page<'a> = (u64, &'a [u64]);

/// Refusals first, then a reboot that must work.
pub fn run(context: &Context) -> Outcome {
    if context.generation > 0 {
        return arrival::check(context).map(|_| ());
    }
    let cpus = context.cpus;
    let Some((monitor, monitor_size)) = context.machine.monitor() else {
        fail!("expected a no-map node in /reserved-memory, seen none")
    };
    let Some((ram, ram_size)) = context.machine.ram_at(context.arena.0) else {
        fail!("expected the arena in RAM")
    };
    let mut good = kexec::prepare(context, cpus.boot, 0)?;
    cpus.bring_up(cpus.others())?;
    for cpu in cpus.others() {
        cpu.start(states::store, 0);
    }

    let uart = context.machine.uart;
    let ram_end = ram + ram_size;
    // Pages that the good list does not use: it takes scratch pages from 0 on.
    let page = |n: u64| context.arena.scratch(crate::arena::SCRATCH_PAGES - 1 - n);
    let (head, second) = (page(0), page(1));
    let (source, target) = (page(2) | IND_SOURCE, page(3) | IND_DESTINATION);
    let outside = 1 << 47;
    let beyond = !(PAGE - 1);

    let lists: &[(&str, u64, &[Page], &[i64])] = &[
        ("NULL list", 0, &[], ADDRESS),
        ("list in the monitor", monitor, &[], ADDRESS),
        (
            "list at the monitor's end",
            monitor + monitor_size - PAGE,
            &[],
            ADDRESS,
        ),
        ("list in a device", uart, &[], ADDRESS),
        ("list outside all", outside, &[], ADDRESS),
        ("list at the end of addresses", beyond, &[], ADDRESS),
        (
            "list not on a word",
            head + 4,
            &[(head, &[IND_DONE, IND_DONE])],
            EITHER,
        ),
        (
            "list not on a page",
            head + 8,
            &[(head, &[IND_DONE, 0xdead_bee0])],
            EITHER,
        ),
        (
            "entry without a flag",
            head,
            &[(head, &[target, source, 0, IND_DONE])],
            LIST,
        ),
        (
            "unknown flag",
            head,
            &[(head, &[target, page(2) | 0x10, IND_DONE])],
            LIST,
        ),
        (
            "two flags",
            head,
            &[(head, &[target, source | IND_DONE])],
            LIST,
        ),
        (
            "loop of a page",
            head,
            &[(head, &[target, head | IND_INDIRECTION])],
            LIST,
        ),
        (
            "loop of two pages",
            head,
            &[
                (head, &[target, source, second | IND_INDIRECTION]),
                (second, &[target, head | IND_INDIRECTION]),
            ],
            LIST,
        ),
        (
            "source without a destination",
            head,
            &[(head, &[source, IND_DONE])],
            LIST,
        ),
        (
            "source in the monitor",
            head,
            &[(head, &[target, monitor | IND_SOURCE, IND_DONE])],
            EITHER,
        ),
        (
            "source in a device",
            head,
            &[(head, &[target, uart | IND_SOURCE, IND_DONE])],
            EITHER,
        ),
        (
            "source outside all",
            head,
            &[(head, &[target, outside | IND_SOURCE, IND_DONE])],
            EITHER,
        ),
        (
            "source not on a page",
            head,
            &[(head, &[target, source + 0x100, IND_DONE])],
            EITHER,
        ),
        (
            "destination in the monitor",
            head,
            &[(head, &[monitor | IND_DESTINATION, source, IND_DONE])],
            EITHER,
        ),
        (
            "destination at the monitor's end",
            head,
            &[(
                head,
                &[
                    (monitor + monitor_size - PAGE) | IND_DESTINATION,
                    source,
                    IND_DONE,
                ],
            )],
            EITHER,
        ),
        (
            "destination in a device",
            head,
            &[(head, &[uart | IND_DESTINATION, source, IND_DONE])],
            EITHER,
        ),
        (
            "destination outside all",
            head,
            &[(head, &[outside | IND_DESTINATION, source, IND_DONE])],
            EITHER,
        ),
        (
            "destination that runs out of RAM",
            head,
            &[(
                head,
                &[(ram_end - PAGE) | IND_DESTINATION, source, source, IND_DONE],
            )],
            EITHER,
        ),
        (
            "destination that wraps around",
            head,
            &[(head, &[beyond | IND_DESTINATION, source, source, IND_DONE])],
            EITHER,
        ),
        (
            "next page in the monitor",
            head,
            &[(head, &[monitor | IND_INDIRECTION])],
            EITHER,
        ),
        (
            "next page outside all",
            head,
            &[(head, &[outside | IND_INDIRECTION])],
            EITHER,
        ),
        (
            "destination on the list",
            head,
            &[(head, &[head | IND_DESTINATION, source, IND_DONE])],
            LIST,
        ),
        (
            "destination on a later page of the list",
            head,
            &[
                (
                    head,
                    &[second | IND_DESTINATION, source, second | IND_INDIRECTION],
                ),
                (second, &[IND_DONE]),
            ],
            LIST,
        ),
        (
            "destination on a source",
            head,
            &[(head, &[target, source, page(3) | IND_SOURCE, IND_DONE])],
            LIST,
        ),
    ];
    for &(name, list, pages, codes) in lists {
        for &(at, entries) in pages {
            write(at, entries);
        }
        refuse(context, name, [list, good.entry, good.tree], codes)?;
    }

    fill_without_end(head);
    refuse(
        context,
        "list that never ends",
        [head, good.entry, good.tree],
        EITHER,
    )?;
    for (name, address) in [
        ("NULL", 0),
        ("in the monitor", monitor),
        ("in a device", uart),
        ("outside all", outside),
        ("at the end of RAM", ram_end),
    ] {
        let entry = format_args!("entry {name}");
        refuse(context, entry, [good.list, address, good.tree], ADDRESS)?;
        let tree = format_args!("device tree {name}");
        refuse(context, tree, [good.list, good.entry, address], ADDRESS)?;
    }
    refuse(
        context,
        "entry not on a word",
        [good.list, good.entry + 2, good.tree],
        EITHER,
    )?;
    say!(
        "{} lists and 11 addresses were refused, a good one follows",
        lists.len() + 1
    );
    good.go()
}

fn write(page: u64, entries: &[u64]) {
    let rest = core::iter::repeat(&0);
    for (at, entry) in (page..page + PAGE)
        .step_by(8)
        .zip(entries.iter().chain(rest))
    {
        // SAFETY: it is a page of scratch memory that nothing else uses.
        unsafe { (at as *mut u64).write_volatile(*entry) };
    }
}

/// A page of destinations that leads back to itself.
fn fill_without_end(page: u64) {
    for at in (page..page + PAGE).step_by(8) {
        let entry = if at + 8 == page + PAGE {
            page | IND_INDIRECTION
        } else {
            page | IND_DESTINATION
        };
        // SAFETY: it is a page of scratch memory that nothing else uses.
        unsafe { (at as *mut u64).write_volatile(entry) };
    }
}

/// Expects a reboot to be refused with one of the codes, and all other CPUs to count on after it.
fn refuse(
    context: &Context,
    name: impl core::fmt::Display,
    arguments: [u64; 3],
    codes: &[i64],
) -> Outcome {
    let seen = call::vendor(KEXEC, arguments);
    expect_any(format_args!("KEXEC, {name}"), codes, seen)?;
    let others = context.cpus.others();
    let mut before = [0; MAX_CPUS];
    for (cpu, count) in others.clone().zip(&mut before) {
        *count = cpu.heartbeat.load(Relaxed);
    }
    let mut counts = others.clone().zip(before);
    ensure!(
        others.count() <= MAX_CPUS,
        "expected at most {MAX_CPUS} CPUs"
    );
    counts.try_for_each(|(cpu, count)| {
        let what = format_args!("to count on after KEXEC, {name}");
        wait_for([cpu].into_iter(), what, |cpu| {
            cpu.heartbeat.load(Relaxed) != count
        })
    })
}
