// SPDX-License-Identifier: Apache-2.0
//! Finds the two calls in the kernel's `kernel_kexec()` that the monitor patches.
//!
//! The first one takes the other CPUs down. It is `machine_shutdown()`, which does nothing but call
//! `smp_shutdown_nonboot_cpus(reboot_cpu)` (5.8 and later); a compiler that sees both functions at once
//! (LTO) puts that call in its place. These are global functions, so their names are their own: one with
//! something behind it (`.llvm.1`, `.constprop.0`, `.cold`) is another function, or a part of one, and
//! says nothing for certain.

use super::kallsyms::{KallsymsError, Matches, Symbols};
use crate::little_endian::u32_at;
use core::ops::Range;
use thiserror::Error;

const CALLER: &str = "kernel_kexec";
const SHUTDOWN: &str = "machine_shutdown";
const CPUS_DOWN: &str = "smp_shutdown_nonboot_cpus";
const KEXEC: &str = "machine_kexec";

/// A call in the kernel's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its offset from the start of the Image, in bytes.
    pub offset: u64,
    /// The instruction there, a `bl`.
    pub word: u32,
}

/// The calls by which an unmodified kernel does its kexec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookSites {
    /// `bl machine_shutdown`, or `bl smp_shutdown_nonboot_cpus` where that is inlined: it takes the
    /// other CPUs down, and returns nothing.
    pub shutdown: Site,
    /// `bl machine_kexec`, which enters the next kernel.
    pub kexec: Site,
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
}

/// Finds both calls in `image`, the kernel in memory from its header to its end (`image_size`
/// bytes).
///
/// # Errors
///
/// Returns [`NoSites`] unless both calls are certain.
pub fn find(image: &[u8]) -> Result<HookSites, NoSites> {
    let symbols = Symbols::find(image)?;
    let [caller, shutdown, cpus_down, kexec] = symbols.text([CALLER, SHUTDOWN, CPUS_DOWN, KEXEC]);
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
    let start = function(CALLER, caller)?.ok_or(NoSites::NoFunction(CALLER))?;
    let shutdown = function(SHUTDOWN, shutdown)?;
    let cpus_down = function(CPUS_DOWN, cpus_down)?;
    let kexec = function(KEXEC, kexec)?.ok_or(NoSites::NoFunction(KEXEC))?;
    let end = symbols
        .next_offset(caller.last)
        .unwrap_or(image.len() as u64);

    let call = |name, target| only_call(image, start..end, name, target);
    let call_if_there = |name, target: Option<u64>| match target {
        Some(target) => call(name, target),
        None => Ok(None),
    };
    let shutdown = match (
        call_if_there(SHUTDOWN, shutdown)?,
        call_if_there(CPUS_DOWN, cpus_down)?,
    ) {
        (Some(site), None) | (None, Some(site)) => site,
        (Some(_), Some(_)) => return Err(NoSites::BothShutdowns),
        (None, None) => return Err(NoSites::NoShutdown),
    };
    let kexec = call(KEXEC, kexec)?.ok_or(NoSites::Calls {
        name: KEXEC,
        count: 0,
    })?;
    if kexec.offset < shutdown.offset {
        return Err(NoSites::Order {
            shutdown: shutdown.offset,
            kexec: kexec.offset,
        });
    }
    // `reboot()` calls it, and nobody else does. The code lies before the tables of the symbols.
    if !is_called(image.get(..symbols.start()).unwrap_or(image), start) {
        return Err(NoSites::Inlined);
    }
    Ok(HookSites { shutdown, kexec })
}

/// Returns the `bl` to `target` among the instructions at `code`, if there is one. More than one is an error.
fn only_call(
    image: &[u8],
    code: Range<u64>,
    name: &'static str,
    target: u64,
) -> Result<Option<Site>, NoSites> {
    let mut calls = code.step_by(4).filter_map(|offset| {
        let word = u32_at(image, usize::try_from(offset).ok()?)?;
        (word == branch_with_link(offset, target)).then_some(Site { offset, word })
    });
    match (calls.next(), calls.count()) {
        (first, 0) => Ok(first),
        (_, more) => Err(NoSites::Calls {
            name,
            count: more + 1,
        }),
    }
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
