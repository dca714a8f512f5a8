// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio;
use crate::gic::fake::{TWO_PAGES, V3, VLPIS};

fn discover(fake: &V3, size: usize) -> Result<Frames, FrameError> {
    let region = Region {
        base: fake.gicr.base(),
        size,
    };
    // SAFETY: It is memory.
    unsafe { Frames::discover(&[region], None, false) }
}

#[test]
fn each_cpu_finds_its_own() {
    // Not in the order of their affinities; Aff3 is at another place in MPIDR_EL1.
    let fake = V3::new(&[0x0100_0001, 0, 0x0000_0201], 0);
    let frames = discover(&fake, 3 * TWO_PAGES).expect("three frames");
    for (affinity, place) in [(0x1_0000_0001, 0), (0, 1), (0x201, 2)] {
        let frame = frames.of(1 << 31 | affinity).expect("its frame");
        assert_eq!(frame.base(), fake.frame(place) as u64, "{affinity:#x}");
        assert_eq!(frame.virtual_base(), None);
    }
    assert!(frames.of(2).is_none(), "there is no such CPU");
}

#[test]
fn virtual_lpis_have_two_more_pages() {
    let fake = V3::new(&[0, 1], VLPIS);
    let frames = discover(&fake, 4 * TWO_PAGES).expect("two frames");
    let frame = frames.of(1).expect("the second");
    assert_eq!(frame.base(), fake.frame(1) as u64);
    assert_eq!(frame.virtual_base(), Some(frame.base() + 0x2_0000));
}

#[test]
fn a_frame_that_is_larger_than_its_region_is_refused() {
    let fake = V3::new(&[0, 1], VLPIS);
    let base = fake.frame(1);
    let short = discover(&fake, 3 * TWO_PAGES).err();
    assert_eq!(short, Some(FrameError::Beyond { base }));
}

#[test]
fn the_walk_ends_at_the_last_frame_and_at_the_regions_end() {
    let fake = V3::new(&[0, 1, 2], 0);
    let count = |frames: Frames| frames.iter().count();
    assert_eq!(discover(&fake, 2 * TWO_PAGES).map(count), Ok(2), "the end");
    // GICR_TYPER.Last, of the second.
    mmio::poke(fake.frame(1) + 8, 1 << 4);
    assert_eq!(discover(&fake, 3 * TWO_PAGES).map(count), Ok(2), "Last");
    // Nothing behind the first.
    mmio::poke(fake.frame(1) + 0xffe8, 0);
    assert_eq!(discover(&fake, 3 * TWO_PAGES).map(count), Ok(1), "nothing");
}

#[test]
fn what_is_no_gic_is_refused() {
    let fake = V3::new(&[0, 0], 0);
    let error = |result: Result<Frames, _>| result.err();
    let affinity = 0;
    let twice = error(discover(&fake, 2 * TWO_PAGES));
    assert_eq!(twice, Some(FrameError::Twice { affinity }));

    let base = fake.gicr.base();
    mmio::poke(base + 0xffe8, 0x1b);
    let old = error(discover(&fake, TWO_PAGES));
    assert_eq!(old, Some(FrameError::NotV3 { base, revision: 1 }));

    for base in [0, base + 0x1000, usize::MAX & !0xffff] {
        let result = page::<u32>(base);
        assert_eq!(result, Err(FrameError::BadAddress { base }));
    }
}
