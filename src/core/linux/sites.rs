// SPDX-License-Identifier: Apache-2.0
//! Finds the two calls in the kernel's `kernel_kexec()` that the monitor patches.
//!
//! The first one takes the other CPUs down. It is `machine_shutdown()`, which does nothing but call
//! `smp_shutdown_nonboot_cpus(reboot_cpu)` (5.8 and later); a compiler that sees both functions at once
//! (LTO) puts that call in its place. These are global functions, so their names are their own: one with
//! something behind it (`.llvm.1`, `.constprop.0`, `.cold`) is another function, or a part of one, and
//! says nothing for certain.

use super::bytes::u32_at;
use super::kallsyms::{KallsymsError, Matches, Symbols};
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
mod tests {
    use super::*;
    use crate::linux::kallsyms::synthetic::{Kernel, LAYOUTS, Layout};

    const CALLER_AT: u64 = 0x2000;
    const SHUTDOWN_AT: u64 = 0x1400;
    const CPUS_DOWN_AT: u64 = 0x5000;
    const KEXEC_AT: u64 = 0x9000;
    /// A call of `kernel_kexec`.
    const REBOOT: u64 = 0x1808;
    const FIRST: u64 = CALLER_AT + 8;
    const SECOND: u64 = CALLER_AT + 0x14;

    fn kernel(layout: Layout) -> Kernel {
        let mut kernel = Kernel::new(layout);
        kernel.rename(CALLER_AT, 'T', CALLER);
        kernel.rename(SHUTDOWN_AT, 'T', SHUTDOWN);
        kernel.rename(CPUS_DOWN_AT, 'T', CPUS_DOWN);
        kernel.rename(KEXEC_AT, 't', KEXEC);
        call(&mut kernel, REBOOT, CALLER_AT);
        // What `machine_shutdown` does.
        call(&mut kernel, SHUTDOWN_AT + 8, CPUS_DOWN_AT);
        call(&mut kernel, FIRST, SHUTDOWN_AT);
        call(&mut kernel, SECOND, KEXEC_AT);
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

    fn call(kernel: &mut Kernel, from: u64, to: u64) {
        kernel.words.push((from, branch_with_link(from, to)));
    }

    /// `machine_shutdown` inlined, as a compiler does that sees the whole kernel.
    fn inline_shutdown(kernel: &mut Kernel) {
        call(kernel, FIRST, CPUS_DOWN_AT);
    }

    fn found(change: impl Fn(&mut Kernel)) -> HookSites {
        let found = LAYOUTS.map(|layout| {
            let mut kernel = kernel(layout);
            change(&mut kernel);
            find(&kernel.build()).unwrap_or_else(|error| panic!("{layout:?}: {error}"))
        });
        assert!(found.iter().all(|sites| *sites == found[0]), "{found:?}");
        found[0]
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
        let kexec = Site {
            offset: SECOND,
            word: 0x9400_1bfb,
        };
        let expected = HookSites {
            shutdown: Site {
                offset: FIRST,
                word: 0x97ff_fcfe,
            },
            kexec,
        };
        assert_eq!(found(|_| {}), expected);
        // Reached by a jump, a tail call.
        let jump = branch_with_link(REBOOT, CALLER_AT) & !LINK;
        assert_eq!(found(|kernel| kernel.words.push((REBOOT, jump))), expected);
        // By another name it is another function.
        let another = |kernel: &mut Kernel| kernel.rename(0x9020, 't', "machine_kexec.cold");
        assert_eq!(found(another), expected);

        let inlined = HookSites {
            shutdown: Site {
                offset: FIRST,
                word: 0x9400_0bfe,
            },
            kexec,
        };
        assert_eq!(found(inline_shutdown), inlined);
        // Nothing calls `machine_shutdown` then, and a linker may leave it out.
        let without_it = |kernel: &mut Kernel| {
            inline_shutdown(kernel);
            kernel.rename(SHUTDOWN_AT, 'T', "another_name");
        };
        assert_eq!(found(without_it), inlined);
    }

    #[test]
    fn refuses_another_shutdown() {
        let both = |kernel: &mut Kernel| call(kernel, CALLER_AT + 0x10, CPUS_DOWN_AT);
        assert_eq!(refused(both), NoSites::BothShutdowns);
        let twice = |kernel: &mut Kernel| {
            inline_shutdown(kernel);
            both(kernel);
        };
        assert_eq!(
            refused(twice),
            NoSites::Calls {
                name: CPUS_DOWN,
                count: 2
            }
        );
        // Inlined too.
        let error = refused(|kernel| kernel.words.retain(|word| word.0 != FIRST));
        assert_eq!(error, NoSites::NoShutdown);
        assert_eq!(
            error.to_string(),
            "kernel_kexec calls neither machine_shutdown nor smp_shutdown_nonboot_cpus"
        );
        // A part of it, or what a compiler made of it.
        for name in [
            "smp_shutdown_nonboot_cpus.cold",
            "smp_shutdown_nonboot_cpu",
            "s",
        ] {
            let renamed = |kernel: &mut Kernel| {
                inline_shutdown(kernel);
                kernel.rename(CPUS_DOWN_AT, 'T', name);
            };
            assert_eq!(refused(renamed), NoSites::NoShutdown, "{name}");
        }
        let two = |kernel: &mut Kernel| kernel.rename(0x5020, 't', CPUS_DOWN);
        assert_eq!(
            refused(two),
            NoSites::Functions {
                name: CPUS_DOWN,
                count: 2
            }
        );
    }

    #[test]
    fn refuses_a_copy_that_nothing_calls() {
        let error = refused(|kernel| kernel.words.retain(|word| word.0 != REBOOT));
        assert_eq!(error, NoSites::Inlined);
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

    /// Facts of kernels that `make kernels-built` built, and the calls as a disassembler shows them.
    const BUILT: [(&str, Site, Site); 4] = [
        (
            include_str!("built/6.1-gcc-64k.kernel"),
            Site {
                offset: 0xa_a04c,
                word: 0x97fd_ada6,
            },
            Site {
                offset: 0xa_a05c,
                word: 0x97fd_d355,
            },
        ),
        (
            include_str!("built/6.1-clang-lto-thin.kernel"),
            Site {
                offset: 0xb_68e8,
                word: 0x97fd_d3ef,
            },
            Site {
                offset: 0xb_68f8,
                word: 0x97fd_b017,
            },
        ),
        (
            include_str!("built/6.1-clang-lto-thin-cfi-scs-16k.kernel"),
            Site {
                offset: 0xc_0b2c,
                word: 0x97fd_b114,
            },
            Site {
                offset: 0xc_0b3c,
                word: 0x97fd_8b00,
            },
        ),
        (
            include_str!("built/6.1-clang-lto-full-bti-ftrace.kernel"),
            Site {
                offset: 0x10_bf00,
                word: 0x97fc_38ed,
            },
            Site {
                offset: 0x10_bf10,
                word: 0x97fc_76c6,
            },
        ),
    ];

    #[test]
    fn finds_both_calls_of_built_kernels() {
        for (facts, shutdown, kexec) in BUILT {
            for layout in LAYOUTS {
                assert_eq!(
                    find(&Kernel::from_facts(layout, facts).build()),
                    Ok(HookSites { shutdown, kexec }),
                    "{layout:?}: {facts}"
                );
            }
        }
    }
}
