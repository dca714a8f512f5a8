// SPDX-License-Identifier: Apache-2.0
//! Yielding calls between guest and OP-TEE: each has a slot with pages of the monitor's, from its message
//! to its end, through all requests (RPC) with which OP-TEE returns in between.

use super::call::{CALL_WITH_ARG, RETURN_FROM_RPC, Rpc, rpc, status};
use super::message::{self, BadMessage, Lists, PAGE, Page, WritableMemory};
use crate::sync::Lock;
use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// Yielding calls that can be under way: OP-TEE has as many threads as CPUs, or two.
pub const SLOTS: usize = 8;
/// Pages of a slot: the message, OP-TEE's own, and lists, of 511 pages each.
const SLOT_PAGES: usize = 8;
/// `OPTEE_SMC_SHM_CACHED`: how the message may be reached.
const CACHED: u64 = 1;

/// The registers of a call, a0 to a7. Only 32 bits of each count (SMC32).
pub type Registers = [u64; 8];

/// The yielding calls of a machine.
pub struct Mediator {
    slots: Lock<[Slot; SLOTS]>,
    pages: Box<[Page]>,
}

/// Who has a slot.
#[derive(Clone, Copy)]
enum Slot {
    Free,
    /// A CPU is in OP-TEE with it, or about to be.
    Taken,
    /// OP-TEE waits for the guest.
    Waiting(Call),
}

/// A yielding call.
#[derive(Clone, Copy)]
struct Call {
    slot: usize,
    /// The kernel that made it, by its number.
    kernel: u64,
    /// Where the guest's message lies, and how many parameters it has.
    address: u64,
    params: usize,
    /// Pages of lists that the message has.
    lists: usize,
    /// The guest's memory for OP-TEE's own messages.
    buffer: Option<Buffer>,
    /// OP-TEE's thread, by which the guest goes on.
    thread: u64,
    awaits: Awaits,
}

/// Guest memory that stands for the page of OP-TEE's own messages.
#[derive(Clone, Copy)]
struct Buffer {
    address: u64,
    size: u64,
    cookie: u64,
}

/// What OP-TEE waits for.
#[derive(Clone, Copy)]
enum Awaits {
    /// Memory of so many bytes.
    Buffer(u64),
    /// An answer with so many parameters.
    Answer(usize),
    /// An interrupt to be taken.
    Interrupt,
    /// Nothing that is returned.
    Nothing,
}

impl Mediator {
    /// Returns one without any call.
    ///
    /// # Errors
    ///
    /// There is no memory for its pages.
    pub fn new() -> Result<Self, TryReserveError> {
        let mut pages = Vec::new();
        pages.try_reserve_exact(SLOTS * SLOT_PAGES)?;
        pages.resize_with(SLOTS * SLOT_PAGES, Page::new);
        Ok(Self {
            slots: Lock::new([Slot::Free; SLOTS]),
            pages: pages.into(),
        })
    }

    /// The guest makes [`CALL_WITH_ARG`]; its kernel has the number `kernel`. `smc` calls OP-TEE; `is_over` says
    /// whether that kernel is over meanwhile. Returns what the guest finds in its registers.
    pub fn begin(
        &self,
        memory: &impl WritableMemory,
        kernel: u64,
        registers: Registers,
        smc: impl FnOnce(Registers) -> Registers,
        is_over: impl FnOnce() -> bool,
    ) -> Registers {
        let Some(slot) = self.take_free(kernel) else {
            return failed(status::ETHREAD_LIMIT);
        };
        let [page, _, lists @ ..] = self.pages_of(slot) else {
            return failed(status::ENOMEM);
        };
        let address = wide(registers[1], registers[2]);
        let mut lists = Lists::new(lists, 0);
        let params = match message::take(memory, address, page, &mut lists) {
            Ok(params) => params,
            Err(bad) => return self.refuse(slot, bad),
        };
        let call = Call {
            slot,
            kernel,
            address,
            params,
            lists: lists.used(),
            buffer: None,
            thread: 0,
            awaits: Awaits::Nothing,
        };
        let (high, low) = halves(page.address());
        let returned = smc([CALL_WITH_ARG.into(), high, low, CACHED, 0, 0, 0, 0]);
        self.returned(memory, call, returned, is_over)
    }

    /// The guest makes [`RETURN_FROM_RPC`]. The rest is as for [`Mediator::begin`].
    pub fn resume(
        &self,
        memory: &impl WritableMemory,
        kernel: u64,
        registers: Registers,
        smc: impl FnOnce(Registers) -> Registers,
        is_over: impl FnOnce() -> bool,
    ) -> Registers {
        let [_, a1, a2, thread, a4, a5, a6, _] = registers;
        let Some(mut call) = self.take_waiting(kernel, thread as u32) else {
            return failed(status::ERESUME);
        };
        let [_, own, lists @ ..] = self.pages_of(call.slot) else {
            return failed(status::ERESUME);
        };
        let mut given = [RETURN_FROM_RPC.into(), 0, 0, call.thread, 0, 0, 0, 0];
        match call.awaits {
            Awaits::Buffer(size) => {
                let (address, cookie) = (wide(a1, a2), wide(a4, a5));
                // Else it has none: the same as if the guest had none.
                if address.is_multiple_of(8) && size <= PAGE && memory.contains(address, size) {
                    call.buffer = Some(Buffer {
                        address,
                        size,
                        cookie,
                    });
                    (given[1], given[2]) = halves(own.address());
                    (given[4], given[5]) = halves(cookie);
                }
            }
            Awaits::Answer(params) => {
                if let Some(buffer) = call.buffer {
                    let mut lists = Lists::new(lists, call.lists);
                    message::answer(memory, buffer.address, own, params, &mut lists);
                }
            }
            Awaits::Interrupt => {
                (given[1], given[2], given[4], given[5], given[6]) = (a1, a2, a4, a5, a6)
            }
            Awaits::Nothing => {}
        }
        let returned = smc(given);
        self.returned(memory, call, returned, is_over)
    }

    /// OP-TEE has returned to the monitor.
    fn returned(
        &self,
        memory: &impl WritableMemory,
        mut call: Call,
        registers: Registers,
        is_over: impl FnOnce() -> bool,
    ) -> Registers {
        let [a0, a1, a2, a3, ..] = registers;
        let request = rpc(a0);
        // The kernel that made the call is gone, and its memory is another's.
        if is_over() {
            self.put(call.slot, Slot::Free);
            return registers;
        }
        let [page, own, ..] = self.pages_of(call.slot) else {
            return registers;
        };
        let Some(request) = request else {
            message::give_back(memory, call.address, page, call.params);
            self.put(call.slot, Slot::Free);
            return registers;
        };
        let has = |buffer: &Buffer| buffer.cookie == wide(a1, a2);
        call.thread = a3 & u64::from(u32::MAX);
        call.awaits = match request {
            Rpc::Alloc if call.buffer.is_none() => Awaits::Buffer(a1 & u64::from(u32::MAX)),
            Rpc::Free => {
                call.buffer = call.buffer.filter(|buffer| !has(buffer));
                Awaits::Nothing
            }
            Rpc::Command => match call.buffer.filter(has) {
                Some(buffer) => {
                    let params = message::ask(memory, buffer.address, buffer.size, own);
                    Awaits::Answer(params)
                }
                None => Awaits::Nothing,
            },
            Rpc::ForeignInterrupt => Awaits::Interrupt,
            Rpc::Alloc | Rpc::Other => Awaits::Nothing,
        };
        self.put(call.slot, Slot::Waiting(call));
        registers
    }

    /// Takes a slot for a call of `kernel`. Those of kernels before are given up: OP-TEE's threads
    /// wait for ever, and nobody can go on with them.
    fn take_free(&self, kernel: u64) -> Option<usize> {
        let mut slots = self.slots.lock();
        let slot = slots.iter().position(|slot| match slot {
            Slot::Free => true,
            Slot::Taken => false,
            Slot::Waiting(call) => call.kernel != kernel,
        })?;
        *slots.get_mut(slot)? = Slot::Taken;
        Some(slot)
    }

    /// Takes the slot of the call whose thread waits.
    fn take_waiting(&self, kernel: u64, thread: u32) -> Option<Call> {
        let mut slots = self.slots.lock();
        slots.iter_mut().find_map(|slot| match *slot {
            Slot::Waiting(call) if call.kernel == kernel && call.thread == u64::from(thread) => {
                *slot = Slot::Taken;
                Some(call)
            }
            _ => None,
        })
    }

    fn put(&self, slot: usize, state: Slot) {
        if let Some(slot) = self.slots.lock().get_mut(slot) {
            *slot = state;
        }
    }

    fn refuse(&self, slot: usize, bad: BadMessage) -> Registers {
        self.put(slot, Slot::Free);
        failed(bad.status())
    }

    /// The pages of a slot: the message, OP-TEE's own one, lists.
    fn pages_of(&self, slot: usize) -> &[Page] {
        let from = slot * SLOT_PAGES;
        self.pages.get(from..from + SLOT_PAGES).unwrap_or_default()
    }
}

/// What the guest finds where OP-TEE was not called.
fn failed(status: u64) -> Registers {
    [status, 0, 0, 0, 0, 0, 0, 0]
}

/// A number from the high and the low half that registers have.
fn wide(high: u64, low: u64) -> u64 {
    high << 32 | low & u64::from(u32::MAX)
}

fn halves(number: u64) -> (u64, u64) {
    (number >> 32, number & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
