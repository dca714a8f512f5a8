// SPDX-License-Identifier: Apache-2.0
//! The tests: `test=` on the command line names one.

mod audit;
mod board_tree;
mod cost;
mod debug_registers;
mod device_fetch;
mod dma;
mod far_memory;
mod fence;
mod fence_fuzz;
mod firmware;
mod flip;
mod fuzz;
mod gic_tables;
mod hooks;
mod hostile_list;
mod idle;
mod injected;
mod kexec;
mod left_out;
mod log;
mod memory_map;
mod monitor_access;
mod os_lock;
mod parked;
mod psci;
mod queries;
mod refusal;
mod refusals;
mod registers;
mod routes;
mod services;
mod soak;
mod tee;

use crate::context::Context;
use crate::outcome::{Failure, Outcome};

/// A test. It returns when the run is over; a reboot does not return.
pub struct Test {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in every generation.
    pub run: fn(&Context) -> Outcome,
}

/// All tests; the first one is the default.
pub static TESTS: &[Test] = &[
    Test {
        name: "kexec",
        run: kexec::run,
    },
    Test {
        name: "psci",
        run: psci::run,
    },
    Test {
        name: "hostile-list",
        run: hostile_list::run,
    },
    Test {
        name: "monitor-access",
        run: monitor_access::run,
    },
    Test {
        name: "os-lock",
        run: os_lock::run,
    },
    Test {
        name: "debug-registers",
        run: debug_registers::run,
    },
    Test {
        name: "device-fetch",
        run: device_fetch::run,
    },
    Test {
        name: "dma",
        run: dma::run,
    },
    Test {
        name: "far-memory",
        run: far_memory::run,
    },
    Test {
        name: "fence",
        run: fence::run,
    },
    Test {
        name: "fence-cost",
        run: fence::cost,
    },
    Test {
        name: "fence-fuzz",
        run: fence_fuzz::run,
    },
    Test {
        name: "flip",
        run: flip::run,
    },
    Test {
        name: "fuzz",
        run: fuzz::run,
    },
    Test {
        name: "gic-tables",
        run: gic_tables::run,
    },
    Test {
        name: "idle",
        run: idle::run,
    },
    Test {
        name: "injected",
        run: injected::run,
    },
    Test {
        name: "audit",
        run: audit::run,
    },
    Test {
        name: "parked",
        run: parked::run,
    },
    Test {
        name: "refusal",
        run: refusal::run,
    },
    Test {
        name: "refusals",
        run: refusals::run,
    },
    Test {
        name: "registers",
        run: registers::run,
    },
    Test {
        name: "refused-on",
        run: firmware::refused_on,
    },
    Test {
        name: "late-on",
        run: firmware::late_on,
    },
    Test {
        name: "no-reset",
        run: firmware::no_reset,
    },
    Test {
        name: "hooks",
        run: hooks::run,
    },
    Test {
        name: "soak",
        run: soak::run,
    },
    Test {
        name: "board-tree",
        run: board_tree::run,
    },
    Test {
        name: "memory-map",
        run: memory_map::run,
    },
    Test {
        name: "left-out",
        run: left_out::run,
    },
    Test {
        name: "queries",
        run: queries::run,
    },
    Test {
        name: "log",
        run: log::run,
    },
    Test {
        name: "tee",
        run: tee::run,
    },
    Test {
        name: "no-tee",
        run: tee::denied,
    },
    Test {
        name: "routes",
        run: routes::run,
    },
    Test {
        name: "services",
        run: services::run,
    },
    Test {
        name: "cost",
        run: cost::run,
    },
];

/// The test of a name, or the first one if none was given.
pub fn find(name: Option<&str>) -> Outcome<&'static Test> {
    let found = match name {
        Some(name) => TESTS.iter().find(|test| test.name == name),
        None => TESTS.first(),
    };
    found.ok_or_else(|| {
        let name = name.unwrap_or("none");
        Failure::new(format_args!(
            "expected the name of a test in test=, seen {name}"
        ))
    })
}
