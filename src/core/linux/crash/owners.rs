// SPDX-License-Identifier: Apache-2.0
//! Which CPU's a note is.
//!
//! Notes are per-CPU memory: the kernel's `crash_notes` is a pointer that is the same for all CPUs, and a
//! CPU's own offset, which arm64 has in TPIDR_EL1, added to it is the virtual address of its note (Linux
//! `per_cpu_ptr()`, `arch/arm64/include/asm/percpu.h`). So with that pointer the guest's own translation
//! tells whose a note is, and that the pointer is the right one: no other leads to the beginning of a note.
//!
//! Without it, distances do: the offsets of two CPUs differ as their notes do, as long as these are in the
//! linear map, where the kernel's first per-CPU memory is (`pcpu_embed_first_chunk()`). Areas are spaced
//! evenly, so where there are more notes than CPUs, more than one way may fit: then none is taken.

use super::core_header::MAX_NOTES;
use thiserror::Error;

/// A CPU that has registers for a note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// TPIDR_EL1 while it was in the guest.
    pub offset: u64,
    /// The physical address of its note, once that is found.
    pub note: Option<u64>,
}

/// How the owners of notes were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// By this value of `crash_notes`.
    Pointer(u64),
    /// By the distances of notes and of CPUs' offsets.
    Distances,
}

/// Why the owners of notes are not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoOwners {
    /// The CPUs' offsets differ otherwise than their notes.
    #[error("no crash_notes, and the notes are not spaced as the CPUs' offsets")]
    NoFit,
    /// There is more than one way.
    #[error("no crash_notes, and the CPUs' offsets fit the notes in more than one way")]
    Several,
}

/// Finds the note of each of `cpus` among `notes`, addresses in ascending order. `pointers` may have the
/// value of `crash_notes`; `translate` returns the physical address of a virtual one of the kernel's.
///
/// A CPU without a note of its own is left with `None`, for instance one that the kernel has not told its
/// offset yet.
///
/// # Errors
///
/// Returns [`NoOwners`]; then no CPU has a note.
pub fn find(
    notes: &[u64],
    cpus: &mut [Owner],
    pointers: &[u64],
    translate: impl Fn(u64) -> Option<u64>,
) -> Result<Found, NoOwners> {
    let mut best = (0, 0);
    for pointer in pointers {
        let found = by_pointer(notes, cpus, *pointer, &translate);
        if found > best.0 {
            best = (found, *pointer);
        }
    }
    let (found, pointer) = best;
    if found > 0 {
        by_pointer(notes, cpus, pointer, &translate);
        return Ok(Found::Pointer(pointer));
    }
    by_distances(notes, cpus)?;
    Ok(Found::Distances)
}

/// Takes `pointer` for `crash_notes`; returns how many CPUs have a note so. None has one if two had the same.
fn by_pointer(
    notes: &[u64],
    cpus: &mut [Owner],
    pointer: u64,
    translate: &impl Fn(u64) -> Option<u64>,
) -> usize {
    let mut taken = Taken([0; MAX_NOTES / 64]);
    let mut found = 0;
    for cpu in cpus.iter_mut() {
        let address = translate(pointer.wrapping_add(cpu.offset));
        let number = address.and_then(|address| notes.binary_search(&address).ok());
        cpu.note = address.filter(|_| number.is_some());
        if let Some(number) = number {
            if !taken.take(number) {
                clear(cpus);
                return 0;
            }
            found += 1;
        }
    }
    found
}

/// Finds the one distance between offsets and notes with which each CPU has a note.
fn by_distances(notes: &[u64], cpus: &mut [Owner]) -> Result<(), NoOwners> {
    clear(cpus);
    // Offsets may be on both sides of 0, where the image is above the linear map.
    let place = |cpu: &Owner| cpu.offset as i64;
    let lowest = cpus.iter().map(place).min().ok_or(NoOwners::NoFit)?;
    let note_of = |cpu: &Owner, first: u64| {
        let address = first.wrapping_add(place(cpu).wrapping_sub(lowest) as u64);
        notes.binary_search(&address).ok().map(|_| address)
    };
    let fits = |first: &&u64| cpus.iter().all(|cpu| note_of(cpu, **first).is_some());
    let mut fitting = notes.iter().filter(fits);
    let first = *fitting.next().ok_or(NoOwners::NoFit)?;
    if fitting.next().is_some() {
        return Err(NoOwners::Several);
    }
    let same = |(number, cpu): (usize, &Owner)| {
        let mut before = cpus.iter().take(number);
        before.any(|other| other.offset == cpu.offset)
    };
    if cpus.iter().enumerate().any(same) {
        return Err(NoOwners::NoFit);
    }
    for cpu in cpus.iter_mut() {
        cpu.note = Some(first.wrapping_add(place(cpu).wrapping_sub(lowest) as u64));
    }
    Ok(())
}

fn clear(cpus: &mut [Owner]) {
    for cpu in cpus {
        cpu.note = None;
    }
}

/// Which notes have an owner.
struct Taken([u64; MAX_NOTES / 64]);

impl Taken {
    /// Returns whether note `number` had none.
    fn take(&mut self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        let Some(word) = self.0.get_mut(number / 64) else {
            return false;
        };
        let free = *word & bit == 0;
        *word |= bit;
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on Debian 6.1 with 4 CPUs: where the kernel's per-CPU variables begin, its `crash_notes`, and
    /// the linear map.
    const POINTER: u64 = 0xffff_8000_09a1_4200;
    const LINEAR: u64 = 0xffff_0000_0000_0000 - 0x4000_0000;
    /// How far the areas are from each other.
    const UNIT: u64 = 0x2_f000;

    /// Notes, in the linear map, and the CPUs' offsets.
    fn linear(addresses: &[u64]) -> (Vec<u64>, Vec<Owner>) {
        let offset = |address: &u64| (address + LINEAR).wrapping_sub(POINTER);
        let owner = |address| Owner {
            offset: offset(address),
            note: None,
        };
        let cpus = addresses.iter().map(owner).collect();
        let mut notes = addresses.to_vec();
        notes.sort_unstable();
        (notes, cpus)
    }

    fn even(count: u64) -> Vec<u64> {
        (0..count).map(|n| 0x7f78_4200 + n * UNIT).collect()
    }

    fn linear_map(address: u64) -> Option<u64> {
        (address >= LINEAR).then(|| address - LINEAR)
    }

    fn found(cpus: &[Owner]) -> Vec<Option<u64>> {
        cpus.iter().map(|cpu| cpu.note).collect()
    }

    #[test]
    fn the_pointer_leads_to_each_cpus_note() {
        // The order of notes is none of CPUs.
        let addresses = [0x9000_1200, 0x8000_0200, 0xa000_0200, 0x8002_f200];
        let (notes, mut cpus) = linear(&addresses);
        let pointers = [1, POINTER + UNIT * 7, POINTER];
        let result = find(&notes, &mut cpus, &pointers, linear_map);
        assert_eq!(result, Ok(Found::Pointer(POINTER)));
        assert_eq!(found(&cpus), addresses.map(Some));
    }

    #[test]
    fn the_pointer_leads_through_other_maps() {
        // Per-CPU memory in pages from anywhere (vmalloc): CPUs' offsets are what they were.
        let offsets = [0x4_2200, 0x1_8200, 0x9_0200];
        let addresses = [0x8abc_d200, 0x4000_1200, 0x6123_4200];
        let translate = |address: u64| {
            let place = offsets
                .iter()
                .position(|offset| POINTER.wrapping_add(*offset) == address);
            place.map(|place| addresses[place])
        };
        let mut cpus = offsets.map(|offset| Owner { offset, note: None });
        let mut notes = addresses;
        notes.sort_unstable();
        let result = find(&notes, &mut cpus, &[POINTER], translate);
        assert_eq!(result, Ok(Found::Pointer(POINTER)));
        assert_eq!(found(&cpus), addresses.map(Some));
        let result = find(&notes, &mut cpus, &[], translate);
        assert_eq!(result, Err(NoOwners::NoFit), "distances are no way there");
        assert_eq!(found(&cpus), [None; 3]);
    }

    #[test]
    fn a_cpu_without_an_offset_takes_no_note() {
        let addresses = even(3);
        let (notes, mut cpus) = linear(&addresses);
        cpus[1].offset = 0;
        let result = find(&notes, &mut cpus, &[POINTER], linear_map);
        assert_eq!(result, Ok(Found::Pointer(POINTER)));
        let expected = [Some(addresses[0]), None, Some(addresses[2])];
        assert_eq!(found(&cpus), expected);
    }

    #[test]
    fn the_pointer_that_more_cpus_fit_is_taken() {
        let (notes, mut cpus) = linear(&even(4));
        let pointers = [POINTER + UNIT, POINTER, POINTER - 2 * UNIT];
        let result = find(&notes, &mut cpus, &pointers, linear_map);
        assert_eq!(result, Ok(Found::Pointer(POINTER)));
    }

    #[test]
    fn no_note_has_two_owners() {
        let (notes, mut cpus) = linear(&even(4));
        cpus[3].offset = cpus[2].offset;
        for pointers in [&[POINTER][..], &[]] {
            let result = find(&notes, &mut cpus, pointers, linear_map);
            assert!(result.is_err(), "{pointers:x?}: {result:?}");
            assert_eq!(found(&cpus), [None; 4]);
        }
    }

    #[test]
    fn two_cpus_at_one_place_have_no_note() {
        // There is one way for both distances.
        let (notes, mut cpus) = linear(&even(3));
        cpus[1].offset = cpus[2].offset;
        let result = find(&notes, &mut cpus, &[], |_| None);
        assert_eq!(result, Err(NoOwners::NoFit));
        assert_eq!(found(&cpus), [None; 3]);
    }

    #[test]
    fn distances_do_without_the_pointer() {
        // Evenly spaced, in any order, in two nodes, on both sides of 0.
        let two_nodes = [0x9000_1200, 0x9003_0200, 0xa000_0200, 0xa002_f200];
        for addresses in [even(80), two_nodes.to_vec(), vec![0x9000_1200]] {
            let (notes, mut cpus) = linear(&addresses);
            for shift in [0, 0u64.wrapping_sub(cpus[0].offset + 1)] {
                for cpu in &mut cpus {
                    cpu.offset = cpu.offset.wrapping_add(shift);
                }
                let result = find(&notes, &mut cpus, &[], |_| None);
                assert_eq!(result, Ok(Found::Distances));
                let expected: Vec<_> = addresses.iter().copied().map(Some).collect();
                assert_eq!(found(&cpus), expected);
            }
            cpus.reverse();
            assert_eq!(find(&notes, &mut cpus, &[], |_| None), Ok(Found::Distances));
            assert_eq!(cpus[0].note, addresses.last().copied());
        }
    }

    #[test]
    fn distances_that_fit_twice_say_nothing() {
        // One CPU of four is off.
        let (notes, mut cpus) = linear(&even(4));
        cpus.pop();
        let result = find(&notes, &mut cpus, &[], |_| None);
        assert_eq!(result, Err(NoOwners::Several));
        assert_eq!(found(&cpus), [None; 3]);
        // Where it is one in the middle, there is one way.
        let (notes, mut cpus) = linear(&even(4));
        cpus.remove(1);
        assert_eq!(find(&notes, &mut cpus, &[], |_| None), Ok(Found::Distances));
        assert_eq!(cpus[1].note, Some(notes[2]));
        assert_eq!(find(&notes, &mut [], &[], |_| None), Err(NoOwners::NoFit));
        assert_eq!(find(&[], &mut cpus, &[], |_| None), Err(NoOwners::NoFit));
    }

    #[test]
    fn distances_are_exact() {
        for change in [8, 1 << 20] {
            let (notes, mut cpus) = linear(&even(4));
            cpus[2].offset += change;
            let result = find(&notes, &mut cpus, &[], |_| None);
            assert_eq!(result, Err(NoOwners::NoFit), "{change:#x}");
        }
    }
}
