// SPDX-License-Identifier: Apache-2.0
//! The rounds of a check, each by all CPUs at once.

use super::stretches::MAX_STRETCHES;
use super::walk::Suspect;
use super::{Part, Plan, PlanError, Request};
use crate::linux::image::PageSize;
use crate::linux::kexec_list::Walker;
use crate::memory::guest_memory::GuestMemory;

/// Whether a check is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Another round follows.
    More,
    /// The request is valid.
    Done,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none: the plan moves nothing.
    Idle,
    /// The entries are looked through.
    Survey,
    /// The sources are checked.
    Check,
    /// A part of the list is wrong: the sources before it are checked.
    CheckBefore(Suspect),
    /// It is over, and the request is valid.
    Done,
}

impl Plan {
    /// Checks a request, and makes this its plan, as the CPUs of `parts` would: one after another. See
    /// [`Plan::begin`].
    ///
    /// # Errors
    ///
    /// Returns [`PlanError`] if the request is not valid; then the plan moves nothing.
    pub fn prepare(
        &mut self,
        memory: &impl GuestMemory,
        page: PageSize,
        max_pages: u64,
        request: Request<'_>,
        parts: &mut [Part],
    ) -> Result<(), PlanError> {
        self.begin(memory, page, max_pages, request, parts.len())?;
        loop {
            for (index, part) in parts.iter_mut().enumerate() {
                self.work(memory, index, part);
            }
            if self.advance(memory, parts.iter())? == Round::Done {
                return Ok(());
            }
        }
    }

    /// Begins the check of a request by `of` CPUs. `page` is the page size of the kernel that asks,
    /// `max_pages` how many such pages of RAM the guest has. From now on nobody may write guest memory.
    ///
    /// Each round is then [`Plan::work`] on each of the CPUs and, when they have finished,
    /// [`Plan::advance`], which says whether another round follows: there are two at most.
    ///
    /// # Errors
    ///
    /// Returns [`PlanError`] if the request is not valid; then the plan moves nothing.
    pub fn begin(
        &mut self,
        memory: &impl GuestMemory,
        page: PageSize,
        max_pages: u64,
        request: Request<'_>,
        of: usize,
    ) -> Result<(), PlanError> {
        self.stage = Stage::Idle;
        (self.of, self.page, self.max_pages) = (of, page, max_pages);
        self.take_in(memory, request)?;
        self.forget_list();
        self.is_walked = false;
        let walker = Walker::start(memory, page.bytes(), self.start, self.segments.ranges())?;
        self.round += 1;
        let Some(first) = walker.next_entry() else {
            self.pages.clear();
            self.stage = Stage::Check;
            return Ok(());
        };
        // A list that is longer is wrong, or not of Linux's form.
        let sources = match self.segments.is_empty() {
            true => max_pages,
            false => self.segments.pages(page),
        };
        let entries = sources.saturating_add(MAX_STRETCHES as u64 + 1);
        let bounds = self.segments.ranges();
        self.pages
            .find(memory, page.bytes(), first, entries, bounds);
        self.stage = Stage::Survey;
        Ok(())
    }

    /// Does CPU `index`'s part of the round, and says in `part` what it has found out. All CPUs may do so
    /// at once.
    pub fn work(&self, memory: &impl GuestMemory, index: usize, part: &mut Part) {
        part.begin(self.round, index);
        let good = match self.stage {
            Stage::Survey => self.survey(memory, index, part).is_ok(),
            Stage::Check => self.check(memory, index, self.bounds()).is_ok(),
            Stage::CheckBefore(_) => {
                let bounds = self.segments.ranges();
                self.check(memory, index, bounds).is_ok()
            }
            Stage::Idle | Stage::Done => false,
        };
        part.finish(good);
    }

    /// Ends the round: to be called by the boot CPU when the others have finished theirs. `parts` are those
    /// of all CPUs, in the order of their indices. What one of them has not looked at in this round, this
    /// one looks at.
    ///
    /// # Errors
    ///
    /// Returns [`PlanError`] if the request is not valid; then the plan moves nothing.
    pub fn advance<'a>(
        &mut self,
        memory: &impl GuestMemory,
        parts: impl Iterator<Item = &'a Part>,
    ) -> Result<Round, PlanError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        match stage {
            Stage::Survey => {
                self.stage = match self.combine(memory, parts) {
                    Ok(()) => Stage::Check,
                    Err(Some(suspect)) => Stage::CheckBefore(suspect),
                    Err(None) => stage,
                };
                if self.stage != stage {
                    self.round += 1;
                    return Ok(Round::More);
                }
                self.stage = Stage::Idle;
                self.walk(memory)?;
            }
            Stage::CheckBefore(suspect) => {
                let bounds = self.segments.ranges();
                let before = self.check_again(memory, parts, bounds);
                let found = before.err().or_else(|| self.walk_suspect(memory, suspect));
                // What a walk from the start would call otherwise, or not find, is left to that.
                match found {
                    Some(error) if error.fault.is_of_entry() => return Err(error.into()),
                    _ => self.walk(memory)?,
                }
            }
            Stage::Check => match self.check_again(memory, parts, self.bounds()) {
                // The walk names a source outside memory before one that is copied over.
                Err(_) if self.segments.is_empty() => self.walk(memory)?,
                checked => checked?,
            },
            Stage::Idle | Stage::Done => {}
        }
        self.finish(memory)?;
        self.stage = Stage::Done;
        Ok(Round::Done)
    }
}
