// SPDX-License-Identifier: Apache-2.0
//! Makes a guest's stores to an SMMU's registers and its tables, and gives it commands and entries: whatever they are,
//! nothing of it leads past stage 2, and no queue lies outside guest memory.
#![no_main]

use baton_core::memory::guest_memory::GuestMemory;
use baton_core::smmu::command::{Changed, ILLEGAL, admit};
use baton_core::smmu::entry::{Stage2, is_open};
use baton_core::smmu::identity::Identity;
use baton_core::smmu::registers::{Action, CMDQEN, EVENTQEN, Registers};
use baton_fuzz::input::Input;
use baton_fuzz::memory::Memory;
use libfuzzer_sys::fuzz_target;

const STAGE2: Stage2 = Stage2 {
    vmid: 18,
    vtcr: 0x8002_3558,
    root: 0xbfe0_2000,
};

fn word(memory: &Memory, input: &mut Input<'_>) -> u64 {
    match input.u8() & 3 {
        0 => memory.pick(input) | u64::from(input.u8() & 0x1f),
        1 => input.edge(),
        _ => input.number(8),
    }
}

/// Opcodes by which caches of the monitor's VMID, and of streams, are invalidated, faults are answered, and all that
/// went before is waited for (IHI 0070, chapter 4).
fn command(words: [u64; 2]) {
    let ([first, second], changed) = admit(words, STAGE2.vmid);
    match first & 0xff {
        3..=6 | 0x44 | 0x45 => assert_eq!(first & 1 << 10, 0, "of the Secure world"),
        0x10..=0x13 => assert_eq!(first >> 32 & 0xffff, 18, "another VMID: {first:#x}"),
        // No interrupt.
        0x46 => assert!(
            first >> 12 & 3 != 1 && second == 0,
            "{first:#x}, {second:#x}"
        ),
        _ => assert_eq!([first, second], ILLEGAL, "from {words:x?}"),
    }
    // What the SMMU forgets is what is copied anew.
    match (first & 0xff, changed) {
        (3, Changed::Stream(stream)) => assert_eq!(u64::from(stream), first >> 32),
        (4, Changed::All) => {}
        (3 | 4, _) => panic!("{first:#x}: {changed:?}"),
        _ => assert_eq!(changed, Changed::Nothing),
    }
}

fn entry(words: [u64; 2]) {
    let entry = STAGE2.behind(words);
    let config = entry[0] >> 1 & 7;
    // Invalid, aborted, stage 2, both stages.
    assert!(
        entry[0] & 1 == 0 || matches!(config, 0 | 6 | 7),
        "{entry:x?}"
    );
    assert_eq!(is_open(entry[0]), entry[0] & 1 != 0 && config != 0);
    assert_eq!(entry[2..], STAGE2.none()[2..], "{entry:x?}");
    // EATS, STRW, S1MPAM, S2FWB.
    let past = 3 << 25 | 3 << 28 | 3 << 30;
    assert_eq!(entry[1] & past, 0, "{entry:x?}");
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut memory = Memory::new(0x1000, 0x4000_0000);
    let identity = Identity {
        idr: [0x0d44_101b, input.edge() as u32, 0, 0, 0, 0x54],
        ..Identity::default()
    };
    let mut registers = Registers::new(&identity);
    while !input.is_empty() {
        let words = [word(&memory, &mut input), word(&memory, &mut input)];
        command(words);
        entry(words);
        let at = word(&memory, &mut input);
        memory.write(at, words[0]);
        memory.write(at.wrapping_add(8), words[1]);
        let offset = 4 * u64::from(input.u8() & 0x3f);
        let size = 1 << (input.u8() & 3);
        let value = word(&memory, &mut input);
        let _ = registers.load(offset, size, |_| value as u32);
        match registers.store(offset, size, value, &memory) {
            Action::Enable(enabled) => {
                registers.set_enabled(enabled, input.edge() as u32);
                let commands = registers.commands();
                let inside = |base, size| memory.contains(base, size);
                assert!(enabled & CMDQEN == 0 || inside(commands.base, commands.size()));
                let events = registers.events_register();
                let size = 32 << (events & 0x1f);
                let base = events & 0x000f_ffff_ffff_ffe0;
                assert!(enabled & EVENTQEN == 0 || inside(base, size), "{events:#x}");
                assert_eq!(enabled & !0xd, 0, "CR0 {enabled:#x}");
            }
            Action::Commands(from, end) => {
                if let Some((index, count)) = registers.commands().run(from, end) {
                    assert!(index + count <= 1024, "{count} commands from {index} on");
                    registers.set_produced(end);
                }
            }
            Action::Nothing | Action::Interrupts(_) | Action::Acknowledge(_) => {}
            Action::Refused(register) => assert!(!register.is_empty()),
        }
        // However long the table is, a walk through it ends.
        if let Some(table) = registers.table() {
            assert!(table.streams() <= 1 << 16);
            let stream = input.number(4) as u32;
            if let Some((at, follow)) = table.run(&memory, stream) {
                assert!(stream < table.streams() && follow <= table.streams() - stream);
                assert!(follow > 0 && at.is_multiple_of(64), "{follow} at {at:#x}");
            }
            if let Some(words) = table.entry(&memory, stream) {
                entry(words);
            }
        }
    }
});
