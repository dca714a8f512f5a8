// SPDX-License-Identifier: Apache-2.0
//! Commands of the guest's (chapter 4): which go on to the SMMU, and what else they say.

/// A command: opcode and what it is about.
pub type Command = [u64; 2];

/// Opcodes.
const CFGI_STE: u8 = 0x03;
const CFGI_STE_RANGE: u8 = 0x04;
const CFGI_CD: u8 = 0x05;
const CFGI_CD_ALL: u8 = 0x06;
const TLBI_NH_ALL: u8 = 0x10;
const TLBI_NH_ASID: u8 = 0x11;
const TLBI_NH_VA: u8 = 0x12;
const TLBI_NH_VAA: u8 = 0x13;
const TLBI_NSNH_ALL: u8 = 0x30;
const PREFETCH_CONFIG: u8 = 0x01;
const PREFETCH_ADDR: u8 = 0x02;
const RESUME: u8 = 0x44;
const STALL_TERM: u8 = 0x45;
const SYNC: u8 = 0x46;

/// Bits 63:32 of the first word: a stream ID; bits 31:12: a substream ID.
const STREAM: u64 = 0xffff_ffff_0000_0000;
const SUBSTREAM: u64 = 0xf_ffff << 12;
/// Of a TLBI: ASID; SCALE and NUM, by which it is of a range; VMID.
const ASID: u64 = 0xffff << 48;
const RANGE: u64 = 0x1f << 20 | 0x1f << 12;
const VMID_SHIFT: u32 = 32;
/// Of a TLBI, second word: Leaf, TTL128, TTL, TG, and the address.
const ADDRESS: u64 = 0xffff_ffff_ffff_ff81;
/// Of CFGI: Leaf; how many streams, as a power of two less one.
const LEAF: u64 = 1;
const STREAMS: u64 = 0x1f;
/// Of CMD_SYNC: what it signals when it is complete (CS): nothing, an interrupt, an event.
const SIGNAL: u64 = 3 << 12;
const SIGNAL_EVENT: u64 = 2 << 12;
/// Of CMD_RESUME: Ac and Ab; the tag of the stalled transaction.
const RESPONSE: u64 = 3 << 12;
const TAG: u64 = 0xffff;

/// What the SMMU is given in the place of a command that it is not to have: no opcode, at which it stops with
/// CERROR_ILL, as at one that it does not know.
pub const ILLEGAL: Command = [0xff, 0];
/// What it is given in the place of a hint.
pub const NOTHING: Command = [SYNC as u64, 0];

/// What a command says of the stream table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing.
    Nothing,
    /// The entry of this stream may be another.
    Stream(u32),
    /// All may be.
    All,
}

/// Returns what the SMMU is given for a command of those by which a driver takes a page from a device, and of which a
/// kernel has many; `None` for all others. [`admit`] is for both.
#[inline]
pub fn admit_unmap([first, second]: Command, vmid: u16) -> Option<Command> {
    let opcode = first as u8;
    let op = u64::from(opcode);
    let vmid = u64::from(vmid) << VMID_SHIFT;
    match opcode {
        TLBI_NH_VA => Some([op | first & (ASID | RANGE) | vmid, second & ADDRESS]),
        SYNC => {
            // An interrupt would be a write to an address that the command names.
            let event = first & SIGNAL == SIGNAL_EVENT;
            Some([op | if event { SIGNAL_EVENT } else { 0 }, 0])
        }
        _ => None,
    }
}

/// Returns what the SMMU is given for a command of the guest's, whose translations all have `vmid`, and what that
/// says of the stream table.
///
/// Each word that is returned is one that may go on by itself too, whatever the other is: the SMMU may read one of
/// them before, and the other after it was replaced.
#[inline]
pub fn admit(given: Command, vmid: u16) -> (Command, Changed) {
    if let Some(command) = admit_unmap(given, vmid) {
        return (command, Changed::Nothing);
    }
    let [first, second] = given;
    let opcode = first as u8;
    let op = u64::from(opcode);
    let vmid = u64::from(vmid) << VMID_SHIFT;
    let stream = (first >> 32) as u32;
    match opcode {
        // With the descriptor of the first level: a page of entries may have come, of which the guest does not know.
        CFGI_STE => ([op | first & STREAM, 0], Changed::Stream(stream)),
        // CFGI_ALL is that of all streams.
        CFGI_STE_RANGE => ([op | first & STREAM, second & STREAMS], Changed::All),
        CFGI_CD => (
            [op | first & (STREAM | SUBSTREAM), second & LEAF],
            Changed::Nothing,
        ),
        CFGI_CD_ALL => ([op | first & STREAM, 0], Changed::Nothing),
        TLBI_NH_ALL | TLBI_NSNH_ALL => ([u64::from(TLBI_NH_ALL) | vmid, 0], Changed::Nothing),
        TLBI_NH_ASID => ([op | first & ASID | vmid, 0], Changed::Nothing),
        TLBI_NH_VAA => (
            [op | first & (ASID | RANGE) | vmid, second & ADDRESS],
            Changed::Nothing,
        ),
        PREFETCH_CONFIG | PREFETCH_ADDR => (NOTHING, Changed::Nothing),
        RESUME => (
            [op | first & (STREAM | RESPONSE), second & TAG],
            Changed::Nothing,
        ),
        STALL_TERM => ([op | first & STREAM, 0], Changed::Nothing),
        _ => (ILLEGAL, Changed::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const VMID: u16 = 0x12;
    const ONES: u64 = !0xff;

    fn admitted(opcode: u8) -> (Command, Changed) {
        admit([ONES | u64::from(opcode), u64::MAX], VMID)
    }

    #[test]
    fn every_field_that_the_guest_may_not_choose_is_the_monitors() {
        let stream = Changed::Stream(u32::MAX);
        let vmid = 0x12 << 32;
        for (opcode, expected, changed) in [
            (0x03, [0xffff_ffff_0000_0003, 0], stream),
            (0x04, [0xffff_ffff_0000_0004, 31], Changed::All),
            (0x05, [0xffff_ffff_ffff_f005, 1], Changed::Nothing),
            (0x06, [0xffff_ffff_0000_0006, 0], Changed::Nothing),
            (0x10, [0x10 | vmid, 0], Changed::Nothing),
            (0x11, [0xffff << 48 | vmid | 0x11, 0], Changed::Nothing),
            (
                0x12,
                [0xffff << 48 | vmid | 0x1f1_f012, ADDRESS],
                Changed::Nothing,
            ),
            (
                0x13,
                [0xffff << 48 | vmid | 0x1f1_f013, ADDRESS],
                Changed::Nothing,
            ),
            (0x30, [0x10 | vmid, 0], Changed::Nothing),
            (0x01, NOTHING, Changed::Nothing),
            (0x02, NOTHING, Changed::Nothing),
            (0x44, [0xffff_ffff_0000_3044, 0xffff], Changed::Nothing),
            (0x45, [0xffff_ffff_0000_0045, 0], Changed::Nothing),
        ] {
            assert_eq!(admitted(opcode), (expected, changed), "opcode {opcode:#x}");
        }
    }

    /// Of EL2 and EL3, of stage 2, of the Secure world, to devices with a cache of translations, to reserved ones.
    #[test]
    fn all_others_are_illegal() {
        let known = [
            1, 2, 3, 4, 5, 6, 0x10, 0x11, 0x12, 0x13, 0x30, 0x44, 0x45, 0x46,
        ];
        for opcode in (0..=u8::MAX).filter(|opcode| !known.contains(opcode)) {
            let expected = (ILLEGAL, Changed::Nothing);
            assert_eq!(admitted(opcode), expected, "opcode {opcode:#x}");
        }
    }

    #[test]
    fn a_sync_writes_nowhere() {
        for (signal, expected) in [(0, 0x46), (1, 0x46), (2, 0x2046), (3, 0x46)] {
            let sync = [0xffff_ffff_ffff_cf46 | signal << 12, u64::MAX];
            let seen = admit(sync, VMID);
            assert_eq!(seen, ([expected, 0], Changed::Nothing), "CS {signal}");
        }
    }

    #[test]
    fn an_unmap_says_nothing_of_the_stream_table() {
        let of_unmap = |opcode: &u8| admit_unmap([ONES | u64::from(*opcode), 0], VMID).is_some();
        let seen: Vec<u8> = (0..=u8::MAX).filter(of_unmap).collect();
        assert_eq!(seen, [0x12, 0x46]);
        for opcode in seen {
            let (command, changed) = admitted(opcode);
            let unmap = admit_unmap([ONES | u64::from(opcode), u64::MAX], VMID);
            assert_eq!((unmap, changed), (Some(command), Changed::Nothing));
        }
    }

    #[test]
    fn the_stream_is_the_one_that_is_named() {
        let (_, changed) = admit([0x1234_5678_0000_0003, 1], VMID);
        assert_eq!(changed, Changed::Stream(0x1234_5678));
    }
}
