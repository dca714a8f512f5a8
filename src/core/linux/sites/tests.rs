// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::linux::kallsyms::synthetic::{Kernel, LAYOUTS, Layout};

const CALLER_AT: u64 = 0x2000;
const SHUTDOWN_AT: u64 = 0x1400;
const CPUS_DOWN_AT: u64 = 0x5000;
pub(super) const KEXEC_AT: u64 = 0x9000;
/// A call of `kernel_kexec`.
const REBOOT: u64 = 0x1808;
const FIRST: u64 = CALLER_AT + 8;
const SECOND: u64 = CALLER_AT + 0x14;

pub(super) fn kernel(layout: Layout) -> Kernel {
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

pub(super) fn call(kernel: &mut Kernel, from: u64, to: u64) {
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
        let found = find(&kernel.build()).kexec;
        found.unwrap_or_else(|error| panic!("{layout:?}: {error}"))
    });
    assert!(found.iter().all(|sites| *sites == found[0]), "{found:?}");
    found[0]
}

fn refused(change: impl Fn(&mut Kernel)) -> NoSites {
    let errors = LAYOUTS.map(|layout| {
        let mut kernel = kernel(layout);
        change(&mut kernel);
        find(&kernel.build()).kexec.expect_err("expected no sites")
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
    let none = NoSites::Kallsyms(KallsymsError::NoTokens);
    let expected = Found {
        kexec: Err(none),
        crash: Err(none),
    };
    assert_eq!(find(&[]), expected);
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
        include_str!("../built/6.1-gcc-64k.kernel"),
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
        include_str!("../built/6.1-clang-lto-thin.kernel"),
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
        include_str!("../built/6.1-clang-lto-thin-cfi-scs-16k.kernel"),
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
        include_str!("../built/6.1-clang-lto-full-bti-ftrace.kernel"),
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
                find(&Kernel::from_facts(layout, facts).build()).kexec,
                Ok(HookSites { shutdown, kexec }),
                "{layout:?}: {facts}"
            );
        }
    }
}
