// SPDX-License-Identifier: Apache-2.0
//! The second round of a check: the sources. Where they go is known by then.

use super::{Part, Plan, split};
use crate::linux::kexec_list::{Entry, Fault, ListError};
use crate::linux::ranges::{Around, Ranges};
use crate::memory::guest_memory::GuestMemory;

impl Plan {
    /// Checks part `index` of the sources: each is in guest memory, and where it is in `bounds`, in its own
    /// destination.
    pub(super) fn check(
        &self,
        memory: &impl GuestMemory,
        index: usize,
        bounds: &Ranges,
    ) -> Result<(), ListError> {
        let page = self.page.bytes();
        let mut around = Around::default();
        let range = split(self.listed, index, self.of);
        let mut number = range.start;
        let unreadable = Fault::Changed.at(Entry::default());
        for stretch in self.stretches.from(range.start) {
            if number >= range.end {
                break;
            }
            let offset = number - stretch.source;
            let mut left = (stretch.pages - offset).min(range.end - number);
            let mut destination = stretch.destination + offset * page;
            let cursor = self.pages.cursor(memory, stretch.position + offset);
            let mut cursor = cursor.ok_or(unreadable)?;
            number += left;
            loop {
                let chunk = cursor.take(left);
                let mut passed = 0;
                for value in memory.read_words(chunk.at(0), chunk.count) {
                    let error = |fault: Fault| fault.at(chunk.entry(passed, value));
                    let source = value & !(page - 1);
                    if !memory.contains(source, page) {
                        return Err(error(Fault::SourceOutside));
                    }
                    if around.is_in(bounds, source) && source != destination {
                        return Err(error(Fault::SourceOverwritten));
                    }
                    destination += page;
                    passed += 1;
                }
                if passed != chunk.count {
                    return Err(unreadable);
                }
                left -= chunk.count;
                if left == 0 {
                    break;
                }
                cursor.turn(memory).ok_or(unreadable)?;
            }
        }
        Ok(())
    }

    /// Checks each part again that was not found good.
    pub(super) fn check_again<'a>(
        &self,
        memory: &impl GuestMemory,
        mut parts: impl Iterator<Item = &'a Part>,
        bounds: &Ranges,
    ) -> Result<(), ListError> {
        for index in 0..self.of {
            let part = parts.next();
            if !part.is_some_and(|part| part.is_good(self.round, index)) {
                self.check(memory, index, bounds)?;
            }
        }
        Ok(())
    }
}
