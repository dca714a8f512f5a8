// SPDX-License-Identifier: Apache-2.0
//! Finds the calls that the monitor patches: two in the kernel's `kernel_kexec()`, and [two where it leaves
//! after a panic](crash). One pair is found or not whatever becomes of the other.
//!
//! In `kernel_kexec()` the first one takes the other CPUs down. It is `machine_shutdown()`, which does nothing but call
//! `smp_shutdown_nonboot_cpus(reboot_cpu)` (5.8 and later); a compiler that sees both functions at once
//! (LTO) puts that call in its place. These are global functions, so their names are their own: one with
//! something behind it (`.llvm.1`, `.constprop.0`, `.cold`) is another function, or a part of one, and
//! says nothing for certain.

pub mod crash;

use super::kallsyms::{KallsymsError, Matches, Symbols};
use crate::linux::crash::variables;
use crate::little_endian::u32_at;
use core::ops::Range;
use crash::{CrashSites, LEAVERS};
use thiserror::Error;

const CALLER: &str = "kernel_kexec";
const SHUTDOWN: &str = "machine_shutdown";
const CPUS_DOWN: &str = "smp_shutdown_nonboot_cpus";
const KEXEC: &str = "machine_kexec";
const CRASH_SHUTDOWN: &str = "machine_crash_shutdown";

/// A call in the kernel's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its offset from the start of the Image, in bytes.
    pub offset: u64,
    /// The instruction there, a `bl`.
    pub word: u32,
}

/// The two calls by which an unmodified kernel leaves for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookSites {
    /// `bl machine_shutdown`, or `bl smp_shutdown_nonboot_cpus` where that is inlined: it takes the
    /// other CPUs down, and returns nothing. After a panic `bl machine_crash_shutdown`, which stops them, and
    /// keeps their registers.
    pub shutdown: Site,
    /// `bl machine_kexec`, which enters the next kernel.
    pub kexec: Site,
}

/// What of a kernel can be patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The calls of its kexec.
    pub kexec: Result<HookSites, NoSites>,
    /// The calls by which it leaves after a panic.
    pub crash: Result<CrashSites, NoSites>,
}

/// Why the calls are not certain. Offsets are in bytes from the start of the Image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoSites {
    /// The kernel's symbols were not found.
    #[error(transparent)]
    Kallsyms(#[from] KallsymsError),
    /// There is no such function.
    #[error("no function {0}")]
    NoFunction(&'static str),
    /// There is more than one such function.
    #[error("{count} functions {name}")]
    Functions {
        /// The name.
        name: &'static str,
        /// How many have it.
        count: usize,
    },
    /// The symbol is not at the place of a function in the Image.
    #[error("{name} at {offset:#x} is not in the Image")]
    Outside {
        /// The function.
        name: &'static str,
        /// Where the symbol is.
        offset: u64,
    },
    /// `kernel_kexec()` does not call the function exactly once.
    #[error("kernel_kexec calls {name} {count} times")]
    Calls {
        /// The function called.
        name: &'static str,
        /// How often.
        count: usize,
    },
    /// The function that kexec runs through has no call that takes the other CPUs down.
    #[error("kernel_kexec calls neither machine_shutdown nor smp_shutdown_nonboot_cpus")]
    NoShutdown,
    /// The function that kexec runs through has more than one call that takes the other CPUs down.
    #[error("kernel_kexec calls both machine_shutdown and smp_shutdown_nonboot_cpus")]
    BothShutdowns,
    /// The calls stand in the wrong order.
    #[error(
        "kernel_kexec calls machine_kexec at {kexec:#x}, before the shutdown of CPUs at {shutdown:#x}"
    )]
    Order {
        /// Where the call that takes the other CPUs down stands.
        shutdown: u64,
        /// Where the call of `machine_kexec` is.
        kexec: u64,
    },
    /// No code calls the function, so the kernel runs a copy of it that was inlined.
    #[error("nothing calls kernel_kexec: it is inlined where it is used")]
    Inlined,
    /// No function that is looked at stops the other CPUs after a panic.
    #[error("neither __crash_kexec nor crash_kexec calls machine_crash_shutdown")]
    NoCrash,
    /// A function that leaves after a panic does not call both functions exactly once.
    #[error(
        "{name} calls machine_crash_shutdown {shutdown} times, and machine_kexec {kexec} times"
    )]
    CrashPair {
        /// The function.
        name: &'static str,
        /// How often it calls `machine_crash_shutdown`.
        shutdown: usize,
        /// How often it calls `machine_kexec`.
        kexec: usize,
    },
    /// It calls them in the wrong order.
    #[error("{0} calls machine_kexec before machine_crash_shutdown")]
    CrashOrder(&'static str),
}

/// Finds the calls in `image`, the kernel in memory from its header to its end (`image_size` bytes).
pub fn find(image: &[u8]) -> Found {
    let symbols = match Symbols::find(image) {
        Ok(symbols) => symbols,
        Err(error) => {
            let why = NoSites::Kallsyms(error);
            return Found {
                kexec: Err(why),
                crash: Err(why),
            };
        }
    };
    let [first_leaver, second_leaver] = LEAVERS;
    let [
        caller,
        shutdown,
        cpus_down,
        kexec,
        crash_shutdown,
        save,
        leavers @ ..,
    ] = symbols.text([
        CALLER,
        SHUTDOWN,
        CPUS_DOWN,
        KEXEC,
        CRASH_SHUTDOWN,
        variables::SAVE_CPU,
        first_leaver,
        second_leaver,
    ]);
    let function = |name, matches: Matches| match matches.count {
        0 => Ok(None),
        1 => match symbols.offset(matches.last) {
            Some(offset) if offset.is_multiple_of(4) && offset < image.len() as u64 => {
                Ok(Some(offset))
            }
            Some(offset) => Err(NoSites::Outside { name, offset }),
            None => Err(NoSites::NoFunction(name)),
        },
        count => Err(NoSites::Functions { name, count }),
    };
    let there = |name, matches| function(name, matches)?.ok_or(NoSites::NoFunction(name));
    let end = |matches: Matches| {
        let next = symbols.next_offset(matches.last);
        next.unwrap_or(image.len() as u64)
    };
    let kexec = there(KEXEC, kexec);
    let of_kexec = || {
        let start = there(CALLER, caller)?;
        let calls = Calls {
            code: start..end(caller),
            shutdown: function(SHUTDOWN, shutdown)?,
            cpus_down: function(CPUS_DOWN, cpus_down)?,
            kexec: kexec?,
        };
        let sites = calls.find(image)?;
        // `reboot()` calls it, and nobody else does. The code lies before the tables of the symbols.
        match is_called(image.get(..symbols.start()).unwrap_or(image), start) {
            true => Ok(sites),
            false => Err(NoSites::Inlined),
        }
    };
    let of_crash = || {
        let mut functions = [const { None }; LEAVERS.len()];
        for ((place, name), matches) in functions.iter_mut().zip(LEAVERS).zip(leavers) {
            *place = function(name, matches)?.map(|start| start..end(matches));
        }
        let shutdown = there(CRASH_SHUTDOWN, crash_shutdown)?;
        let save = match function(variables::SAVE_CPU, save) {
            Ok(Some(start)) => Some(start..end(save)),
            _ => None,
        };
        CrashSites::find(image, functions, shutdown, kexec?, save)
    };
    Found {
        kexec: of_kexec(),
        crash: of_crash(),
    }
}

/// `kernel_kexec()`, and the functions that it may call: offsets from the start of the Image.
struct Calls {
    code: Range<u64>,
    shutdown: Option<u64>,
    cpus_down: Option<u64>,
    kexec: u64,
}

impl Calls {
    /// Finds both calls.
    fn find(&self, image: &[u8]) -> Result<HookSites, NoSites> {
        let call = |name, target| only_call(image, self.code.clone(), name, target);
        let call_if_there = |name, target: Option<u64>| match target {
            Some(target) => call(name, target),
            None => Ok(None),
        };
        let shutdown = match (
            call_if_there(SHUTDOWN, self.shutdown)?,
            call_if_there(CPUS_DOWN, self.cpus_down)?,
        ) {
            (Some(site), None) | (None, Some(site)) => site,
            (Some(_), Some(_)) => return Err(NoSites::BothShutdowns),
            (None, None) => return Err(NoSites::NoShutdown),
        };
        let kexec = call(KEXEC, self.kexec)?.ok_or(NoSites::Calls {
            name: KEXEC,
            count: 0,
        })?;
        if kexec.offset < shutdown.offset {
            return Err(NoSites::Order {
                shutdown: shutdown.offset,
                kexec: kexec.offset,
            });
        }
        Ok(HookSites { shutdown, kexec })
    }
}

/// Returns the `bl` to `target` among the instructions at `code`, if there is one. More than one is an error.
fn only_call(
    image: &[u8],
    code: Range<u64>,
    name: &'static str,
    target: u64,
) -> Result<Option<Site>, NoSites> {
    let mut calls = calls(image, code, target);
    match (calls.next(), calls.count()) {
        (first, 0) => Ok(first),
        (_, more) => Err(NoSites::Calls {
            name,
            count: more + 1,
        }),
    }
}

/// Returns each `bl` to `target` among the instructions at `code`.
fn calls(image: &[u8], code: Range<u64>, target: u64) -> impl Iterator<Item = Site> {
    code.step_by(4).filter_map(move |offset| {
        let word = u32_at(image, usize::try_from(offset).ok()?)?;
        (word == branch_with_link(offset, target)).then_some(Site { offset, word })
    })
}

/// Returns whether a `bl` or a `b` in `code`, which begins where the Image does, leads to `target`.
fn is_called(code: &[u8], target: u64) -> bool {
    (0..)
        .step_by(4)
        .zip(code.as_chunks::<4>().0)
        .any(|(offset, word)| u32::from_le_bytes(*word) | LINK == branch_with_link(offset, target))
}

/// The bit that makes a `b` a `bl`.
const LINK: u32 = 1 << 31;

/// Returns the instruction `bl` at `from` to `to` (DDI 0487, C6.2 BL).
const fn branch_with_link(from: u64, to: u64) -> u32 {
    0x9400_0000 | (to.wrapping_sub(from) >> 2) as u32 & 0x03ff_ffff
}

#[cfg(test)]
mod tests;
