// SPDX-License-Identifier: Apache-2.0
//! Lists for KEXEC, of which one entry at least is wrong.

use super::calls::make;
use super::numbers::Numbers;
use crate::arena::PAGE;
use crate::call::{Conduit, code};
use crate::cpu::Cpu;
use crate::outcome::{Outcome, expect_any};
use baton_abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE, KEXEC};

/// Entries before the wrong one, at most.
const LENGTH: u64 = 40;
/// A refusal: what is wrong, or that another CPU asks just now.
const CODES: &[i64] = &[
    code::INVALID_ADDRESS,
    code::INVALID_PARAMETERS,
    code::DENIED,
];

/// Asks for a reboot that must be refused: by its list, its entry or its device tree.
pub fn refused(this: &Cpu, numbers: &Numbers) -> Outcome {
    let field = numbers.field;
    let (head, second) = (field.page(this, 0), field.page(this, 1));
    let mut place = (head, 0);
    let mut put = |entry: u64| {
        let (page, n) = place;
        // SAFETY: the pages are this CPU's own, and the lists are shorter than one.
        unsafe { (page as *mut u64).add(n).write_volatile(entry) };
        place.1 += 1;
        if entry == second | IND_INDIRECTION {
            place = (second, 0);
        }
    };
    let good = |n: u64| field.page(this, n);
    let mut on_second = false;
    put(good(2) | IND_DESTINATION);
    for _ in 0..numbers.below(LENGTH) {
        put(match numbers.below(8) {
            0 => good(2 + numbers.below(2)) | IND_DESTINATION,
            1 if !on_second => {
                on_second = true;
                second | IND_INDIRECTION
            }
            _ => good(4 + numbers.below(3)) | IND_SOURCE,
        });
    }
    let monitor = numbers.in_monitor() & !(PAGE - 1);
    let (source, target) = (good(4) | IND_SOURCE, good(3) | IND_DESTINATION);
    let outside = numbers
        .of(&[0, 1 << 47, 1 << 48, 1 << 62, !(PAGE - 1), field.uart])
        .unwrap_or(0);
    let bad = match numbers.below(3) {
        0 => outside,
        _ => monitor,
    };
    let wrong: &[u64] = match numbers.below(9) {
        0 => &[bad | IND_DESTINATION, source],
        1 => &[target, bad | IND_SOURCE],
        2 => &[bad | IND_INDIRECTION],
        // The second page of the two is the monitor's.
        3 => &[(field.monitor.0 - PAGE) | IND_DESTINATION, source, source],
        4 => &[target, source | 1 << (4 + numbers.below(8))],
        5 => &[target, source ^ IND_SOURCE],
        6 => &[target, source | IND_DONE],
        7 => &[head | IND_INDIRECTION],
        // A destination that is a source, and a page of the list.
        _ => &[
            good(4) | IND_DESTINATION,
            good(5) | IND_SOURCE,
            head | IND_DESTINATION,
            source,
        ],
    };
    wrong.iter().copied().for_each(&mut put);
    put(IND_DONE);
    let mut arguments = [0; 17];
    let whole = [head, field.image, field.tree];
    arguments[..3].copy_from_slice(&whole);
    // One of the three addresses as well, now and then.
    if numbers.below(4) == 0 {
        arguments[numbers.below(3) as usize] = bad;
    }
    let seen = make(Conduit::Hvc, KEXEC, arguments, field)?;
    expect_any(format_args!("KEXEC, {wrong:x?}"), CODES, seen)
}
