// SPDX-License-Identifier: Apache-2.0
//! Finds what the offsets count from. The kernel has a word for it, but that is zero, or relocated,
//! or not there, depending on the version: so the code itself decides.

use super::Symbols;
use crate::linux::image::ImageHeader;
use crate::little_endian::u32_at;

/// How many global functions to look at.
const SAMPLES: usize = 256;
/// The base is the start of a section, and so a multiple of a page.
const STEP: i64 = 0x1000;
/// How far the base may be from the start of the Image, in steps.
const REACH: i64 = 512;

/// Returns what to subtract from the offsets to get ones from the start of the Image: by the one
/// symbol whose place the header tells, or if that fails by the first instructions of functions.
pub fn delta(image: &[u8], symbols: &Symbols<'_>) -> Option<i64> {
    by_entry(image, symbols).or_else(|| by_prologues(image, symbols))
}

fn by_entry(image: &[u8], symbols: &Symbols<'_>) -> Option<i64> {
    let target = ImageHeader::parse(image).ok()?.primary_entry_offset()?;
    let [entry] = symbols.text(["primary_entry"]);
    if entry.count != 1 {
        return None;
    }
    Some(symbols.offsets.get(entry.last)? - i64::try_from(target).ok()?)
}

/// Returns the distance at which most of some global functions begin with an instruction that
/// functions begin with: at least half of them, and more than at any other distance.
fn by_prologues(image: &[u8], symbols: &Symbols<'_>) -> Option<i64> {
    let global = || {
        symbols
            .kinds()
            .enumerate()
            .filter(|&(_, kind)| kind == b'T')
            .map(|(number, _)| number)
    };
    let apart = (global().count() / SAMPLES).max(1);
    let mut samples = [0; SAMPLES];
    let mut taken = 0;
    for (sample, number) in samples.iter_mut().zip(global().step_by(apart)) {
        *sample = symbols.offsets.get(number)?;
        taken += 1;
    }
    let samples = samples.get(..taken)?;
    let score = |delta: i64| {
        samples
            .iter()
            .filter(|&&offset| begins_function(image, offset - delta))
            .count()
    };
    let first = symbols.offsets.get(0)?;
    let (mut best, mut best_score, mut tied) = (0, 0, true);
    for steps in -REACH..=REACH {
        let delta = first + steps * STEP;
        match score(delta) {
            score if score > best_score => (best, best_score, tied) = (delta, score, false),
            score if score == best_score => tied = true,
            _ => {}
        }
    }
    (!tied && 2 * best_score >= taken).then_some(best)
}

/// Returns whether the instruction at `offset` is one that functions begin with.
fn begins_function(image: &[u8], offset: i64) -> bool {
    let Some(word) = usize::try_from(offset)
        .ok()
        .and_then(|at| u32_at(image, at))
    else {
        return false;
    };
    match word {
        // paciasp, bti c, bti jc, nop (a patchable entry).
        0xd503_233f | 0xd503_245f | 0xd503_24df | 0xd503_201f => true,
        // mov x9, x30 (an entry patched by ftrace).
        0xaa1e_03e9 => true,
        // stp x29, x30, [sp, #-n]!; sub sp, sp, #n.
        _ => word & 0xffc0_7fff == 0xa980_7bfd || word & 0xffc0_03ff == 0xd100_03ff,
    }
}
