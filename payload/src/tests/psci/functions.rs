// SPDX-License-Identifier: Apache-2.0
//! Calls that start and stop nothing.

use crate::call::{self, Conduit, code, psci};
use crate::console::say;
use crate::context::Context;
use crate::outcome::{Outcome, ensure, expect, expect_any};
use smccc::arch::*;
use smccc::psci::*;

/// An affinity that no machine of this size has.
pub const NO_CPU: u64 = 0xff_00ff_ffff;

/// Both conduits, for what has to be the same by each.
const CONDUITS: [Conduit; 2] = [Conduit::Smc, Conduit::Hvc];

/// Functions that a PSCI 1.1 has to have (DEN0022, table 5). Neither the monitor's own list is taken, nor
/// that of the firmware below it in tests: those are what is tested.
const MANDATORY: &[u32] = &[
    PSCI_VERSION,
    PSCI_CPU_SUSPEND_32,
    PSCI_CPU_SUSPEND_64,
    PSCI_CPU_OFF,
    PSCI_CPU_ON_32,
    PSCI_CPU_ON_64,
    PSCI_AFFINITY_INFO_32,
    PSCI_AFFINITY_INFO_64,
    PSCI_SYSTEM_OFF,
    PSCI_SYSTEM_RESET,
    PSCI_FEATURES,
];

/// Functions that may be there, with arguments that do no harm.
const OPTIONAL: &[(u32, [u64; 3])] = &[
    (PSCI_MIGRATE_INFO_TYPE, [0; 3]),
    (PSCI_MIGRATE_32, [NO_CPU & 0xffff_ffff, 0, 0]),
    (PSCI_MIGRATE_64, [NO_CPU, 0, 0]),
    (PSCI_CPU_FREEZE, [0; 3]),
    (PSCI_CPU_DEFAULT_SUSPEND_32, [0; 3]),
    (PSCI_CPU_DEFAULT_SUSPEND_64, [0; 3]),
    (PSCI_NODE_HW_STATE_32, [0; 3]),
    (PSCI_NODE_HW_STATE_64, [0; 3]),
    (PSCI_SYSTEM_SUSPEND_32, [0; 3]),
    (PSCI_SYSTEM_SUSPEND_64, [0; 3]),
    (PSCI_SET_SUSPEND_MODE, [7, 0, 0]),
    (PSCI_STAT_RESIDENCY_32, [0; 3]),
    (PSCI_STAT_RESIDENCY_64, [0; 3]),
    (PSCI_STAT_COUNT_32, [0; 3]),
    (PSCI_STAT_COUNT_64, [0; 3]),
    (PSCI_SYSTEM_RESET2_32, [0x7fff_fffe, 0, 0]),
    (PSCI_SYSTEM_RESET2_64, [0x7fff_fffe, 0, 0]),
    (PSCI_MEM_PROTECT_CHECK_RANGE_32, [0; 3]),
    (PSCI_MEM_PROTECT_CHECK_RANGE_64, [0; 3]),
];

/// Ids of PSCI's range that are no functions: reserved numbers, and 64-bit forms that do not exist.
const UNKNOWN: &[u32] = &[
    0x8400_001e,
    0x8400_001f,
    0xc400_001f,
    0xc400_0000,
    0xc400_0002,
    0xc400_0006,
    0xc400_0008,
    0xc400_0009,
    0xc400_000a,
];

/// PSCI_VERSION is 1.1 or later.
pub fn version(_: &Context) -> Outcome {
    let seen = psci(PSCI_VERSION, [0; 3]);
    ensure!(
        seen >> 16 == 1 && seen & 0xffff >= 1,
        "PSCI_VERSION: expected 1.1 on, seen {seen:#x}"
    );
    let seen = psci(PSCI_MIGRATE_INFO_TYPE, [0; 3]);
    expect_any("MIGRATE_INFO_TYPE", &[2, code::NOT_SUPPORTED], seen)
}

/// PSCI_FEATURES knows what is mandatory, and what it does not know is refused.
pub fn features(_: &Context) -> Outcome {
    for &id in MANDATORY {
        let seen = psci(PSCI_FEATURES, [id.into(), 0, 0]);
        ensure!(
            seen >= 0,
            "PSCI_FEATURES of {id:#x}: expected it to be there, seen {seen}"
        );
    }
    for &(id, arguments) in OPTIONAL {
        let there = psci(PSCI_FEATURES, [id.into(), 0, 0]);
        ensure!(
            there >= code::NOT_SUPPORTED,
            "PSCI_FEATURES of {id:#x}: expected -1, seen {there}"
        );
        // What is there could really do what it is asked, so only what is not there is tried.
        if there == code::NOT_SUPPORTED {
            let what = format_args!("{id:#x}, which PSCI_FEATURES does not know");
            expect(what, code::NOT_SUPPORTED, psci(id, arguments))?;
        }
    }
    Ok(())
}

/// AFFINITY_INFO of CPUs that are on, off and not there.
pub fn affinity_info(context: &Context) -> Outcome {
    let own = context.cpus.boot.mpidr();
    let calls: &[(&str, u32, [u64; 3], &[i64])] = &[
        (
            "itself",
            PSCI_AFFINITY_INFO_64,
            [own, 0, 0],
            &[code::AFFINITY_ON],
        ),
        (
            "itself, 32 bits",
            PSCI_AFFINITY_INFO_32,
            [own, 0, 0],
            &[code::AFFINITY_ON],
        ),
        (
            "nobody",
            PSCI_AFFINITY_INFO_64,
            [NO_CPU, 0, 0],
            &[code::INVALID_PARAMETERS],
        ),
        (
            "its cluster",
            PSCI_AFFINITY_INFO_64,
            [own, 1, 0],
            &[code::AFFINITY_ON, code::INVALID_PARAMETERS],
        ),
        (
            "a level that does not exist",
            PSCI_AFFINITY_INFO_64,
            [own, 3, 0],
            &[code::INVALID_PARAMETERS],
        ),
    ];
    for &(what, id, arguments, expected) in calls {
        expect_any(
            format_args!("AFFINITY_INFO of {what}"),
            expected,
            psci(id, arguments),
        )?;
    }
    for cpu in context.cpus.others() {
        let what = format_args!("AFFINITY_INFO of CPU {:#x}, never started", cpu.mpidr());
        expect(what, code::AFFINITY_OFF, cpu.affinity_info())?;
    }
    Ok(())
}

/// Ids that are no functions are refused.
pub fn unknown(_: &Context) -> Outcome {
    for &id in UNKNOWN {
        expect(
            format_args!("call {id:#x}"),
            code::NOT_SUPPORTED,
            psci(id, [0; 3]),
        )?;
        let seen = psci(PSCI_FEATURES, [id.into(), 0, 0]);
        expect(
            format_args!("PSCI_FEATURES of {id:#x}"),
            code::NOT_SUPPORTED,
            seen,
        )?;
    }
    Ok(())
}

/// SMCCC_VERSION and ARCH_FEATURES, by either conduit.
pub fn smccc(_: &Context) -> Outcome {
    let seen = psci(PSCI_FEATURES, [SMCCC_VERSION.into(), 0, 0]);
    ensure!(
        seen >= 0,
        "PSCI_FEATURES of SMCCC_VERSION: expected 0, seen {seen}"
    );
    for conduit in CONDUITS {
        let seen = call::by(conduit, SMCCC_VERSION, [0; 3]);
        ensure!(
            seen >= 0x1_0001,
            "SMCCC_VERSION by {conduit:?}: expected 1.1 on, seen {seen:#x}"
        );
        let seen = call::by(conduit, SMCCC_ARCH_FEATURES, [SMCCC_VERSION.into(), 0, 0]);
        ensure!(
            seen >= 0,
            "ARCH_FEATURES of SMCCC_VERSION: expected 0, seen {seen}"
        );
        let seen = call::by(conduit, SMCCC_ARCH_FEATURES, [0x8000_1234, 0, 0]);
        expect(
            "ARCH_FEATURES of what is not there",
            code::NOT_SUPPORTED,
            seen,
        )?;
        for id in [0x8000_1234, 0xc500_0001, 0xc600_fffe] {
            let seen = call::by(conduit, id, [0; 3]);
            expect(
                format_args!("{id:#x} by {conduit:?}"),
                code::NOT_SUPPORTED,
                seen,
            )?;
        }
    }
    Ok(())
}

/// Calls that Linux makes so often that they must not exit to the monitor.
pub fn workarounds(_: &Context) -> Outcome {
    for id in [
        SMCCC_ARCH_WORKAROUND_1,
        SMCCC_ARCH_WORKAROUND_2,
        SMCCC_ARCH_WORKAROUND_3,
    ] {
        let offered = psci(SMCCC_ARCH_FEATURES, [id.into(), 0, 0]);
        say!("psci: SMCCC_ARCH_FEATURES of {id:#x}: {offered}");
        if offered < 0 {
            continue;
        }
        for _ in 0..1000 {
            let before = core::array::from_fn(|n| 0x1000 + n as u64);
            let [result, after @ ..] = call::all(Conduit::Smc, id, before);
            expect(format_args!("{id:#x}"), 0, result)?;
            ensure!(
                before == after,
                "{id:#x}: expected x1 to x17 as they were, seen {after:x?}"
            );
        }
    }
    Ok(())
}

/// SMC and HVC give the same answers.
pub fn conduits(context: &Context) -> Outcome {
    let own = context.cpus.boot.mpidr();
    let calls: &[(u32, [u64; 3])] = &[
        (PSCI_VERSION, [0; 3]),
        (PSCI_FEATURES, [PSCI_CPU_ON_64.into(), 0, 0]),
        (PSCI_AFFINITY_INFO_64, [own, 0, 0]),
        (PSCI_AFFINITY_INFO_32, [own, 0, 0]),
        (PSCI_CPU_ON_64, [own, 0, 0]),
        (PSCI_MIGRATE_INFO_TYPE, [0; 3]),
    ];
    for &(id, arguments) in calls {
        let [smc, hvc] = CONDUITS.map(|conduit| call::by(conduit, id, arguments));
        expect(format_args!("{id:#x} by HVC, as by SMC"), smc, hvc)?;
    }
    Ok(())
}

/// Calls preserve x4 to x17, as SMCCC says from 1.1 on (DEN0028, 2.6).
pub fn registers_kept(_: &Context) -> Outcome {
    let arguments: [u64; 17] =
        core::array::from_fn(|n| if n < 3 { 0 } else { 0x5a5a_0000 + n as u64 });
    for conduit in CONDUITS {
        let results = call::all(conduit, PSCI_VERSION, arguments);
        for (n, (expected, seen)) in arguments.iter().zip(&results[1..]).enumerate().skip(3) {
            let what = format_args!("x{} after PSCI_VERSION by {conduit:?}", n + 1);
            expect(what, *expected, *seen)?;
        }
    }
    Ok(())
}
