// SPDX-License-Identifier: Apache-2.0
//! The first round of a check: where the list ends, and which sources go where.

use super::part::Destination;
use super::stretches::Stretch;
use super::walk::Suspect;
use super::{Part, Plan, split};
use crate::linux::kexec_list;
use crate::linux::ranges::Range;
use crate::memory::guest_memory::GuestMemory;
use baton_abi::{IND_DESTINATION, IND_DONE, IND_SOURCE};

/// How many destinations may be given that no source follows; Linux gives none. The walk has a bound for
/// those in a row that is higher.
const MAX_UNUSED: u32 = 16;

impl Plan {
    /// Looks through part `index` of the entries for those that are no sources.
    ///
    /// # Errors
    ///
    /// The position at which the list is not of Linux's form, or nobody can tell.
    pub(super) fn survey(
        &self,
        memory: &impl GuestMemory,
        index: usize,
        part: &mut Part,
    ) -> Result<(), u64> {
        let range = split(self.pages.positions(), index, self.of);
        if range.start >= range.end {
            return Ok(());
        }
        let page = self.page.bytes();
        let mut position = range.start;
        let mut cursor = self.pages.cursor(memory, position).ok_or(position)?;
        loop {
            let chunk = cursor.take(range.end - position);
            let mut passed = position;
            for value in memory.read_words(chunk.at(0), chunk.count) {
                let position = passed;
                passed += 1;
                if value & (page - 1) == IND_SOURCE {
                    continue;
                }
                match kexec_list::split(value, page) {
                    Ok((address, IND_DESTINATION)) => {
                        let place = part.destinations.get_mut(part.count).ok_or(position)?;
                        *place = Destination { position, address };
                        part.count += 1;
                    }
                    Ok((_, IND_DONE)) => {
                        part.end = Some(position);
                        return Ok(());
                    }
                    _ => return Err(position),
                }
            }
            position += chunk.count;
            if passed != position {
                return Err(passed);
            }
            if position == range.end {
                return Ok(());
            }
            cursor.turn(memory).ok_or(position)?;
        }
    }

    /// Makes the stretches of what the parts have found, and checks their destinations.
    ///
    /// # Errors
    ///
    /// The list is not of Linux's form, or something is wrong: with [`Suspect`] if all before that part holds,
    /// as far as it has been looked at.
    pub(super) fn combine<'a>(
        &mut self,
        memory: &impl GuestMemory,
        mut parts: impl Iterator<Item = &'a Part>,
    ) -> Result<(), Option<Suspect>> {
        let mut open = None;
        let mut unused = 0;
        let mut end = None;
        for index in 0..self.of {
            let mut own;
            let part = match parts.next() {
                Some(part) if part.is_good(self.round, index) => part,
                _ => {
                    own = Part::new();
                    if let Err(position) = self.survey(memory, index, &mut own) {
                        return Err(self.suspect(memory, open, index, position, unused));
                    }
                    &own
                }
            };
            for destination in part.destinations.iter().take(part.count) {
                self.close(memory, open, destination.position, &mut unused)
                    .ok_or(None)?;
                open = Some(*destination);
            }
            end = part.end;
            if end.is_some() {
                break;
            }
        }
        self.close(memory, open, end.ok_or(None)?, &mut unused)
            .ok_or(None)?;
        if self.listed > self.max_pages {
            return Err(None);
        }
        // Where segments say where pages go, this was looked at as the pages were found.
        let is_known = !self.segments.is_empty();
        match is_known || self.pages.are_outside(memory, &self.destinations) {
            true => Ok(()),
            false => Err(None),
        }
    }

    /// Ends the last stretch where part `index` begins, in which `position` is wrong.
    fn suspect(
        &mut self,
        memory: &impl GuestMemory,
        open: Option<Destination>,
        index: usize,
        position: u64,
        mut unused: u32,
    ) -> Option<Suspect> {
        let begins = split(self.pages.positions(), index, self.of).start;
        let before = open?;
        let pages = begins.checked_sub(before.position + 1)?;
        // A walk counts entries in a row that are no sources: none may be right before.
        if unused > 0 || pages == 0 {
            return None;
        }
        self.close(memory, open, begins, &mut unused)?;
        let destination = before.address + pages * self.page.bytes();
        let place = |position| self.pages.place(memory, position, destination);
        (self.listed <= self.max_pages).then_some(Suspect {
            first: place(begins)?,
            last: place(position)?.index,
        })
    }

    /// Ends the stretch that begins behind `open` before position `end`.
    fn close(
        &mut self,
        memory: &impl GuestMemory,
        open: Option<Destination>,
        end: u64,
        unused: &mut u32,
    ) -> Option<()> {
        let Some(Destination { position, address }) = open else {
            // No source comes before the first destination.
            return (end == 0).then_some(());
        };
        let position = position + 1;
        let pages = end.checked_sub(position)?;
        if pages == 0 {
            *unused += 1;
            return (*unused < MAX_UNUSED).then_some(());
        }
        let size = pages.checked_mul(self.page.bytes())?;
        let range = Range {
            start: address,
            end: address.checked_add(size)?,
        };
        let is_allowed = if self.segments.is_empty() {
            memory.contains(address, size)
        } else {
            self.segments.count(range, self.page)
        };
        if !is_allowed {
            return None;
        }
        self.destinations.add(range).ok()?;
        self.stretches.push(Stretch {
            source: self.listed,
            pages,
            position,
            destination: address,
        })?;
        self.listed += pages;
        Some(())
    }
}
