// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::memory::stage1::VaSize;
use aarch64_paging::descriptor::PhysicalAddress;
use alloc::boxed::Box;
use baton_sysreg::fake;

const GIB: u64 = 1 << 30;

fn table() -> Box<Table> {
    Box::new(Table([const { AtomicU64::new(0) }; ENTRIES]))
}

fn below(root: &Table, va_size: VaSize) -> HotPlugged {
    fake::reset();
    let root = PhysicalAddress(core::ptr::from_ref(root) as usize);
    // SAFETY: The tables are the test's.
    unsafe { HotPlugged::new(&MmuConfig::new(root, va_size, 5, true)) }
}

#[track_caller]
fn map(hot: &mut HotPlugged, block: u64) -> Result<(), NotMapped> {
    // SAFETY: Nothing walks these tables.
    unsafe { hot.map(block) }
}

fn has(hot: &HotPlugged, start: u64, end: u64) -> bool {
    hot.encloses(&Region::from_bounds(start, end).expect("test region"))
}

#[test]
fn maps_what_it_is_asked_for_and_nothing_else() {
    for va_size in [VaSize::Bits39, VaSize::Bits48] {
        let root = table();
        let mut hot = below(&root, va_size);
        assert!(!has(&hot, 2 * GIB, 2 * GIB + 8));
        assert_eq!(map(&mut hot, 2 * GIB), Ok(()));
        assert_eq!(map(&mut hot, 2 * GIB), Ok(()), "again");
        assert_eq!(map(&mut hot, 2 * GIB + BLOCK), Ok(()));
        assert_eq!(hot.blocks(), 2);
        assert!(has(&hot, 2 * GIB, 2 * GIB + 2 * BLOCK));
        assert!(!has(&hot, 2 * GIB, 2 * GIB + 2 * BLOCK + 8));
        assert!(!has(&hot, 2 * GIB - 8, 2 * GIB));
        hot.clear();
    }
}

#[test]
fn what_is_cleared_is_as_it_was() {
    let (root, leaves) = (table(), table());
    let leads = core::ptr::from_ref(&*leaves) as u64 | TABLE;
    root.0[1].store(leads, Relaxed);
    let mut hot = below(&root, VaSize::Bits39);
    assert_eq!(
        map(&mut hot, GIB + 3 * BLOCK),
        Ok(()),
        "of a table that is there"
    );
    assert_eq!(map(&mut hot, 5 * GIB), Ok(()), "of a new table");
    assert_ne!(leaves.0[3].load(Relaxed), 0);
    fake::reset();
    hot.clear();
    assert!(fake::instructions().contains(&"tlbi alle2is"));
    for (index, entry) in root.0.iter().enumerate() {
        assert_eq!(entry.load(Relaxed), if index == 1 { leads } else { 0 });
    }
    assert!(leaves.0.iter().all(|entry| entry.load(Relaxed) == 0));
    assert!(!has(&hot, 5 * GIB, 5 * GIB + 8));
    assert_eq!(map(&mut hot, 5 * GIB), Ok(()), "once more");
    hot.clear();
}

#[test]
fn what_is_mapped_otherwise_stays_so() {
    let (root, leaves) = (table(), table());
    let page = 7 << 12 | TABLE;
    root.0[0].store(GIB | 1, Relaxed);
    root.0[1].store(core::ptr::from_ref(&*leaves) as u64 | TABLE, Relaxed);
    leaves.0[0].store(page, Relaxed);
    let mut hot = below(&root, VaSize::Bits39);
    assert_eq!(
        map(&mut hot, BLOCK),
        Err(NotMapped::Taken),
        "a GiB as one block"
    );
    assert_eq!(
        map(&mut hot, GIB),
        Err(NotMapped::Taken),
        "a table of pages"
    );
    assert_eq!(leaves.0[0].load(Relaxed), page);
    hot.clear();
}

#[test]
fn nothing_is_mapped_beyond_the_map() {
    let root = table();
    let mut hot = below(&root, VaSize::Bits39);
    assert_eq!(map(&mut hot, 1 << 39), Err(NotMapped::Beyond));
    let mut hot = below(&root, VaSize::Bits48);
    assert_eq!(map(&mut hot, 1 << 48), Err(NotMapped::Beyond));
    assert!(root.0.iter().all(|entry| entry.load(Relaxed) == 0));
    fake::reset();
    // SAFETY: It has no tables.
    let mut none = unsafe { HotPlugged::new(&MmuConfig::default()) };
    assert_eq!(map(&mut none, GIB), Err(NotMapped::Beyond));
}
