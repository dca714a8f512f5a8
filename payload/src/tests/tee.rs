// SPDX-License-Identifier: Apache-2.0
//! `test=tee`, `test=no-tee`: calls of a trusted OS, above the OP-TEE of `tests/firmware`, which writes
//! where messages tell it to.

use crate::arena::{Arena, PAGE};
use crate::call::{self, Conduit, code};
use crate::console::say;
use crate::context::Context;
use crate::outcome::{Outcome, ensure, expect};

const CALL_WITH_ARG: u32 = 0x3200_0004;
const RETURN_FROM_RPC: u32 = 0x3200_0003;
const GET_SHM_CONFIG: u32 = 0xb200_0007;
const EXCHANGE_CAPABILITIES: u32 = 0xb200_0009;
const ENABLE_SHM_CACHE: u32 = 0xb200_000b;
/// CALL_WITH_RPC_ARG, CALL_WITH_REGD_ARG, BOOT_SECONDARY, VM_CREATED, L2CC_MUTEX.
const UNKNOWN: [u32; 5] = [
    0x3200_0012,
    0x3200_0013,
    0xb200_000c,
    0xb200_000d,
    0xb200_0008,
];
/// FFA_VERSION, FFA_MEM_SHARE, SDEI_VERSION.
const NEVER: [u32; 3] = [0x8400_0063, 0xc400_0073, 0xc400_0020];

const EBADADDR: i64 = 4;
const ERESUME: i64 = 3;

/// What OP-TEE asks for.
const ALLOC: i64 = 0xffff_0000;
const FREE: i64 = 0xffff_0002;
const INTERRUPT: i64 = 0xffff_0004;
const COMMAND: i64 = 0xffff_0005;

/// The functions of `tests/firmware`.
const PLACE: u64 = 0;
const WRITE: u64 = 1;
const ASK: u64 = 2;
const WAIT: u64 = 3;
/// What it writes.
const MARK: u64 = 0x6b72_616d_6565_7470;

/// Commands, in a message's first word with the function in its upper half.
const INVOKE: u64 = 1;
const REGISTER_SHM: u64 = 4;

const VALUE_INOUT: u64 = 3;
const TEMPORARY_OUTPUT: u64 = 10;
const NONCONTIG: u64 = 1 << 9;
const COOKIE: u64 = 0x1_2345_6789;
const BAD_PARAMETERS: u64 = 0xffff_0006;
const OUT_OF_MEMORY: u64 = 0xffff_000c;

/// Pages of the scratch memory.
mod page {
    pub const MESSAGE: u64 = 0;
    pub const OWN: u64 = 1;
    pub const LIST: u64 = 2;
    pub const SHARED: u64 = 3;
}

/// Where a guest may not let OP-TEE write.
fn monitor(context: &Context) -> u64 {
    context.machine.monitor().unwrap_or_default().0
}

fn get(address: u64) -> u64 {
    // SAFETY: the address is one of the scratch memory.
    unsafe { (address as *const u64).read_volatile() }
}

fn set(address: u64, value: u64) {
    // SAFETY: as above.
    unsafe { (address as *mut u64).write_volatile(value) }
}

/// Makes a call and returns x0 to x3.
fn make(id: u32, [a1, a2, a3, a4, a5]: [u64; 5]) -> [u64; 4] {
    let mut arguments = [0; 17];
    arguments[..5].copy_from_slice(&[a1, a2, a3, a4, a5]);
    let [x0, x1, x2, x3, ..] = call::all(Conduit::Smc, id, arguments);
    [x0, x1, x2, x3]
}

/// Writes a message with one parameter.
fn write_message(message: u64, command: u64, function: u64, param: [u64; 4]) {
    let header = [command | function << 32, 0, 0, 1 << 32];
    for (word, value) in (0..).zip(header.into_iter().chain(param)) {
        set(message + word * 8, value);
    }
}

/// Makes the call with the message at an address.
fn send(message: u64) -> [u64; 4] {
    make(
        CALL_WITH_ARG,
        [message >> 32, message & 0xffff_ffff, 1, 0, 0],
    )
}

/// The same with a message that is written to its page first; returns x0.
fn ask(arena: Arena, command: u64, function: u64, param: [u64; 4]) -> i64 {
    let message = arena.scratch(page::MESSAGE);
    write_message(message, command, function, param);
    send(message)[0] as i64
}

/// With `tee=forward`: what is harmless goes on, what is not does not.
pub fn run(context: &Context) -> Outcome {
    let (arena, bad) = (context.arena, monitor(context));
    let [a0, a1, _, a3] = make(EXCHANGE_CAPABILITIES, [0; 5]);
    expect("EXCHANGE_CAPABILITIES", 0, a0)?;
    expect("capabilities", 0x36, a1)?;
    expect("parameters of RPC messages", 0, a3)?;
    for (id, expected) in [(GET_SHM_CONFIG, 7), (ENABLE_SHM_CACHE, 0)] {
        let what = format_args!("call {id:#x}");
        expect(what, expected, make(id, [0; 5])[0])?;
    }
    not_supported(&UNKNOWN)?;
    not_supported(&NEVER)?;
    messages(context)?;
    lists(arena, bad)?;
    requests(arena, bad)?;
    say!("tee: messages, lists and requests: good");
    Ok(())
}

/// Without it: there is none.
pub fn denied(_: &Context) -> Outcome {
    not_supported(&[CALL_WITH_ARG, RETURN_FROM_RPC, EXCHANGE_CAPABILITIES])?;
    not_supported(&UNKNOWN)?;
    not_supported(&NEVER)
}

fn not_supported(calls: &[u32]) -> Outcome {
    for &id in calls {
        let seen = make(id, [0; 5])[0] as i64;
        expect(format_args!("call {id:#x}"), code::NOT_SUPPORTED, seen)?;
    }
    Ok(())
}

fn messages(context: &Context) -> Outcome {
    let (arena, bad) = (context.arena, monitor(context));
    expect(
        "a message that asks where it is",
        0,
        ask(arena, INVOKE, PLACE, [VALUE_INOUT, 0, 0, 0]),
    )?;
    let place = get(arena.scratch(page::MESSAGE) + 40);
    let (start, size) = context.machine.monitor().unwrap_or_default();
    ensure!(
        (start..start + size).contains(&place),
        "expected OP-TEE to read a copy of the monitor's, seen its message at {place:#x}"
    );
    let shared = arena.scratch(page::SHARED);
    set(shared, 0);
    let write = |start| ask(arena, INVOKE, WRITE, [TEMPORARY_OUTPUT, start, 8, 0]);
    expect("a message with memory", 0, write(shared))?;
    expect("memory that OP-TEE wrote", MARK, get(shared))?;
    for start in [bad, bad - 4, context.machine.uart, u64::MAX - 7] {
        let what = format_args!("a message with memory at {start:#x}");
        expect(what, EBADADDR, write(start))?;
    }
    for message in [bad, bad - 8, shared + 4, context.machine.uart] {
        let what = format_args!("a message at {message:#x}");
        expect(what, EBADADDR, send(message)[0] as i64)?;
    }
    Ok(())
}

fn lists(arena: Arena, bad: u64) -> Outcome {
    let list = arena.scratch(page::LIST);
    let pages = [0, 1, 2].map(|n| arena.scratch(page::SHARED + n));
    for (last, expected) in [(bad, EBADADDR), (pages[2], 0)] {
        for (word, at) in (0..).zip([pages[0], pages[1], last]) {
            set(list + word * 8, at);
        }
        for page in pages {
            set(page, 0);
        }
        let param = [TEMPORARY_OUTPUT | NONCONTIG, list, 3 * PAGE, COOKIE];
        let what = format_args!("a list with a page at {last:#x}");
        expect(what, expected, ask(arena, REGISTER_SHM, 0, param))?;
        let marks = if expected == 0 { MARK } else { 0 };
        for page in pages {
            expect("page of the list", marks, get(page))?;
        }
    }
    Ok(())
}

fn requests(arena: Arena, bad: u64) -> Outcome {
    let message = arena.scratch(page::MESSAGE);
    let (own, shared) = (arena.scratch(page::OWN), arena.scratch(page::SHARED));
    expect(
        "a call that waits",
        INTERRUPT,
        ask(arena, INVOKE, WAIT, [0; 4]),
    )?;
    let again = || make(RETURN_FROM_RPC, [0; 5])[0] as i64;
    expect("the call after its interrupt", 0, again())?;
    expect("a call that is over", ERESUME, again())?;

    let memory = |at: u64| {
        let cookie = [COOKIE >> 32, COOKIE & 0xffff_ffff];
        [at >> 32, at & 0xffff_ffff, 0, cookie[0], cookie[1]]
    };
    for (start, result, marked) in [(shared, 0, MARK), (bad, BAD_PARAMETERS, 0)] {
        set(shared, 0);
        expect(
            "a call that asks",
            ALLOC,
            ask(arena, INVOKE, ASK, [VALUE_INOUT, 0, 0, 0]),
        )?;
        let seen = make(RETURN_FROM_RPC, memory(own));
        expect("what OP-TEE asks for", COMMAND, seen[0] as i64)?;
        expect("its message's command", 6, get(own))?;
        write_message(own, 6, 0, [TEMPORARY_OUTPUT, start, PAGE, 0]);
        expect("what OP-TEE asks for", FREE, again())?;
        expect("the end of the call", 0, again())?;
        let what = format_args!("result of a request answered with {start:#x}");
        expect(what, result, get(message + 40))?;
        expect("memory that OP-TEE wrote", marked, get(shared))?;
    }
    expect(
        "a call that asks",
        ALLOC,
        ask(arena, INVOKE, ASK, [VALUE_INOUT, 0, 0, 0]),
    )?;
    let seen = make(RETURN_FROM_RPC, memory(bad))[0];
    expect(
        "the end of a call that was given the monitor's memory",
        0,
        seen,
    )?;
    expect("its result", OUT_OF_MEMORY, get(message + 16) >> 32)
}
