// SPDX-License-Identifier: Apache-2.0
//! A message, `struct optee_msg_arg`: copied out of guest memory, checked in the copy, and its results
//! copied back (`optee_msg.h`).

use super::call::status;
use crate::memory::guest_memory::GuestMemory;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a page of the protocol, whatever pages the kernel has.
pub const PAGE: u64 = 4096;
const WORDS: usize = PAGE as usize / 8;
/// Words of a message's header, and of each parameter behind it.
const HEADER: usize = 4;
const PARAM: usize = 4;
/// Pages that a page of a list names; behind them stands where the list goes on.
const LISTED: u64 = WORDS as u64 - 1;

/// Guest memory that results are written to.
pub trait WritableMemory: GuestMemory {
    /// Writes the number at `address`, a multiple of 8, if that is RAM of the guest.
    fn write_u64(&self, address: u64, value: u64);
}

/// A page of the monitor's that OP-TEE reads and writes while it runs.
#[repr(C, align(4096))]
pub struct Page([AtomicU64; WORDS]);

/// Why a message is refused: what is returned in a0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMessage {
    /// It, or memory that it names, is not the guest's.
    Address,
    /// It is none that is known.
    Command,
    /// It names more memory than there is room to list.
    TooMuch,
}

/// Commands: OPEN_SESSION, INVOKE_COMMAND, CLOSE_SESSION, CANCEL, REGISTER_SHM, UNREGISTER_SHM,
/// DO_BOTTOM_HALF, STOP_ASYNC_NOTIF. Those behind them lend memory to the secure world for good.
const LAST_COMMAND: u32 = 7;

/// A parameter's kind, `OPTEE_MSG_ATTR_TYPE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    None,
    Value,
    /// By the cookie of memory that was registered: OP-TEE knows its pages.
    Registered,
    /// By address.
    Temporary,
}

/// `OPTEE_MSG_ATTR_NONCONTIG`: the address is that of a list of pages.
const NONCONTIG: u64 = 1 << 9;

impl Kind {
    fn of(attr: u64) -> Result<Self, BadMessage> {
        match attr & 0xff {
            0 => Ok(Self::None),
            1..=3 => Ok(Self::Value),
            5..=7 => Ok(Self::Registered),
            9..=11 => Ok(Self::Temporary),
            _ => Err(BadMessage::Command),
        }
    }
}

/// Whether OP-TEE may have written a parameter: of each kind, the first one is input alone.
fn is_output(attr: u64) -> bool {
    attr & 3 >= 2
}

impl BadMessage {
    /// What is returned in a0.
    pub fn status(self) -> u64 {
        match self {
            Self::Address => status::EBADADDR,
            Self::Command => status::EBADCMD,
            Self::TooMuch => status::ENOMEM,
        }
    }
}

impl Page {
    /// Returns a page of zeros.
    pub fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    /// Its physical address: the monitor's memory is where it is mapped.
    pub fn address(&self) -> u64 {
        &raw const *self as u64
    }

    /// Returns a word of it; 0 behind the last one.
    pub fn get(&self, word: usize) -> u64 {
        self.0.get(word).map_or(0, |word| word.load(Relaxed))
    }

    pub(super) fn set(&self, word: usize, value: u64) {
        if let Some(word) = self.0.get(word) {
            word.store(value, Relaxed);
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

/// Room for the lists of a message's pages.
pub struct Lists<'a> {
    pages: &'a [Page],
    used: usize,
}

impl<'a> Lists<'a> {
    /// Takes `pages`, the first `used` of which have lists already.
    pub fn new(pages: &'a [Page], used: usize) -> Self {
        Self { pages, used }
    }

    /// How many pages have lists.
    pub fn used(&self) -> usize {
        self.used
    }

    fn take(&mut self) -> Result<&'a Page, BadMessage> {
        let page = self.pages.get(self.used).ok_or(BadMessage::TooMuch)?;
        self.used += 1;
        Ok(page)
    }

    /// Copies the list of the pages that `size` bytes from `pointer` on lie in, and returns what stands
    /// for `pointer`. Its low bits are the offset in the first page.
    fn copy(
        &mut self,
        memory: &impl GuestMemory,
        pointer: u64,
        size: u64,
    ) -> Result<u64, BadMessage> {
        let offset = pointer % PAGE;
        let end = offset.checked_add(size).ok_or(BadMessage::Address)?;
        let count = end.div_ceil(PAGE);
        if count == 0 {
            return Err(BadMessage::Command);
        }
        // Before a list without an end is read.
        if count.div_ceil(LISTED) > (self.pages.len() - self.used.min(self.pages.len())) as u64 {
            return Err(BadMessage::TooMuch);
        }
        let mut from = pointer - offset;
        let first = self.take()?;
        let mut to = first;
        for number in 0..count {
            let place = number % LISTED;
            if number > 0 && place == 0 {
                from = read(memory, from, LISTED)?;
                let next = self.take()?;
                to.set(WORDS - 1, next.address());
                to = next;
            }
            let page = read(memory, from, place)?;
            if !page.is_multiple_of(PAGE) || !memory.contains(page, PAGE) {
                return Err(BadMessage::Address);
            }
            to.set(place as usize, page);
        }
        Ok(first.address() | offset)
    }
}

/// Reads a word of the page of a list.
fn read(memory: &impl GuestMemory, page: u64, word: u64) -> Result<u64, BadMessage> {
    let address = page
        .is_multiple_of(PAGE)
        .then(|| page.checked_add(word * 8));
    address
        .flatten()
        .and_then(|address| memory.read_u64(address))
        .ok_or(BadMessage::Address)
}

/// How many parameters a message may have in `size` bytes.
fn room(size: u64) -> usize {
    (size.min(PAGE) as usize / 8).saturating_sub(HEADER) / PARAM
}

/// Copies the message at `address` to `page`, and checks it there; returns how many parameters it has.
///
/// # Errors
///
/// [`BadMessage`]: it must not be given to OP-TEE.
pub fn take(
    memory: &impl GuestMemory,
    address: u64,
    page: &Page,
    lists: &mut Lists<'_>,
) -> Result<usize, BadMessage> {
    for number in 0..HEADER {
        page.set(number, word(memory, address, number)?);
    }
    let params = params(page);
    if page.get(0) as u32 > LAST_COMMAND || params > room(PAGE) {
        return Err(BadMessage::Command);
    }
    take_params(memory, address, page, params, lists)?;
    Ok(params)
}

/// Reads a word of the message at `address`: once, as the guest may change it.
fn word(memory: &impl GuestMemory, address: u64, word: usize) -> Result<u64, BadMessage> {
    let at = address.checked_add(word as u64 * 8);
    at.filter(|at| at.is_multiple_of(8))
        .and_then(|at| memory.read_u64(at))
        .ok_or(BadMessage::Address)
}

/// Copies parameters to `page`, each if it names the guest's memory alone.
fn take_params(
    memory: &impl GuestMemory,
    address: u64,
    page: &Page,
    params: usize,
    lists: &mut Lists<'_>,
) -> Result<(), BadMessage> {
    for at in (0..params).map(|param| HEADER + param * PARAM) {
        let mut param = [0; PARAM];
        for (number, value) in param.iter_mut().enumerate() {
            *value = word(memory, address, at + number)?;
        }
        let [attr, pointer, size, _] = param;
        if Kind::of(attr)? == Kind::Temporary {
            if attr & NONCONTIG != 0 {
                param[1] = lists.copy(memory, pointer, size)?;
            } else if (pointer, size) != (0, 0) && !memory.contains(pointer, size.max(1)) {
                return Err(BadMessage::Address);
            }
        }
        for (number, value) in param.into_iter().enumerate() {
            page.set(at + number, value);
        }
    }
    Ok(())
}

/// The number of parameters in a header.
fn params(page: &Page) -> usize {
    (page.get(3) >> 32) as usize
}

/// Copies what OP-TEE answered in `page` to the message at `address`, which had `params` parameters: the
/// results, values, and sizes of memory.
pub fn give_back(memory: &impl WritableMemory, address: u64, page: &Page, params: usize) {
    let write = |word: usize, value| {
        if let Some(at) = address.checked_add(word as u64 * 8) {
            memory.write_u64(at, value);
        }
    };
    // The session; ret; where that comes from, beside the number of parameters that was taken.
    write(1, page.get(1));
    write(2, page.get(2));
    write(3, page.get(3) & 0xffff_ffff | (params as u64) << 32);
    for at in (0..params).map(|param| HEADER + param * PARAM) {
        let attr = page.get(at);
        match Kind::of(attr) {
            Ok(Kind::Value) if is_output(attr) => {
                for word in 1..PARAM {
                    write(at + word, page.get(at + word));
                }
            }
            Ok(Kind::Registered | Kind::Temporary) if is_output(attr) => {
                write(at + 2, page.get(at + 2));
            }
            _ => {}
        }
    }
}

/// Copies OP-TEE's own message in `page` to the guest's memory at `address`, of `size` bytes; returns
/// how many parameters it has.
pub fn ask(memory: &impl WritableMemory, address: u64, size: u64, page: &Page) -> usize {
    let params = params(page).min(room(size));
    for word in 0..HEADER + params * PARAM {
        if let Some(at) = address.checked_add(word as u64 * 8) {
            memory.write_u64(at, page.get(word));
        }
    }
    params
}

/// `TEEC_ERROR_BAD_PARAMETERS`, in its place in a message; its origin is the monitor's choice, COMMS.
const REFUSED: u64 = 0xffff_0006 << 32;
const COMMS: u64 = 2;

/// Copies what the guest answered at `address` to OP-TEE's message in `page`, with `params` parameters.
/// Where it names memory that is not the guest's, OP-TEE is told that what it asked for has failed.
pub fn answer(
    memory: &impl GuestMemory,
    address: u64,
    page: &Page,
    params: usize,
    lists: &mut Lists<'_>,
) {
    let origin = |origin: u64| origin & 0xffff_ffff | (params as u64) << 32;
    if let Err(_bad) = try_answer(memory, address, page, params, lists) {
        page.set(2, REFUSED);
        page.set(3, origin(COMMS));
        for param in 0..params {
            page.set(HEADER + param * PARAM, 0);
        }
    } else {
        page.set(3, origin(page.get(3)));
    }
}

fn try_answer(
    memory: &impl GuestMemory,
    address: u64,
    page: &Page,
    params: usize,
    lists: &mut Lists<'_>,
) -> Result<(), BadMessage> {
    for number in 2..HEADER {
        page.set(number, word(memory, address, number)?);
    }
    take_params(memory, address, page, params, lists)
}

#[cfg(test)]
mod tests;
