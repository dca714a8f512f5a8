// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::arch::fake::mmio;
use crate::dma::smmu::tests::Fake;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::vec::Vec;

const STAGE2: Stage2 = Stage2 {
    vmid: 18,
    vtcr: 0x8002_3558,
    root: 0xbfe0_2000,
};
/// Where the guest has its stream table, of one level, and its queue.
const TABLE: u64 = 0x4000_0000;
const QUEUE: u64 = 0x4100_0000;
const SYNC: [u64; 2] = [0x46, 0];

/// The guest's memory: all words from 0x4000_0000 on.
#[derive(Default)]
struct Memory(RefCell<BTreeMap<u64, u64>>);

impl Memory {
    fn write<const N: usize>(&self, at: u64, words: [u64; N]) {
        for (place, word) in (at..).step_by(8).zip(words) {
            self.0.borrow_mut().insert(place, word);
        }
    }
}

impl GuestMemory for Memory {
    fn read_u64(&self, address: u64) -> Option<u64> {
        (address >= TABLE).then(|| self.0.borrow().get(&address).copied().unwrap_or(0))
    }

    fn contains(&self, start: u64, _: u64) -> bool {
        start >= TABLE
    }
}

/// One of QEMU 10's kind that can have a fence, without ATS.
fn fake() -> Fake {
    let fake = Fake::new(0x0d44_101b);
    mmio::poke(fake.memory.base() + 4, 0x0273_0010);
    mmio::poke(fake.memory.base() + 0x14, 0x54);
    fake
}

fn fenced(fake: &Fake) -> Smmu {
    let smmu = fake.smmu();
    smmu.prepare_fence(40).expect("a fence");
    smmu.open_to_stage_2(STAGE2).expect("a fence");
    smmu
}

/// What the SMMU finds for a stream in the table that its registers lead to; word 0 is 0 if it finds none.
fn entry(fake: &Fake, stream: u64) -> [u64; 8] {
    let read = |at: u64| mmio::peek64(at as usize);
    let base = mmio::peek64(fake.memory.base() + 0x80) & 0x000f_ffff_ffff_ffc0;
    let descriptor = read(base + 8 * (stream >> 6));
    if descriptor & 0x1f == 0 {
        return [0; 8];
    }
    let at = (descriptor & !0x1f) + 64 * (stream & 0x3f);
    core::array::from_fn(|n| read(at + 8 * n as u64))
}

/// A driver's way to an SMMU that is on, with 256 streams and 16 commands.
fn set_up(smmu: &Smmu, memory: &Memory) {
    let mut readable = Vec::new();
    for (offset, size, value) in [
        (0x20, 4, 0),
        (0x80, 8, TABLE),
        (0x88, 4, 8),
        (0x90, 8, QUEUE | 4),
        (0x98, 4, 0),
        (0x9c, 4, 0),
        (0x20, 4, 8),
        (0xa0, 8, 0x4200_0004),
        (0x20, 4, 0xd),
    ] {
        let stored = smmu.store(offset, size, value, memory);
        assert_eq!(stored.refused, None, "{offset:#x}");
        readable.extend(stored.readable);
    }
    assert_eq!(readable, [false, true, true]);
}

#[test]
fn untouched_it_is_on_with_stage_2_alone_and_shows_that_it_is_off() {
    let fake = fake();
    let smmu = fenced(&fake);
    assert_eq!(fake.register(0x20), 1, "SMMU_CR0");
    assert_eq!(fake.register(0x44) & 1 << 20, 1 << 20, "SMMU_GBPA.ABORT");
    for stream in [0, 8, 0xffff] {
        assert_eq!(entry(&fake, stream), STAGE2.alone(), "{stream:#x}");
    }
    for offset in [0x20, 0x24, 0x44] {
        assert_eq!(smmu.load(offset, 4), 0, "{offset:#x}");
    }
}

#[test]
fn one_that_cannot_is_left_to_the_guest() {
    let fake = Fake::new(0x0d44_1019);
    let smmu = fake.smmu();
    let result = smmu.prepare_fence(40);
    assert!(
        matches!(result, Err(NoFence::Unfit(Unfit::Stages))),
        "{result:?}"
    );
    assert!(fake.told.borrow().is_empty(), "it was told something");
}

#[test]
fn as_soon_as_a_driver_comes_nothing_passes_that_it_does_not_let_through() {
    let fake = fake();
    let smmu = fenced(&fake);
    smmu.store(0x20, 4, 0, &Memory::default());
    assert_eq!(fake.register(0x20), 0, "SMMU_CR0");
    assert_eq!(entry(&fake, 8)[0], 0);
    // Its ways to have it otherwise.
    smmu.store(0x44, 4, 1 << 31, &Memory::default());
    assert_eq!(fake.register(0x44) & 1 << 20, 1 << 20, "SMMU_GBPA.ABORT");
}

#[test]
fn a_driver_gets_its_entries_with_stage_2_and_its_commands() {
    let (fake, memory) = (fake(), Memory::default());
    let smmu = fenced(&fake);
    memory.write(TABLE + 64 * 3, [1 | 5 << 1 | 0x4567_8000, 0, !0, !0]);
    set_up(&smmu, &memory);
    let hw_queue = mmio::peek64(fake.memory.base() + 0x90);
    assert!(
        hw_queue & 0x1f == 4 && hw_queue & !0x1f != QUEUE,
        "{hw_queue:#x}"
    );
    assert_eq!(mmio::peek64(fake.memory.base() + 0xa0), 0x4200_0004);
    assert_eq!(
        entry(&fake, 3)[..4],
        STAGE2.behind([0x4567_800b, 0])[..4],
        "when it is turned on"
    );
    // Another entry, of which it is told; one of which it is not.
    memory.write(TABLE + 64 * 4, [1 | 4 << 1, 1 << 44]);
    memory.write(TABLE + 64 * 5, [1 | 4 << 1, 1 << 44]);
    memory.write(
        QUEUE,
        [
            3 | 4 << 32,
            1,
            0x12 | 7 << 32,
            0x1000,
            0x46 | 1 << 12,
            0x4000_0000,
        ],
    );
    fake.told.borrow_mut().clear();
    let stored = smmu.store(0x98, 4, 3, &memory);
    assert_eq!((stored.refused, stored.readable), (None, None));
    let expected = [
        ("command", 3 | 4 << 32),
        ("command", 0x12 | 18 << 32),
        ("command", 0x46),
    ];
    assert_eq!(*fake.told.borrow(), expected);
    assert_eq!(entry(&fake, 4), STAGE2.alone());
    assert_eq!(entry(&fake, 5)[0], 0, "not told of");
    // All of them.
    memory.write(QUEUE + 48, [4, 31]);
    memory.write(TABLE + 64 * 4, [0]);
    smmu.store(0x98, 4, 4, &memory);
    assert_eq!(entry(&fake, 4)[0], 0, "told of all: no longer valid");
    assert_eq!(entry(&fake, 5), STAGE2.alone());
}

/// What a driver does at each unmap needs no more than a look at its commands.
#[test]
fn an_unmap_is_made_at_once_and_anything_else_is_not() {
    const TLBI: [u64; 2] = [0x12 | 7 << 32 | 5 << 48, 0x1001];
    let (fake, memory) = (fake(), Memory::default());
    let smmu = fenced(&fake);
    assert_eq!(smmu.unmap(0, &memory), None, "untouched");
    set_up(&smmu, &memory);
    let put = |place: u64, command| memory.write(QUEUE + 16 * place, command);
    let told = || core::mem::take(&mut *fake.told.borrow_mut());
    told();
    put(0, TLBI);
    put(1, SYNC);
    assert_eq!(smmu.unmap(2, &memory), Some(()), "a TLBI and a CMD_SYNC");
    let expected = [("command", 0x12 | 18 << 32 | 5 << 48), ("command", 0x46)];
    assert_eq!(told(), expected);
    assert_eq!(
        smmu.load(0x98, 4),
        2,
        "SMMU_CMDQ_PROD, as the guest sees it"
    );
    // Commands that say something of the stream table, that are none, or more of them than there can be.
    for other in [[3 | 3 << 32, 1], [4, 31], [0xff, 0]] {
        put(2, TLBI);
        put(3, other);
        assert_eq!(smmu.unmap(4, &memory), None, "{other:x?}");
    }
    assert_eq!(smmu.unmap(19, &memory), None, "17 commands");
    assert_eq!(told(), []);
    assert_eq!(fake.register(0x98), 2, "SMMU_CMDQ_PROD");
    // Where the queue begins anew, they do not follow each other in memory.
    (2..16).for_each(|place| put(place, SYNC));
    assert_eq!(smmu.unmap(17, &memory), None, "around the end of the queue");
    assert_eq!(smmu.unmap(16, &memory), Some(()), "up to its end");
    assert_eq!(told().len(), 16);
}

#[test]
fn more_commands_than_the_queue_has_are_none() {
    let (fake, memory) = (fake(), Memory::default());
    let smmu = fenced(&fake);
    set_up(&smmu, &memory);
    let stored = smmu.store(0x98, 4, 17, &memory);
    assert_eq!(stored.refused, Some("SMMU_CMDQ_PROD"));
    assert_eq!(fake.register(0x98), 0);
}

/// The SMMU stops at a command; the driver puts another in its place, and acknowledges the error.
#[test]
fn after_an_error_the_queue_is_what_the_driver_has_made_of_it() {
    let (fake, memory) = (fake(), Memory::default());
    let smmu = fenced(&fake);
    set_up(&smmu, &memory);
    let base = fake.memory.base();
    memory.write(QUEUE, [0xff, 0]);
    memory.write(QUEUE + 16, SYNC);
    smmu.store(0x98, 4, 2, &memory);
    assert_eq!(fake.told.borrow().last(), Some(&("command", 0x46)));
    let shadow = (mmio::peek64(base + 0x90) & !0x1f) as usize;
    assert_eq!(mmio::peek64(shadow), 0xff, "no opcode");
    // It stands at the first, and says so.
    mmio::poke(base + 0x9c, 1 << 24);
    let pending = fake.register(0x64) ^ 1;
    mmio::poke(base + 0x60, pending);
    memory.write(QUEUE, SYNC);
    smmu.store(0x64, 4, (pending ^ 4).into(), &memory);
    assert_eq!(mmio::peek64(shadow), 0x46, "the command that is there now");
    assert_eq!(fake.register(0x64), pending ^ 4, "SMMU_GERRORN");
}

#[test]
fn nothing_is_left_of_a_kernel_that_is_over() {
    let (fake, memory) = (fake(), Memory::default());
    let smmu = fenced(&fake);
    memory.write(TABLE + 64 * 3, [1 | 4 << 1, 1 << 44]);
    set_up(&smmu, &memory);
    assert_eq!(smmu.shut(false), Ok(()));
    assert_eq!(entry(&fake, 3)[0], 0);
    for offset in [0x20, 0x28, 0x80, 0x88, 0x90, 0x98, 0x9c, 0xa0] {
        assert_eq!(smmu.load(offset, 4), 0, "{offset:#x}");
    }
    let stored = smmu.store(0x98, 4, 1, &memory);
    assert_eq!(stored.refused, None);
    assert_eq!(fake.register(0x98), 0, "SMMU_CMDQ_PROD");
}

/// A device that brings its own translations along is looked at, and the guest, which is not told of it, does not
/// see that.
#[test]
fn where_there_is_ats_it_is_always_checked_and_loads_stay_with_the_monitor() {
    let (fake, memory) = (fake(), Memory::default());
    mmio::poke(fake.memory.base(), 0x0d44_141b);
    let smmu = fenced(&fake);
    assert_eq!(fake.register(0x20), 0x11, "SMMU_CR0");
    for (offset, size, value) in [(0x90, 8, QUEUE | 4), (0x20, 4, 9)] {
        let stored = smmu.store(offset, size, value, &memory);
        assert_ne!(stored.readable, Some(true));
    }
    assert_eq!((fake.register(0x20), smmu.load(0x24, 4)), (0x19, 9));
}
