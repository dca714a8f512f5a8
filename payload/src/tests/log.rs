// SPDX-License-Identifier: Apache-2.0
//! `test=log`: reads the monitor's log by the call LOG, checks it, prints it, and reboots.

use super::kexec;
use crate::arena::REPORT_SIZE;
use crate::call::{self, Conduit, code};
use crate::console::say;
use crate::context::Context;
use crate::monitor;
use crate::outcome::{self, Outcome, ensure, fail};
use baton_abi::LOG;
use baton_abi::log::LOG_SIZE;

/// Bytes that are asked for at a time: lines are longer and shorter.
const STEP: u64 = 50;

/// The log in every generation.
pub fn run(context: &Context) -> Outcome {
    check(context)?;
    kexec::run(context)
}

/// Reads `size` bytes of the log from `offset` on to `buffer`: how many there were, and the next offset.
fn read(buffer: u64, size: u64, offset: u64) -> (i64, u64) {
    let [x0, x1, ..] = call::raw(Conduit::Hvc, LOG, [buffer, size, offset]);
    (x0 as i64, x1)
}

fn check(context: &Context) -> Outcome {
    let buffer = context.arena.report();
    let (whole, end) = read(buffer, REPORT_SIZE, 0);
    ensure!(
        (1..=LOG_SIZE as i64).contains(&whole),
        "LOG: expected up to {LOG_SIZE} bytes, seen {whole}"
    );
    // SAFETY: the room for a report is the arena's, and the monitor has written `whole` bytes of it.
    let bytes = unsafe { core::slice::from_raw_parts(buffer as *const u8, whole as usize) };
    let Ok(text) = str::from_utf8(bytes) else {
        fail!("LOG: expected text, seen {bytes:x?}")
    };
    ensure!(
        text.starts_with("Baton ") && text.ends_with('\n'),
        "LOG: expected whole lines from \"Baton\" on, seen {} bytes",
        text.len()
    );
    for line in text.lines() {
        say!("log: {line}");
    }
    in_steps(buffer + REPORT_SIZE - STEP, bytes, end)?;
    expect("LOG from its end on", (0, end), read(buffer, STEP, end))?;
    expect("LOG of no bytes", (0, 7), read(buffer, 0, 7))?;
    let beyond = read(buffer, STEP, u64::MAX);
    expect("LOG from beyond its end on", (0, end), beyond)?;
    for (what, buffer, size) in [
        ("the monitor's memory", monitor::memory(), STEP),
        ("a device", context.machine.uart, STEP),
        ("memory that goes round", u64::MAX - 7, STEP),
        ("more than there is", buffer, u64::MAX),
    ] {
        let (seen, _) = read(buffer, size, 0);
        let what = format_args!("LOG to {what}");
        outcome::expect(what, code::INVALID_ADDRESS, seen)?;
    }
    Ok(())
}

/// Reads the log in steps to `buffer`: it must be `expected`, and end at `end`.
fn in_steps(buffer: u64, expected: &[u8], end: u64) -> Outcome {
    let mut offset = 0;
    for step in expected.chunks(STEP as usize) {
        let seen = read(buffer, STEP, offset);
        offset += step.len() as u64;
        expect("LOG in steps", (step.len() as i64, offset), seen)?;
        // SAFETY: as in `check`.
        let bytes = unsafe { core::slice::from_raw_parts(buffer as *const u8, step.len()) };
        ensure!(
            bytes == step,
            "LOG in steps: expected {step:x?}, seen {bytes:x?}"
        );
    }
    outcome::expect("offset at the log's end", end, offset)
}

/// Expects the bytes and the next offset of a call.
fn expect(what: &str, expected: (i64, u64), seen: (i64, u64)) -> Outcome {
    ensure!(
        expected == seen,
        "{what}: expected {expected:?}, seen {seen:?}"
    );
    Ok(())
}
