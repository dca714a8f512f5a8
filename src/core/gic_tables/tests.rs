// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::linux::fake::Ram;

const KIB: u64 = 1 << 10;

fn store(offset: u64, value: u64) -> Store {
    Store {
        offset,
        size: if offset == 0 { 4 } else { 8 },
        value,
    }
}

fn why(result: Result<u64, Refused>) -> Option<Denied> {
    result.err().map(|refused| refused.why)
}

fn outside(start: u64, size: u64) -> Option<Denied> {
    Some(Denied::Table { start, size })
}

/// LPIs that are off, with tables for `bits` bits.
fn lpis(properties: u64, pending: u64, bits: u64) -> Lpis {
    Lpis {
        ctlr: 0,
        propbaser: properties | 7 << 7 | (bits - 1),
        pendbaser: pending | 1 << 62 | 7 << 7,
        id_bits: 16,
    }
}

const OFF: Translations = Translations {
    enabled: false,
    quiescent: true,
    cbaser: VALID | 0x5000_0000 | 15,
    basers: [VALID | 0x5001_0000 | 0x200 | 3, 0, 0, 0, 0, 0, 0, 0],
};

#[test]
fn lpis_are_enabled_with_tables_in_guest_memory_alone() {
    let ram = Ram::new();
    let end = Ram::MONITOR;
    let (table, upper) = (Ram::START, Ram::UPPER);
    let good = [
        lpis(table, table, 16),
        lpis(upper, upper, 16),
        lpis(end - 56 * KIB, table, 16),
        lpis(table, end - 64 * KIB, 16),
        // More bits than the GIC has: it takes its own.
        lpis(end - 56 * KIB, table, 32),
        // No LPIs at all.
        lpis(end, end, 13),
    ];
    for now in good {
        assert_eq!(
            store(0, 1).check(&Page::Redistributor(now), &ram),
            Ok(1),
            "{now:x?}"
        );
    }
    let far = 0xf_ffff_ffff_0000;
    let bad = [
        (lpis(end, table, 16), outside(end, 56 * KIB)),
        (
            lpis(end - 52 * KIB, table, 16),
            outside(end - 52 * KIB, 56 * KIB),
        ),
        (
            lpis(upper - 4096, table, 16),
            outside(upper - 4096, 56 * KIB),
        ),
        (lpis(table, end, 16), outside(end, 8 * KIB)),
        (lpis(table, 0, 16), outside(0, 8 * KIB)),
        (lpis(table, far, 16), outside(far, 8 * KIB)),
        (lpis(table, far, 14), outside(far, 2 * KIB)),
    ];
    for (now, expected) in bad {
        let refused = store(0, 1).check(&Page::Redistributor(now), &ram);
        assert_eq!(why(refused), expected, "{now:x?}");
        assert_eq!(refused.unwrap_err().register, "GICR_CTLR");
        // By both halves of the register pair at once as well; but not while it stays off.
        let wide = Store {
            size: 8,
            ..store(0, 1)
        };
        assert_eq!(why(wide.check(&Page::Redistributor(now), &ram)), expected);
        assert_eq!(
            store(0, 1 << 24).check(&Page::Redistributor(now), &ram),
            Ok(1 << 24)
        );
    }
}

#[test]
fn tables_of_lpis_in_use_stay() {
    let ram = Ram::new();
    let off = lpis(Ram::START, Ram::START, 16);
    let on = Lpis { ctlr: 1, ..off };
    for (offset, size, name) in [
        (0x70, 8, "GICR_PROPBASER"),
        (0x74, 4, "GICR_PROPBASER"),
        (0x78, 8, "GICR_PENDBASER"),
        (0x7c, 4, "GICR_PENDBASER"),
    ] {
        let value = Ram::START;
        let store = Store {
            offset,
            size,
            value,
        };
        let refused = Refused {
            register: name,
            why: Denied::InUse,
        };
        assert_eq!(store.check(&Page::Redistributor(on), &ram), Err(refused));
        assert_eq!(store.check(&Page::Redistributor(off), &ram), Ok(value));
    }
    // GICR_WAKER, GICR_INVLPIR, and LPIs on again or off.
    for (offset, value) in [(0x14, 0), (0xa0, 8192), (0, 1), (0, 0)] {
        assert_eq!(
            store(offset & !7, value).check(&Page::Redistributor(on), &ram),
            Ok(value)
        );
    }
}

#[test]
fn its_is_enabled_with_tables_in_guest_memory_alone() {
    let ram = Ram::new();
    let end = Ram::MONITOR;
    assert_eq!(store(0, 1).check(&Page::Its(OFF), &ram), Ok(1));
    let queue = |cbaser| Translations { cbaser, ..OFF };
    let table = |n: usize, baser| {
        let mut now = OFF;
        now.basers[n] = baser;
        now
    };
    let bad = [
        (queue(VALID | end), outside(end, 4 * KIB)),
        (
            queue(VALID | (end - 0x1000) | 1),
            outside(end - 0x1000, 8 * KIB),
        ),
        (table(0, VALID | end), outside(end, 4 * KIB)),
        (
            table(7, VALID | (end - 0x1000) | 1),
            outside(end - 0x1000, 8 * KIB),
        ),
        // Pages of 16 and of 64 KiB.
        (
            table(3, VALID | (end - 0x4000) | 0x101),
            outside(end - 0x4000, 32 * KIB),
        ),
        (
            table(3, VALID | (end - 0x1_0000) | 0x201),
            outside(end - 0x1_0000, 128 * KIB),
        ),
        (
            table(3, VALID | Ram::START | 0x1000 | 0x200),
            outside(1 << 48 | Ram::START, 64 * KIB),
        ),
    ];
    for (now, expected) in bad {
        let refused = store(0, 1).check(&Page::Its(now), &ram);
        assert_eq!(why(refused), expected, "{now:x?}");
        assert_eq!(refused.unwrap_err().register, "GITS_CTLR");
        assert_eq!(store(0, 0).check(&Page::Its(now), &ram), Ok(0));
    }
    // What is not valid is not looked at.
    assert_eq!(store(0, 1).check(&Page::Its(queue(end)), &ram), Ok(1));
    assert_eq!(store(0, 1).check(&Page::Its(table(2, end)), &ram), Ok(1));
}

#[test]
fn an_its_gets_flat_tables_alone() {
    let ram = Ram::new();
    let flat = VALID | Ram::START | 0x203;
    let stored = |offset, size, value| {
        let store = Store {
            offset,
            size,
            value,
        };
        store.check(&Page::Its(OFF), &ram)
    };
    for offset in [0x100, 0x138] {
        assert_eq!(stored(offset, 8, flat | 1 << 62), Ok(flat), "{offset:#x}");
        let upper = (flat | 1 << 62) >> 32;
        assert_eq!(stored(offset + 4, 4, upper), Ok(flat >> 32), "{offset:#x}");
        // Bit 30 of the lower half is one of the address.
        let lower = 0x4001_0203;
        assert_eq!(stored(offset, 4, lower), Ok(lower), "{offset:#x}");
    }
    // GITS_CBASER has cacheability there.
    assert_eq!(stored(0x80, 8, flat | 1 << 62), Ok(flat | 1 << 62));
    // Whoever was there before the monitor may have set it.
    let mut left = OFF;
    left.basers[1] = flat | 1 << 62;
    let refused = store(0, 1).check(&Page::Its(left), &ram);
    assert_eq!(why(refused), Some(Denied::Indirect(Ram::START)));
    left.basers[1] = 1 << 62;
    assert_eq!(store(0, 1).check(&Page::Its(left), &ram), Ok(1));
}

#[test]
fn tables_of_an_its_at_work_stay() {
    let ram = Ram::new();
    let on = Translations {
        enabled: true,
        ..OFF
    };
    let stopping = Translations {
        quiescent: false,
        ..OFF
    };
    for offset in [0x80, 0x100, 0x138] {
        for now in [on, stopping] {
            assert_eq!(
                why(store(offset, 0).check(&Page::Its(now), &ram)),
                Some(Denied::InUse),
                "{offset:#x}"
            );
        }
        assert_eq!(
            store(offset, 0).check(&Page::Its(OFF), &ram),
            Ok(0),
            "{offset:#x}"
        );
    }
    // GITS_CWRITER.
    assert_eq!(store(0x88, 32).check(&Page::Its(on), &ram), Ok(32));
}

#[test]
fn virtual_lpis_have_no_tables() {
    let valid = |offset, size, value| {
        let store = Store {
            offset,
            size,
            value,
        };
        why(store.check(&Page::VirtualLpis, &Ram::new()))
    };
    for offset in [0x70, 0x78] {
        assert_eq!(valid(offset, 8, VALID), Some(Denied::Virtual));
        assert_eq!(valid(offset + 4, 4, 1 << 31), Some(Denied::Virtual));
        assert_eq!(valid(offset, 4, 1 << 31), None);
        assert_eq!(valid(offset, 8, VALID - 1), None);
    }
    assert_eq!(valid(0x80, 8, VALID), None);
}

#[test]
fn registers_are_written_as_a_whole() {
    let ram = Ram::new();
    for (offset, size) in [
        (0, 0),
        (0, 1),
        (0x70, 2),
        (2, 4),
        (0x6c, 8),
        (0x74, 8),
        (0x101, 4),
    ] {
        let store = Store {
            offset,
            size,
            value: 0,
        };
        let lpis = lpis(Ram::START, Ram::START, 16);
        let shape = Some(Denied::Shape);
        assert_eq!(
            why(store.check(&Page::Redistributor(lpis), &ram)),
            shape,
            "{store:?}"
        );
        assert_eq!(why(store.check(&Page::Its(OFF), &ram)), shape, "{store:?}");
        assert_eq!(
            why(store.check(&Page::VirtualLpis, &Ram::new())),
            shape,
            "{store:?}"
        );
    }
}

#[test]
fn what_leads_to_no_table_is_not_looked_at() {
    let words = |kind: Kind| {
        (0..0x1_0000)
            .step_by(4)
            .filter(move |&at| kind.leads_to_tables(at))
    };
    // GICR_CTLR, GICR_PROPBASER, GICR_PENDBASER; GITS_CTLR, GITS_CBASER, GITS_BASER<n>.
    let redistributor = [0, 0x70, 0x74, 0x78, 0x7c];
    assert!(words(Kind::Redistributor).eq(redistributor));
    assert!(words(Kind::VirtualLpis).eq([0x70, 0x74, 0x78, 0x7c]));
    let its = [0, 0x80, 0x84].into_iter();
    assert!(words(Kind::Its).eq(its.chain((0x100..0x140).step_by(4))));
}
