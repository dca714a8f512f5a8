// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::linux::kallsyms::synthetic::{Kernel, LAYOUTS};
use crate::linux::sites::tests::{KEXEC_AT, call, kernel};
use crate::linux::sites::{CRASH_SHUTDOWN, KEXEC, LINK, Site, branch_with_link, find};

const STOP_AT: u64 = 0x6000;
/// `__crash_kexec`, and `crash_kexec`, which may have a copy of it.
const LEAVER_AT: u64 = 0x3000;
const COPY_AT: u64 = 0x4000;

/// Adds both calls to the function at `start`; returns where they are.
fn pair(kernel: &mut Kernel, start: u64) -> (u64, u64) {
    let (first, second) = (start + 0xc, start + 0x14);
    call(kernel, first, STOP_AT);
    call(kernel, second, KEXEC_AT);
    (first, second)
}

/// What is found in a kernel with both calls in `__crash_kexec()`, in all layouts.
fn found(change: impl Fn(&mut Kernel)) -> Result<Vec<(u64, u64)>, NoSites> {
    let found = LAYOUTS.map(|layout| {
        let mut kernel = kernel(layout);
        kernel.rename(STOP_AT, 'T', CRASH_SHUTDOWN);
        kernel.rename(LEAVER_AT, 'T', LEAVERS[0]);
        kernel.rename(COPY_AT, 'T', LEAVERS[1]);
        pair(&mut kernel, LEAVER_AT);
        change(&mut kernel);
        let image = kernel.build();
        let found = find(&image);
        let word = |site: &Site| {
            let bytes = image[site.offset as usize..].first_chunk();
            assert_eq!(
                bytes,
                Some(&site.word.to_le_bytes()),
                "{layout:?}: {site:x?}"
            );
            site.offset
        };
        found.crash.map(|sites| {
            let offsets = sites
                .copies()
                .map(|copy| (word(&copy.shutdown), word(&copy.kexec)));
            offsets.collect::<Vec<_>>()
        })
    });
    assert!(found.iter().all(|sites| *sites == found[0]), "{found:?}");
    found[0].clone()
}

const PAIR: (u64, u64) = (LEAVER_AT + 0xc, LEAVER_AT + 0x14);

#[test]
fn finds_both_calls() {
    assert_eq!(found(|_| {}), Ok(vec![PAIR]));
    // A jump is no call.
    let jump = |kernel: &mut Kernel| {
        let at = COPY_AT + 4;
        let word = branch_with_link(at, STOP_AT) & !LINK;
        kernel.words.push((at, word));
    };
    assert_eq!(found(jump), Ok(vec![PAIR]));
    // Calls behind its end are another function's.
    let behind = |kernel: &mut Kernel| {
        pair(kernel, LEAVER_AT + 0x20);
    };
    assert_eq!(found(behind), Ok(vec![PAIR]));
    // Without `crash_kexec()`.
    let alone = |kernel: &mut Kernel| kernel.rename(COPY_AT, 'T', "another_name");
    assert_eq!(found(alone), Ok(vec![PAIR]));
}

#[test]
fn finds_both_copies() {
    let both = |kernel: &mut Kernel| {
        pair(kernel, COPY_AT);
    };
    let copy = (COPY_AT + 0xc, COPY_AT + 0x14);
    assert_eq!(found(both), Ok(vec![PAIR, copy]));
    // With `__crash_kexec()` inlined, and left out.
    let inlined = |kernel: &mut Kernel| {
        both(kernel);
        kernel.rename(LEAVER_AT, 'T', "another_name");
    };
    assert_eq!(found(inlined), Ok(vec![copy]));
}

#[test]
fn one_pair_does_not_cost_the_other() {
    for layout in LAYOUTS {
        let found = find(&kernel(layout).build());
        assert!(found.kexec.is_ok(), "{layout:?}: {found:?}");
        assert_eq!(found.crash, Err(NoSites::NoFunction(CRASH_SHUTDOWN)));
    }
    let without_kexec = |kernel: &mut Kernel| kernel.rename(0x2000, 'T', "another_name");
    assert_eq!(found(without_kexec), Ok(vec![PAIR]));
}

#[test]
fn refuses_without_certainty() {
    let error = |change: &dyn Fn(&mut Kernel)| found(change).expect_err("expected no sites");
    let none = error(&|kernel| {
        kernel
            .words
            .retain(|word| word.0 != PAIR.0 && word.0 != PAIR.1);
    });
    assert_eq!(none, NoSites::NoCrash);
    let expected = "neither __crash_kexec nor crash_kexec calls machine_crash_shutdown";
    assert_eq!(none.to_string(), expected);
    for (at, name) in [(0x9020, CRASH_SHUTDOWN), (0x7000, LEAVERS[0])] {
        let two = error(&|kernel| kernel.rename(at, 't', name));
        assert_eq!(two, NoSites::Functions { name, count: 2 });
    }
    let no_kexec = error(&|kernel| kernel.rename(KEXEC_AT, 'd', KEXEC));
    assert_eq!(no_kexec, NoSites::NoFunction(KEXEC));
    let pair = |name, shutdown, kexec| NoSites::CrashPair {
        name,
        shutdown,
        kexec,
    };
    let own = |shutdown, kexec| pair(LEAVERS[0], shutdown, kexec);
    let alone = error(&|kernel| kernel.words.retain(|word| word.0 != PAIR.1));
    assert_eq!(alone, own(1, 0));
    let again = LEAVER_AT + 0x18;
    assert_eq!(error(&|kernel| call(kernel, again, STOP_AT)), own(2, 1));
    assert_eq!(error(&|kernel| call(kernel, again, KEXEC_AT)), own(1, 2));
    // Of two copies one is wrong.
    let half = error(&|kernel| call(kernel, COPY_AT + 4, STOP_AT));
    assert_eq!(half, pair(LEAVERS[1], 1, 0));
    let turned = error(&|kernel| {
        call(kernel, PAIR.0, KEXEC_AT);
        call(kernel, PAIR.1, STOP_AT);
    });
    assert_eq!(turned, NoSites::CrashOrder(LEAVERS[0]));
}
