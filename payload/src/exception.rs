// SPDX-License-Identifier: Apache-2.0
//! Exceptions: those that a test asks for are handed to it, all others end the run.

use crate::cpu::{self, Frame};
use crate::finish::fail_and_stop;
use core::arch::global_asm;
use core::mem::{MaybeUninit, offset_of};
use core::sync::atomic::Ordering::Relaxed;

/// An exception that ended a guarded function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `ESR_EL1`.
    pub esr: u64,
    /// `FAR_EL1`.
    pub far: u64,
}

impl Fault {
    /// `ESR_EL1.EC`, bits 31 to 26.
    pub fn class(&self) -> u64 {
        self.esr >> 26 & 0x3f
    }
}

/// `ESR_EL1.EC`: instruction abort from the same exception level.
pub const EC_INSTRUCTION_ABORT: u64 = 0x21;
/// `ESR_EL1.EC`: an instruction that is undefined.
pub const EC_UNKNOWN: u64 = 0;
/// `ESR_EL1.EC`: data abort from the same exception level.
pub const EC_DATA_ABORT: u64 = 0x25;

/// Index of the vector for synchronous exceptions from EL1 with SP_EL1.
const SYNC_EL1H: u64 = 4;
/// Index of the vector for SErrors from EL1 with SP_EL1.
const SERROR_EL1H: u64 = 7;

/// What `guard_call` saves on the stack: what a function must keep (AAPCS64), and where the guard is.
#[repr(C, align(16))]
struct Saved {
    /// x29 and x30, which a store with writeback puts at the lowest address.
    frame_record: [u64; 2],
    x19_to_x28: [u64; 10],
    guard: *mut u64,
}

const _: () = assert!(
    offset_of!(Saved, frame_record) == 0,
    "guard_call saves x29 and x30 with writeback"
);
const _: () = assert!(
    size_of::<Frame>().is_multiple_of(16),
    "SP is a multiple of 16"
);

global_asm!(
    include_str!("vectors.S"),
    exception = sym exception,
    frame_size = const size_of::<Frame>(),
    frame_x = const offset_of!(Frame, x),
    frame_elr = const offset_of!(Frame, elr),
    frame_spsr = const offset_of!(Frame, spsr),
    frame_esr = const offset_of!(Frame, esr),
    frame_far = const offset_of!(Frame, far),
    saved_size = const size_of::<Saved>(),
    saved_x19 = const offset_of!(Saved, x19_to_x28),
    saved_guard = const offset_of!(Saved, guard),
);

unsafe extern "C" {
    fn guard_call(function: unsafe extern "C" fn(*mut u8), data: *mut u8, guard: *mut u64) -> u64;
    fn guard_landing();
}

/// Runs `function` and returns what it returns, or the exception that ended it.
///
/// The function must hold nothing that has to be dropped when an exception ends it. A guard inside
/// another is not kept: the outer one ends with the inner one.
pub fn attempt<T, F: FnOnce() -> T>(function: F) -> Result<T, Fault> {
    struct Work<T, F> {
        function: Option<F>,
        result: MaybeUninit<T>,
    }
    unsafe extern "C" fn run<T, F: FnOnce() -> T>(data: *mut u8) {
        // SAFETY: `attempt` passes its own `Work`, which outlives the call.
        let work = unsafe { &mut *data.cast::<Work<T, F>>() };
        if let Some(function) = work.function.take() {
            work.result.write(function());
        }
    }
    let mut work = Work {
        function: Some(function),
        result: MaybeUninit::uninit(),
    };
    let this = cpu::current();
    // SAFETY: `run` fits its data; the guard is this CPU's, and only its own exceptions use it.
    let faulted = unsafe { guard_call(run::<T, F>, (&raw mut work).cast(), this.guard.as_ptr()) };
    if faulted != 0 {
        return Err(Fault {
            esr: this.fault_esr.load(Relaxed),
            far: this.fault_far.load(Relaxed),
        });
    }
    // SAFETY: without a fault `run` has returned, and it has written the result.
    Ok(unsafe { work.result.assume_init() })
}

extern "C" fn exception(frame: &mut Frame, kind: u64) {
    if let Some(this) = cpu::try_current() {
        if let (Some(handler), SYNC_EL1H) = (this.handler(), kind) {
            return handler(this, frame);
        }
        let guard = this.guard.load(Relaxed);
        if guard != 0 && (kind == SYNC_EL1H || kind == SERROR_EL1H) {
            this.guard.store(0, Relaxed);
            this.fault_esr.store(frame.esr, Relaxed);
            this.fault_far.store(frame.far, Relaxed);
            frame.x[0] = guard;
            frame.elr = guard_landing as *const () as u64;
            return;
        }
    }
    fail_and_stop(format_args!(
        "no exception expected, seen vector {kind} ESR {:#x} FAR {:#x} ELR {:#x} SPSR {:#x} LR {:#x}",
        frame.esr, frame.far, frame.elr, frame.spsr, frame.x[30]
    ))
}
