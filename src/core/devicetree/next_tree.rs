// SPDX-License-Identifier: Apache-2.0
//! The device tree that the next kernel is given: made by tools of the kernel before, and looked at
//! before the old kernel loses anything.
//!
//! A tree that does not keep its kernel off the monitor's memory gets an entry in its memory
//! reservation block, in place (Devicetree Specification v0.4, 5.3). Linux allocates nothing of what
//! stands there, and hands it on to the kernel after it.

use super::blob::{self, BlobError, RESERVATION_SIZE, header, word_at};
use super::survey;
use super::uefi::{Uefi, UefiError};
use crate::memory::region::Region;
use alloc::string::String;
use alloc::vec::Vec;
use thiserror::Error;

/// Bytes by which [`complete`] lets a tree grow at most.
pub const GROWTH: usize = RESERVATION_SIZE;

/// Why a kexec with a device tree is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NextTreeError {
    /// It cannot be read.
    #[error("the next kernel's device tree: {0}")]
    Tree(#[from] BlobError),
    /// It does not keep the kernel off the monitor, and there is no room to say so.
    #[error(
        "the next kernel's device tree does not reserve the monitor's memory, and its {room} bytes have no room for that"
    )]
    NoRoom {
        /// Bytes that there are for it.
        room: usize,
    },
    /// CPUs come from the monitor's PSCI, of which the tree says nothing.
    #[error(
        "the next kernel's device tree has no /psci with the method hvc, by which CPUs come here"
    )]
    NoPsci,
    /// A CPU would be started around the monitor.
    #[error(
        "the next kernel's device tree has {node} start from a spin table, which leads around the monitor"
    )]
    SpinTable {
        /// Path of the CPU's node.
        node: String,
    },
}

/// What the monitor needs to be in a kernel's tree.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// The monitor's memory, which the kernel must keep off.
    pub monitor: Region,
    /// The part of it with the log, if the kernel may read that.
    pub log: Option<Region>,
    /// CPUs come by the monitor's own PSCI: the board has none.
    pub own_psci: bool,
}

/// Returns how many bytes the tree whose header `tree` begins with has, up to the end of its last
/// block; `None` if that is no header, or more than [`blob::MAX_SIZE`].
pub fn used(tree: &[u8]) -> Option<usize> {
    blob::size_in_header(tree)?;
    let word = |at| Some(u64::from(word_at(tree, at)?));
    let structure = word(header::OFF_DT_STRUCT)? + word(header::SIZE_DT_STRUCT)?;
    let strings = word(header::OFF_DT_STRINGS)? + word(header::SIZE_DT_STRINGS)?;
    let end = structure.max(strings).max(header::SIZE as u64);
    (end <= blob::MAX_SIZE).then_some(end as usize)
}

/// What [`complete`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The tree was as it should be; if not, the entry that was missing is in it now.
    pub was_complete: bool,
    /// Where it says that UEFI's tables are.
    pub uefi: Result<Option<Uefi>, UefiError>,
}

/// Looks at the next kernel's tree: the first `used` bytes of `tree`, as [`used`] told. `room` is how many bytes
/// it may have. What is behind it stays where it is, but for what it needs itself.
///
/// # Errors
///
/// [`NextTreeError`], which is to be the reason of a refusal.
pub fn complete(
    tree: &mut Vec<u8>,
    used: usize,
    room: usize,
    needs: &Needs,
) -> Result<Completed, NextTreeError> {
    // What is behind the last block does not count.
    set_word(tree, header::TOTALSIZE, used);
    let seen = survey::look(tree, &needs.monitor)?;
    if needs.own_psci && !seen.has_hvc {
        return Err(NextTreeError::NoPsci);
    }
    if let Some(node) = seen.in_spin_table {
        return Err(NextTreeError::SpinTable { node });
    }
    if !seen.keeps_out {
        reserve(tree, used, room, &needs.monitor)?;
        if !survey::look(tree, &needs.monitor)?.keeps_out {
            return Err(NextTreeError::NoRoom { room });
        }
    }
    Ok(Completed {
        was_complete: seen.keeps_out,
        uefi: seen.uefi,
    })
}

/// Adds `region` to the memory reservation block. What is behind the block moves up, if it must.
fn reserve(
    tree: &mut Vec<u8>,
    used: usize,
    room: usize,
    region: &Region,
) -> Result<(), NextTreeError> {
    let no_room = NextTreeError::NoRoom { room };
    let block = word_at(tree, header::OFF_MEM_RSVMAP);
    let Some(at) = block.and_then(|block| blob::reservations_end(tree, block as usize)) else {
        return Err(no_room);
    };
    let size = used + RESERVATION_SIZE;
    if size > room || tree.len() < used {
        return Err(no_room);
    }
    if tree.len() < size {
        tree.resize(size, 0);
    }
    tree.copy_within(at..used, at + RESERVATION_SIZE);
    for (place, word) in [(at, region.start()), (at + 8, region.size())] {
        if let Some(bytes) = tree.get_mut(place..place + 8) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
    }
    for offset in [
        header::OFF_DT_STRUCT,
        header::OFF_DT_STRINGS,
        header::OFF_MEM_RSVMAP,
    ] {
        if let Some(block) = word_at(tree, offset).map(|word| word as usize)
            && block > at
        {
            set_word(tree, offset, block + RESERVATION_SIZE);
        }
    }
    set_word(tree, header::TOTALSIZE, size);
    Ok(())
}

/// Writes a word of the header; what does not fit in 32 bits is no tree, and fails when it is opened.
fn set_word(tree: &mut [u8], at: usize, value: usize) {
    if let (Some(word), Ok(value)) = (tree.get_mut(at..at + 4), u32::try_from(value)) {
        word.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, wide};

    const NEEDS: Needs = Needs {
        monitor: match Region::new(0x7fe0_0000, 0x20_0000) {
            Ok(region) => region,
            Err(_) => panic!("test region"),
        },
        log: None,
        own_psci: false,
    };

    fn was_complete(tree: &mut Vec<u8>, room: usize, needs: &Needs) -> Result<bool, NextTreeError> {
        complete(tree, tree.len(), room, needs).map(|seen| seen.was_complete)
    }

    fn cut(tree: &Sample) -> Vec<u8> {
        let mut blob = tree.blob();
        let used = used(&blob).expect("a tree");
        blob.truncate(used);
        blob
    }

    #[test]
    fn boards_own_tree_gets_the_reservation_in_place() {
        let mut board = cut(&Sample::virt());
        let (before, room) = (board.len(), board.len() + 0x1000);
        assert_eq!(was_complete(&mut board, room, &NEEDS), Ok(false));
        assert_eq!(board.len(), before + RESERVATION_SIZE);
        let fdt = blob::open(&board).expect("it still opens");
        assert!(
            fdt.find_node("/cpus/cpu@1").is_some(),
            "nodes are as before"
        );
        assert_eq!(
            was_complete(&mut board, room, &NEEDS),
            Ok(true),
            "nothing is missing now"
        );
    }

    #[test]
    fn entry_goes_behind_those_that_there_are() {
        let mut tree = Sample::virt();
        tree.0.memory_reservations =
            alloc::vec![dtoolkit::memreserve::MemoryReservation::new(0x1000, 0x2000)];
        let mut board = cut(&tree);
        let room = board.len() + RESERVATION_SIZE;
        assert_eq!(was_complete(&mut board, room, &NEEDS), Ok(false));
        let entries = &board[40..40 + 3 * RESERVATION_SIZE];
        let words: Vec<u64> = entries
            .chunks_exact(8)
            .map(|word| u64::from_be_bytes(word.try_into().expect("8 bytes")))
            .collect();
        assert_eq!(words, [0x1000, 0x2000, 0x7fe0_0000, 0x20_0000, 0, 0]);
    }

    #[test]
    fn what_is_behind_stays_where_it_is() {
        let mut board = cut(&Sample::virt());
        let used = board.len();
        let behind: Vec<u8> = (0..40).collect();
        board.extend_from_slice(&behind);
        let size = board.len();
        let seen = complete(&mut board, used, size, &NEEDS);
        assert_eq!(seen.map(|seen| seen.was_complete), Ok(false));
        assert_eq!(board.len(), size);
        assert_eq!(board[used + RESERVATION_SIZE..], behind[RESERVATION_SIZE..]);
        let total = word_at(&board, header::TOTALSIZE);
        assert_eq!(total, Some((used + RESERVATION_SIZE) as u32));
    }

    #[test]
    fn no_room_is_a_refusal() {
        let mut board = cut(&Sample::virt());
        let room = board.len() + RESERVATION_SIZE - 1;
        assert_eq!(
            was_complete(&mut board, room, &NEEDS),
            Err(NextTreeError::NoRoom { room })
        );
    }

    #[test]
    fn cpus_come_by_the_monitors_psci() {
        let mut tree = Sample::virt();
        tree.set("/cpus/cpu@1", "enable-method", "spin-table").set(
            "/cpus/cpu@1",
            "cpu-release-addr",
            wide(&[0xd8]),
        );
        let mut board = cut(&tree);
        let room = board.len() + 0x1000;
        assert_eq!(
            was_complete(&mut board, room, &NEEDS),
            Err(NextTreeError::SpinTable {
                node: "/cpus/cpu@1".into(),
            })
        );
        // "disabled" says of a CPU that it waits to be started.
        tree.set("/cpus/cpu@1", "status", "disabled");
        let seen = was_complete(&mut cut(&tree), room, &NEEDS);
        assert!(
            matches!(seen, Err(NextTreeError::SpinTable { .. })),
            "a CPU that is disabled: {seen:?}"
        );
        tree.set("/cpus/cpu@1", "status", "fail");
        let seen = was_complete(&mut cut(&tree), room, &NEEDS);
        assert_eq!(seen, Ok(false), "a CPU that has failed");
        tree.unset("/cpus/cpu@1", "status")
            .unset("/cpus/cpu@1", "cpu-release-addr");
        let seen = was_complete(&mut cut(&tree), room, &NEEDS);
        assert_eq!(seen, Ok(false), "a spin table that is nowhere");
        let own = Needs {
            own_psci: true,
            ..NEEDS
        };
        let mut tree = Sample::virt();
        tree.set("/psci", "method", "smc");
        for tree in [&tree.clone(), tree.remove("/psci")] {
            let mut board = cut(tree);
            assert_eq!(
                was_complete(&mut board, room, &own),
                Err(NextTreeError::NoPsci)
            );
        }
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        assert_eq!(used(&[0; 64]), None);
        let mut board = cut(&Sample::virt());
        board[header::OFF_DT_STRUCT] = 0x7f;
        assert_eq!(used(&board), None, "its blocks end beyond any tree");
        let mut board = cut(&Sample::virt());
        board.truncate(0x100);
        let room = 0x1000;
        assert!(matches!(
            was_complete(&mut board, room, &NEEDS),
            Err(NextTreeError::Tree(_))
        ));
    }
}
