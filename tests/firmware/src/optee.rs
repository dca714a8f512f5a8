// SPDX-License-Identifier: Apache-2.0
//! As much of OP-TEE as shows what reaches it: its calls (`optee_smc.h`), and messages (`optee_msg.h`)
//! that have it write [`MARK`] where they say. It believes every address, as OP-TEE does.
//!
//! A thread is the CPU's that made the call.

use crate::board::{MAX_CPUS, read64, write64};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What it writes to memory that a message names.
const MARK: u64 = 0x6b72_616d_6565_7470;

const GET_OS_REVISION: u32 = 0xb200_0001;
const EXCHANGE_CAPABILITIES: u32 = 0xb200_0009;
const CALL_WITH_ARG: u32 = 0x3200_0004;
const RETURN_FROM_RPC: u32 = 0x3200_0003;

/// All that an OP-TEE can have, and four parameters in its own messages.
const CAPABILITIES: [u64; 4] = [0, 0x1ff, 0, 4];

const RPC_ALLOC: u64 = 0xffff_0000;
const RPC_FREE: u64 = 0xffff_0002;
const RPC_INTERRUPT: u64 = 0xffff_0004;
const RPC_COMMAND: u64 = 0xffff_0005;

/// Commands of messages: INVOKE_COMMAND, whose function is one of those below, and REGISTER_SHM.
const INVOKE: u32 = 1;
const REGISTER_SHM: u32 = 4;
/// Says where the message lies that it got.
const PLACE: u32 = 0;
/// Marks the memory of the first parameter.
const WRITE: u32 = 1;
/// Asks the guest for memory, and marks it.
const ASK: u32 = 2;
/// Returns for an interrupt that is not OP-TEE's.
const INTERRUPT: u32 = 3;

/// OP-TEE's request for shared memory, and its message's size.
const SHM_ALLOC: u64 = 6;
const REQUEST_SIZE: u64 = 64;
const OUT_OF_MEMORY: u64 = 0xffff_000c;
const TEMPORARY_OUTPUT: u64 = 10;

/// What a thread waits for.
mod waits {
    pub const NOTHING: u64 = 0;
    pub const BUFFER: u64 = 1;
    pub const ANSWER: u64 = 2;
    pub const END: u64 = 3;
}

struct Thread {
    waits: AtomicU64,
    message: AtomicU64,
    own: AtomicU64,
    cookie: AtomicU64,
}

static THREADS: [Thread; MAX_CPUS] = [const {
    Thread {
        waits: AtomicU64::new(0),
        message: AtomicU64::new(0),
        own: AtomicU64::new(0),
        cookie: AtomicU64::new(0),
    }
}; MAX_CPUS];

/// Whether a call is one of a trusted OS.
pub fn is_call(id: u64) -> bool {
    matches!(id >> 24 & 0x3f, 50..=63)
}

/// Answers the SMC whose arguments are x0 to x7, on the CPU with this number.
pub fn call(x: &mut [u64; 8], number: usize) {
    let thread = &THREADS[number];
    let returned = match x[0] as u32 {
        GET_OS_REVISION => [4, 5, 0, 0],
        EXCHANGE_CAPABILITIES => CAPABILITIES,
        CALL_WITH_ARG => {
            thread.message.store(wide(x[1], x[2]), Relaxed);
            begin(thread, number as u64)
        }
        RETURN_FROM_RPC => match THREADS.get(x[3] as usize) {
            Some(thread) => resume(thread, x),
            None => [3, 0, 0, 0],
        },
        _ => [u64::MAX, 0, 0, 0],
    };
    x[..4].copy_from_slice(&returned);
}

fn begin(thread: &Thread, number: u64) -> [u64; 4] {
    let message = thread.message.load(Relaxed);
    let header = read64(message);
    let (command, function) = (header as u32, (header >> 32) as u32);
    let wait = |waits, a0, a1| {
        thread.waits.store(waits, Relaxed);
        [a0, a1, 0, number]
    };
    match (command, function) {
        (REGISTER_SHM, _) => mark_list(param(message, 1), param(message, 2)),
        (INVOKE, PLACE) => set_param(message, 1, message),
        (INVOKE, WRITE) => write64(param(message, 1), MARK),
        (INVOKE, ASK) => return wait(waits::BUFFER, RPC_ALLOC, REQUEST_SIZE),
        (INVOKE, INTERRUPT) => return wait(waits::END, RPC_INTERRUPT, 0),
        _ => {}
    }
    end(thread, 0)
}

fn resume(thread: &Thread, x: &[u64; 8]) -> [u64; 4] {
    let message = thread.message.load(Relaxed);
    let ask = |waits, request| {
        let cookie = thread.cookie.load(Relaxed);
        thread.waits.store(waits, Relaxed);
        [request, cookie >> 32, cookie & 0xffff_ffff, x[3]]
    };
    match thread.waits.load(Relaxed) {
        waits::BUFFER => {
            let own = wide(x[1], x[2]);
            if own == 0 {
                return end(thread, OUT_OF_MEMORY);
            }
            thread.own.store(own, Relaxed);
            thread.cookie.store(wide(x[4], x[5]), Relaxed);
            let request = [SHM_ALLOC, 0, 0, 1 << 32, 1, 0, 4096, 0];
            for (word, value) in (0..).zip(request) {
                write64(own + word * 8, value);
            }
            ask(waits::ANSWER, RPC_COMMAND)
        }
        waits::ANSWER => {
            let own = thread.own.load(Relaxed);
            if param(own, 0) == TEMPORARY_OUTPUT {
                write64(param(own, 1), MARK);
            }
            set_param(message, 1, read64(own + 16) >> 32);
            set_param(message, 2, own);
            ask(waits::END, RPC_FREE)
        }
        waits::END => end(thread, 0),
        _ => [3, 0, 0, 0],
    }
}

/// The call is over, with a result.
fn end(thread: &Thread, result: u64) -> [u64; 4] {
    thread.waits.store(waits::NOTHING, Relaxed);
    write64(thread.message.load(Relaxed) + 16, result << 32);
    [0; 4]
}

/// Marks each page of a list.
fn mark_list(pointer: u64, size: u64) {
    let mut list = pointer & !0xfff;
    for number in 0..(size + (pointer & 0xfff)).div_ceil(4096) {
        if number > 0 && number.is_multiple_of(511) {
            list = read64(list + 511 * 8);
        }
        write64(read64(list + number % 511 * 8), MARK);
    }
}

/// A word of a message's first parameter.
fn param(message: u64, word: u64) -> u64 {
    read64(message + 32 + word * 8)
}

fn set_param(message: u64, word: u64, value: u64) {
    write64(message + 32 + word * 8, value);
}

fn wide(high: u64, low: u64) -> u64 {
    high << 32 | low & 0xffff_ffff
}
