// SPDX-License-Identifier: Apache-2.0
//! Finds the two calls in the kernel's `kernel_kexec()` that the monitor patches.

use super::bytes::u32_at;
use super::kallsyms::{KallsymsError, Matches, Symbols};
use thiserror::Error;

const CALLER: &str = "kernel_kexec";
const SHUTDOWN: &str = "machine_shutdown";
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
    /// `bl machine_shutdown`, which takes the other CPUs down.
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
    /// The calls are in the wrong order.
    #[error(
        "kernel_kexec calls machine_kexec at {kexec:#x}, before machine_shutdown at {shutdown:#x}"
    )]
    Order {
        /// Where the call of `machine_shutdown` is.
        shutdown: u64,
        /// Where the call of `machine_kexec` is.
        kexec: u64,
    },
}

/// Finds both calls in `image`, the kernel in memory from its header to its end (`image_size`
/// bytes).
///
/// # Errors
///
/// Returns [`NoSites`] unless both calls are certain.
pub fn find(image: &[u8]) -> Result<HookSites, NoSites> {
    let symbols = Symbols::find(image)?;
    let [caller, shutdown, kexec] = symbols.text([CALLER, SHUTDOWN, KEXEC]);
    let offset = |name, matches: Matches| match matches.count {
        1 => symbols
            .offset(matches.last)
            .ok_or(NoSites::NoFunction(name)),
        0 => Err(NoSites::NoFunction(name)),
        count => Err(NoSites::Functions { name, count }),
    };
    let (start, shutdown, kexec) = (
        offset(CALLER, caller)?,
        offset(SHUTDOWN, shutdown)?,
        offset(KEXEC, kexec)?,
    );
    for (name, offset) in [(CALLER, start), (SHUTDOWN, shutdown), (KEXEC, kexec)] {
        if !offset.is_multiple_of(4) || offset >= image.len() as u64 {
            return Err(NoSites::Outside { name, offset });
        }
    }
    let end = symbols
        .next_offset(caller.last)
        .unwrap_or(image.len() as u64);
    let shutdown = only_call(image, start..end, SHUTDOWN, shutdown)?;
    let kexec = only_call(image, start..end, KEXEC, kexec)?;
    if kexec.offset < shutdown.offset {
        return Err(NoSites::Order {
            shutdown: shutdown.offset,
            kexec: kexec.offset,
        });
    }
    Ok(HookSites { shutdown, kexec })
}

/// Returns the one `bl` to `target` among the instructions at `code`.
fn only_call(
    image: &[u8],
    code: core::ops::Range<u64>,
    name: &'static str,
    target: u64,
) -> Result<Site, NoSites> {
    let mut calls = code.step_by(4).filter_map(|offset| {
        let word = u32_at(image, usize::try_from(offset).ok()?)?;
        (word == branch_with_link(offset, target)).then_some(Site { offset, word })
    });
    match (calls.next(), calls.count()) {
        (Some(site), 0) => Ok(site),
        (None, _) => Err(NoSites::Calls { name, count: 0 }),
        (Some(_), more) => Err(NoSites::Calls {
            name,
            count: more + 1,
        }),
    }
}

/// Returns the instruction `bl` at `from` to `to` (DDI 0487, C6.2 BL).
const fn branch_with_link(from: u64, to: u64) -> u32 {
    0x9400_0000 | (to.wrapping_sub(from) >> 2) as u32 & 0x03ff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::kallsyms::synthetic::{Kernel, LAYOUTS, Layout};

    const CALLER_AT: u64 = 0x2000;
    const SHUTDOWN_AT: u64 = 0x1400;
    const KEXEC_AT: u64 = 0x9000;
    const FIRST: u64 = CALLER_AT + 8;
    const SECOND: u64 = CALLER_AT + 0x14;

    fn kernel(layout: Layout) -> Kernel {
        let mut kernel = Kernel::new(layout);
        kernel.rename(CALLER_AT, 'T', CALLER);
        kernel.rename(SHUTDOWN_AT, 'T', SHUTDOWN);
        kernel.rename(KEXEC_AT, 't', KEXEC);
        kernel
            .words
            .push((FIRST, branch_with_link(FIRST, SHUTDOWN_AT)));
        kernel
            .words
            .push((SECOND, branch_with_link(SECOND, KEXEC_AT)));
        // The crash path, and a jump: neither is a site.
        kernel.words.push((
            CALLER_AT + 0x24,
            branch_with_link(CALLER_AT + 0x24, KEXEC_AT),
        ));
        kernel.words.push((
            CALLER_AT + 0xc,
            branch_with_link(CALLER_AT + 0xc, KEXEC_AT) & !(1 << 31),
        ));
        kernel
    }

    fn refused(change: impl Fn(&mut Kernel)) -> NoSites {
        let errors = LAYOUTS.map(|layout| {
            let mut kernel = kernel(layout);
            change(&mut kernel);
            find(&kernel.build()).expect_err("expected no sites")
        });
        assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
        errors[0]
    }

    #[test]
    fn encodes_branches() {
        assert_eq!(branch_with_link(0x25_aea8, 0x3_48c8), 0x97f7_6688);
        assert_eq!(branch_with_link(0x1000, 0x1008), 0x9400_0002);
    }

    #[test]
    fn finds_both_calls() {
        for layout in LAYOUTS {
            let sites =
                find(&kernel(layout).build()).unwrap_or_else(|error| panic!("{layout:?}: {error}"));
            assert_eq!(
                sites.shutdown,
                Site {
                    offset: FIRST,
                    word: 0x97ff_fcfe
                },
                "{layout:?}"
            );
            assert_eq!(
                sites.kexec,
                Site {
                    offset: SECOND,
                    word: 0x9400_1bfb
                },
                "{layout:?}"
            );
        }
    }

    #[test]
    fn refuses_without_certainty() {
        assert_eq!(
            refused(|kernel| kernel.rename(KEXEC_AT, 'd', KEXEC)),
            NoSites::NoFunction(KEXEC)
        );
        assert_eq!(
            refused(|kernel| kernel.rename(CALLER_AT, 'T', "kernel_kexec_load")),
            NoSites::NoFunction(CALLER)
        );
        let error = refused(|kernel| kernel.rename(0x9020, 't', KEXEC));
        assert_eq!(
            error,
            NoSites::Functions {
                name: KEXEC,
                count: 2
            }
        );
        assert_eq!(error.to_string(), "2 functions machine_kexec");
        let error = refused(|kernel| kernel.words.retain(|word| word.0 != FIRST));
        assert_eq!(
            error,
            NoSites::Calls {
                name: SHUTDOWN,
                count: 0
            }
        );
        assert_eq!(
            error.to_string(),
            "kernel_kexec calls machine_shutdown 0 times"
        );
        let again = CALLER_AT + 0x1c;
        let error = refused(|kernel| {
            kernel
                .words
                .push((again, branch_with_link(again, KEXEC_AT)))
        });
        assert_eq!(
            error,
            NoSites::Calls {
                name: KEXEC,
                count: 2
            }
        );
        let error = refused(|kernel| {
            kernel
                .words
                .push((FIRST, branch_with_link(FIRST, KEXEC_AT)));
            kernel
                .words
                .push((SECOND, branch_with_link(SECOND, SHUTDOWN_AT)));
        });
        assert_eq!(
            error,
            NoSites::Order {
                shutdown: SECOND,
                kexec: FIRST
            }
        );
        assert_eq!(find(&[]), Err(NoSites::Kallsyms(KallsymsError::NoTokens)));
    }

    #[test]
    fn refuses_functions_outside_the_image() {
        let offset = crate::linux::kallsyms::synthetic::IMAGE_SIZE as u64;
        let error = refused(|kernel| {
            kernel.rename(KEXEC_AT, 'T', "another_name");
            kernel.symbols.push(('T', KEXEC.into(), offset));
        });
        assert_eq!(
            error,
            NoSites::Outside {
                name: KEXEC,
                offset
            }
        );
    }
}
