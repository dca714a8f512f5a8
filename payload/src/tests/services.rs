// SPDX-License-Identifier: Apache-2.0
//! `test=services`: calls by which firmware is told of memory, or would call into EL2, above the Management
//! Mode and the SDEI of `tests/firmware`, which writes wherever it is told to.

use crate::call::{self, Conduit, code};
use crate::console::say;
use crate::context::Context;
use crate::outcome::{Outcome, expect, fail};

const MM_VERSION: u32 = 0x8400_0040;
const MM_COMMUNICATE_32: u32 = 0x8400_0041;
const MM_COMMUNICATE: u32 = 0xc400_0041;
/// The functions of SDEI, of which DEN0054 has 18, and those beside them that it may have.
const SDEI: core::ops::RangeInclusive<u32> = 0xc400_0020..=0xc400_003f;

/// The size of a message is behind its GUID, its data behind that.
const LENGTH: u64 = 16;
const DATA: u64 = 24;
/// The most that a message may have, which is never read to find out whether it does.
const MESSAGE_MAX: u64 = 1 << 20;
/// What `tests/firmware` writes there.
const MARK: u64 = 0x6b72_616d_6575_6c61;
/// What it answers to a message that is not in RAM.
const DENIED: i64 = code::DENIED;
/// Where no device is.
const NOWHERE: u64 = 0x3000_0000;
const UPPER: u64 = 0xffff_ffff_0000_0000;

/// Makes each of the calls.
pub fn run(context: &Context) -> Outcome {
    let version = call::by(Conduit::Smc, MM_VERSION, [0; 3]);
    expect("MM_VERSION", 1 << 16, version)?;
    goes_on(context)?;
    is_refused(context)?;
    for id in SDEI {
        let seen = call::by(Conduit::Smc, id, [0; 3]);
        expect(format_args!("call {id:#x}"), code::NOT_SUPPORTED, seen)?;
    }
    say!("services: Management Mode and SDEI: good");
    Ok(())
}

/// Messages in memory of the guest's and of firmware's, and where the answer is firmware's own.
fn goes_on(context: &Context) -> Outcome {
    let own = context.arena.scratch(0);
    let reserved = &context.machine.reserved;
    let Some(firmwares) = reserved.iter().find(|region| !region.no_map) else {
        fail!("expected a buffer of firmware's in /reserved-memory, seen none");
    };
    for (what, id, message) in [
        ("the guest's memory", MM_COMMUNICATE, own),
        ("firmware's memory", MM_COMMUNICATE, firmwares.range.0),
        (
            "the guest's memory, with bits that a 32-bit call does not have",
            MM_COMMUNICATE_32,
            UPPER | own,
        ),
    ] {
        let place = message & !UPPER;
        write(place + LENGTH, 64);
        write(place + DATA, 0);
        write(place + DATA + 56, 0);
        let [x0, x1, ..] = call::raw(Conduit::Smc, id, [0, message, 0]);
        expect(format_args!("MM_COMMUNICATE in {what}"), 0, x0)?;
        expect("the message that firmware got", place, x1)?;
        for word in [DATA, DATA + 56] {
            expect("what firmware wrote", MARK, read(place + word))?;
        }
    }
    let [x0, x1, ..] = call::raw(Conduit::Smc, MM_COMMUNICATE, [0, NOWHERE, 0]);
    expect("MM_COMMUNICATE outside memory", DENIED, x0 as i64)?;
    expect("the message that firmware got", NOWHERE, x1)
}

/// Messages that could reach what the guest cannot write.
fn is_refused(context: &Context) -> Outcome {
    let own = context.arena.scratch(0);
    let (start, size) = context.machine.monitor().unwrap_or_default();
    let Some(gic) = &context.machine.gic else {
        fail!("expected an interrupt controller, seen none");
    };
    let redistributor = gic
        .redistributors
        .iter()
        .next()
        .map_or(0, |region| region.0);
    for (id, message, size_at) in [
        (MM_COMMUNICATE, start, 0),
        (MM_COMMUNICATE, start + size - 8, 0),
        (MM_COMMUNICATE, start - MESSAGE_MAX + 8, 0),
        (MM_COMMUNICATE_32, start, 0),
        (MM_COMMUNICATE_32, UPPER | start, 0),
        (MM_COMMUNICATE, redistributor, 0),
        (MM_COMMUNICATE, u64::MAX - 7, 0),
        (MM_COMMUNICATE, own, start),
    ] {
        let x0 = call::by(Conduit::Smc, id, [0, message, size_at]);
        let what =
            format_args!("call {id:#x} of a message at {message:#x}, its size at {size_at:#x}");
        expect(what, code::INVALID_PARAMETERS, x0)?;
    }
    // Of a message that is long, nothing is believed but where it begins.
    let below = start - MESSAGE_MAX;
    write(below + LENGTH, MESSAGE_MAX - DATA);
    let seen = call::by(Conduit::Smc, MM_COMMUNICATE, [0, below, 0]);
    expect(
        "MM_COMMUNICATE of a long message below the monitor",
        0,
        seen,
    )?;
    expect("the last word that firmware wrote", MARK, read(start - 8))
}

fn read(address: u64) -> u64 {
    // SAFETY: the address is in RAM that the guest has, and nothing else is there.
    unsafe { (address as *const u64).read_volatile() }
}

fn write(address: u64, value: u64) {
    // SAFETY: as above.
    unsafe { (address as *mut u64).write_volatile(value) }
}
