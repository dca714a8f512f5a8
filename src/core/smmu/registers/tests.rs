// SPDX-License-Identifier: Apache-2.0

use super::*;

/// As QEMU 10 has it.
const IDENTITY: Identity = Identity {
    idr: [0x0d44_101b, 0x0273_0010, 0, 0x1404, 0, 0x0054],
    iidr: 0,
    aidr: 1,
};

/// Memory of the guest's from one address to another.
struct Memory(u64, u64);

impl GuestMemory for Memory {
    fn read_u64(&self, _: u64) -> Option<u64> {
        None
    }

    fn contains(&self, start: u64, size: u64) -> bool {
        let end = start.checked_add(size);
        self.0 <= start && end.is_some_and(|end| end <= self.1)
    }
}

const MEMORY: Memory = Memory(0x4000_0000, 0x8000_0000);

fn new() -> Registers {
    Registers::new(&IDENTITY)
}

impl Registers {
    fn put(&mut self, offset: u64, size: u64, value: u64) -> Action {
        self.store(offset, size, value, &MEMORY)
    }
}

#[test]
fn a_driver_sets_it_up_as_it_would_without_the_monitor() {
    let mut registers = new();
    assert_eq!(registers.put(CR0, 4, 0), Action::Enable(0));
    for (offset, size, value) in [
        (CR1, 4, 0xd75),
        (CR2, 4, 6),
        (STRTAB_BASE, 8, 1 << 62 | 0x4100_0000),
        (STRTAB_BASE_CFG, 4, 1 << 16 | 8 << 6 | 16),
        (CMDQ_BASE, 8, 1 << 62 | 0x4200_0000 | 10),
        (CMDQ_PROD, 4, 0),
        (CMDQ_CONS, 4, 0),
    ] {
        let action = registers.put(offset, size, value);
        assert_eq!(action, Action::Nothing, "{offset:#x}");
        assert_eq!(registers.load(offset, size, |_| 0), value, "{offset:#x}");
    }
    assert_eq!(registers.put(CR0, 4, 8), Action::Enable(CMDQEN));
    registers.set_enabled(CMDQEN, 0);
    assert_eq!(registers.put(CMDQ_PROD, 4, 2), Action::Commands(0, 2));
    registers.set_produced(2);
    assert_eq!(
        registers.put(EVENTQ_BASE, 8, 0x4300_0000 | 12),
        Action::Nothing
    );
    assert_eq!(registers.put(IRQ_CTRL, 4, 7), Action::Interrupts(5));
    let all = SMMUEN | EVENTQEN | CMDQEN;
    assert_eq!(registers.put(CR0, 4, all.into()), Action::Enable(all));
    registers.set_enabled(all, 0);
    let table = Table::new(0x4100_0000, 1 << 16 | 8 << 6 | 16, 16);
    assert_eq!(registers.table(), table);
    assert_eq!(registers.commands(), Queue::new(0x4200_000a, 10, 4));
    assert_eq!(registers.events_register(), 0x4300_000c);
}

#[test]
fn queues_lie_in_guest_memory() {
    for (register, enable, base, expected) in [
        // A command queue of 16 KiB, an event queue of 128 KiB.
        (CMDQ_BASE, CMDQEN, 0x7fff_c00a, None),
        (CMDQ_BASE, CMDQEN, 0x8000_000a, Some("SMMU_CMDQ_BASE")),
        (CMDQ_BASE, CMDQEN, 0x3fff_c00a, Some("SMMU_CMDQ_BASE")),
        (EVENTQ_BASE, EVENTQEN, 0x7ffe_000c, None),
        (EVENTQ_BASE, EVENTQEN, 0x8000_000c, Some("SMMU_EVENTQ_BASE")),
        (EVENTQ_BASE, EVENTQEN, u64::MAX, Some("SMMU_EVENTQ_BASE")),
        (EVENTQ_BASE, EVENTQEN, 0, Some("SMMU_EVENTQ_BASE")),
    ] {
        let mut registers = new();
        registers.put(register, 8, base);
        let seen = registers.put(CR0, 4, enable.into());
        let expected = expected.map_or(Action::Enable(enable), Action::Refused);
        assert_eq!(seen, expected, "{base:#x} at {register:#x}");
    }
}

/// Of a whole that is larger than the SMMU has it, what it has counts.
#[test]
fn a_queue_is_no_larger_than_the_smmu_says() {
    let mut registers = new();
    registers.put(CMDQ_BASE, 8, 0x4000_001f);
    assert_eq!(registers.commands().size(), 16 << 10);
    registers.put(EVENTQ_BASE, 8, 0x4000_001f);
    assert_eq!(registers.events_register() & 0x1f, 19);
}

#[test]
fn nothing_that_is_in_use_changes() {
    let mut registers = new();
    let bases = [STRTAB_BASE, STRTAB_BASE_CFG, CMDQ_BASE, EVENTQ_BASE];
    registers.set_enabled(SMMUEN | EVENTQEN | CMDQEN, 0);
    let before = (registers.table(), registers.commands());
    for offset in bases {
        for half in [0, 4] {
            let seen = registers.put(offset + half, 4, 0x4000_0001);
            assert_eq!(seen, Action::Nothing);
        }
        assert_eq!(registers.put(offset, 8, 0x4000_0001), Action::Nothing);
    }
    registers.put(CMDQ_CONS, 4, 1);
    assert_eq!((registers.table(), registers.commands()), before);
    assert_eq!(registers.events_register(), 0);
    assert_eq!(registers.places(), (0, 0));
}

/// Addresses of interrupts, a queue of page requests, translations on demand, what is not translated, and what
/// is no register.
#[test]
fn what_the_guest_does_not_have_keeps_what_it_had() {
    let mut registers = new();
    let before = alloc::format!("{registers:?}");
    let known = [
        CR0,
        CR1,
        CR2,
        IRQ_CTRL,
        GERRORN,
        STRTAB_BASE,
        0x84,
        STRTAB_BASE_CFG,
        CMDQ_BASE,
        0x94,
        CMDQ_PROD,
        CMDQ_CONS,
        EVENTQ_BASE,
        0xa4,
    ];
    for offset in (0..0x1_0000).step_by(4).filter(|o| !known.contains(o)) {
        for size in [0, 1, 2, 4, 8] {
            let seen = registers.put(offset, size, u64::MAX);
            assert_eq!(seen, Action::Nothing, "{size} bytes at {offset:#x}");
        }
    }
    // PRIQEN, ATSCHK and VMW.
    assert_eq!(registers.put(CR0, 4, 0x1f2), Action::Enable(0));
    assert_eq!(alloc::format!("{registers:?}"), before);
}

#[test]
fn halves_of_a_base_are_stored_one_by_one() {
    let mut registers = new();
    registers.put(CMDQ_BASE + 4, 4, 0x12);
    registers.put(CMDQ_BASE, 4, 0x4000_0008);
    assert_eq!(registers.load(CMDQ_BASE, 8, |_| 0), 0x12_4000_0008);
    assert_eq!(registers.load(CMDQ_BASE + 4, 4, |_| 0), 0x12);
    registers.put(CMDQ_BASE + 4, 8, u64::MAX);
    assert_eq!(registers.load(CMDQ_BASE, 8, |_| 0), 0x12_4000_0008);
}

#[test]
fn a_load_shows_no_stage_2_and_what_the_smmu_has_of_the_guests() {
    let mut registers = new();
    assert_eq!(registers.load(0, 4, |_| 0) & 1, 0, "IDR0.S2P");
    assert_eq!(registers.load(0, 8, |_| 0) >> 53 & 0x1f, 10, "IDR1.CMDQS");
    assert_eq!(registers.load(2, 1, |_| 0), 0x44, "a byte of IDR0");
    registers.set_enabled(CMDQEN, 0);
    let live = |what| match what {
        Live::Acknowledged => 0x19,
        Live::Untranslated => 1,
        Live::Interrupts => 2,
        Live::InterruptsAcknowledged => 3,
        Live::Errors => 4,
        Live::ErrorsAcknowledged => 5,
    };
    for (offset, expected) in [
        (CR0, 8),
        (CR0ACK, 8),
        (GBPA, 1),
        (IRQ_CTRL, 2),
        (IRQ_CTRLACK, 3),
        (GERROR, 4),
        (GERRORN, 5),
        (0xfe0, 0),
    ] {
        assert_eq!(registers.load(offset, 4, live), expected, "{offset:#x}");
    }
}

#[test]
fn a_queue_that_is_turned_off_stays_where_it_was() {
    let mut registers = new();
    registers.put(CMDQ_BASE, 8, 0x4000_0004);
    registers.set_enabled(CMDQEN, 0);
    registers.set_produced(5);
    registers.set_enabled(0, 0x0100_0003);
    assert_eq!(registers.places(), (5, 3));
    // More than there is room for.
    registers.put(CMDQ_CONS, 4, 6);
    let seen = registers.put(CR0, 4, CMDQEN.into());
    assert_eq!(seen, Action::Refused("SMMU_CMDQ_PROD"));
}
