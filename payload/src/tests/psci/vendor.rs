// SPDX-License-Identifier: Apache-2.0
//! The monitor's own calls, without a reboot.

use crate::call::{self, Conduit, code};
use crate::context::Context;
use crate::monitor;
use crate::outcome::{Outcome, ensure, expect};
use baton_abi::{
    FEATURE_BITS, FEATURES, REGISTERS, REPORT, REVISION, REVISION_MAJOR, REVISION_MINOR, UID_WORDS,
};

/// Function numbers that are not there.
const UNKNOWN: &[u32] = &[
    0xc600_0005,
    0xc600_fffe,
    0x8600_0001,
    0x8600_ff00,
    0x8600_ff02,
];

/// Each of the calls answers as the ABI says.
pub fn calls(context: &Context) -> Outcome {
    let seen = monitor::uid();
    ensure!(
        seen == Some(UID_WORDS),
        "UID: expected {UID_WORDS:x?}, seen {seen:x?}"
    );
    let [major, minor, ..] = call::raw(Conduit::Hvc, REVISION, [0; 3]);
    expect("major revision", u64::from(REVISION_MAJOR), major)?;
    expect("minor revision", u64::from(REVISION_MINOR), minor)?;
    let [features, ..] = call::raw(Conduit::Hvc, FEATURES, [0; 3]);
    expect("FEATURES", FEATURE_BITS, features)?;
    for &id in UNKNOWN {
        expect(
            format_args!("call {id:#x}"),
            code::NOT_SUPPORTED,
            call::vendor(id, [0; 3]),
        )?;
    }
    let before = "REPORT before the first reboot";
    expect(before, code::NOT_PRESENT, call::vendor(REPORT, [0; 3]))?;
    expect(
        before,
        code::NOT_PRESENT,
        call::vendor(REPORT, [context.arena.report(), 4096, 0]),
    )?;
    let buffer = context.arena.report();
    expect(
        "REGISTERS before a panic",
        code::NOT_PRESENT,
        call::vendor(REGISTERS, [buffer, 4096, 0]),
    )?;
    expect(
        "REGISTERS of a CPU that is not there",
        code::INVALID_PARAMETERS,
        call::vendor(REGISTERS, [buffer, 4096, context.cpus.all.len() as u64]),
    )
}
