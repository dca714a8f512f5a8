// SPDX-License-Identifier: Apache-2.0
//! The rows of an audit: what was expected of a register, what was found, and on which CPUs.

use crate::console::say;
use crate::cpu::{Cpu, MAX_CPUS};
use crate::outcome::Failure;
use core::cell::UnsafeCell;
use core::fmt::{Display, Formatter};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Rows that there is room for.
const ROWS: usize = 320;
/// Values of one register that are told apart; all others are one.
const VALUES: usize = 3;

/// A set of CPUs, by their places in the device tree.
#[derive(Clone, Copy)]
struct Set([u64; MAX_CPUS / 64]);

impl Set {
    const EMPTY: Self = Self([0; MAX_CPUS / 64]);

    fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    fn has(&self, place: usize) -> bool {
        self.0
            .get(place / 64)
            .is_some_and(|word| word & 1 << (place % 64) != 0)
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// `all 80 CPUs`, or ranges of their numbers.
struct Named {
    set: Set,
    of: usize,
}

impl Display for Named {
    fn fmt(&self, f: &mut Formatter) -> core::fmt::Result {
        if self.of > 1 && self.set.len() as usize == self.of {
            return write!(f, "all {} CPUs", self.of);
        }
        let mut separator = if self.set.len() == 1 { "CPU " } else { "CPUs " };
        let mut place = 0;
        while place < MAX_CPUS {
            if !self.set.has(place) {
                place += 1;
                continue;
            }
            let first = place;
            while self.set.has(place + 1) {
                place += 1;
            }
            write!(f, "{separator}{first}")?;
            if place > first {
                write!(f, "-{place}")?;
            }
            separator = ",";
            place += 1;
        }
        Ok(())
    }
}

/// Which of several registers of the same name a row is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// There is only one.
    None,
    /// The n-th.
    At(u16),
}

struct Name(&'static str, Index);

impl Display for Name {
    fn fmt(&self, f: &mut Formatter) -> core::fmt::Result {
        match (self.0.split_once("<n>"), self.1) {
            (Some((before, after)), Index::At(n)) => {
                // Padding is for the whole.
                Failure::new(format_args!("{before}{n}{after}")).fmt(f)
            }
            _ => f.pad(self.0),
        }
    }
}

#[derive(Clone, Copy)]
struct Group {
    found: u64,
    cpus: Set,
}

#[derive(Clone, Copy)]
struct Row {
    // `None` is all zeros: the sheet is no initialised data.
    step: Option<&'static str>,
    name: Option<&'static str>,
    index: Index,
    expected: u64,
    mask: u64,
    groups: [Group; VALUES],
    used: usize,
    others: Set,
}

impl Row {
    const EMPTY: Self = Self {
        step: None,
        name: None,
        index: Index::None,
        expected: 0,
        mask: 0,
        groups: [Group {
            found: 0,
            cpus: Set::EMPTY,
        }; VALUES],
        used: 0,
        others: Set::EMPTY,
    };

    fn groups(&self) -> &[Group] {
        self.groups.get(..self.used).unwrap_or(&[])
    }

    fn differs(&self, group: &Group) -> bool {
        (group.found ^ self.expected) & self.mask != 0
    }

    fn count(&self) -> u32 {
        self.groups().iter().map(|g| g.cpus.len()).sum::<u32>() + self.others.len()
    }

    /// CPUs on which it is not as expected. A value that has no group of its own is one of these.
    fn differing(&self) -> u32 {
        let wrong = self.groups().iter().filter(|group| self.differs(group));
        wrong.map(|group| group.cpus.len()).sum::<u32>() + self.others.len()
    }

    fn add(&mut self, place: usize, found: u64) {
        let known = self.groups.iter_mut().take(self.used);
        if let Some(group) = known.into_iter().find(|group| group.found == found) {
            group.cpus.add(place);
        } else if let Some(group) = self.groups.get_mut(self.used) {
            group.found = found;
            group.cpus.add(place);
            self.used += 1;
        } else {
            self.others.add(place);
        }
    }
}

/// How many of the rows of a step there are, and how many differ: one for each register and CPU.
#[derive(Clone, Copy, Default)]
pub struct Count {
    /// All.
    pub rows: u32,
    /// Not as expected.
    pub differing: u32,
}

struct Contents {
    rows: [Row; ROWS],
    used: usize,
    /// Where the next row will probably be: CPUs bring theirs in the same order.
    cursor: usize,
    lost: bool,
}

/// All rows.
pub struct Sheet {
    lock: AtomicBool,
    contents: UnsafeCell<Contents>,
}
// SAFETY: the contents are only reached with the lock taken.
unsafe impl Sync for Sheet {}

/// Each CPU adds its rows to it, and keeps it locked meanwhile.
pub static SHEET: Sheet = Sheet {
    lock: AtomicBool::new(false),
    contents: UnsafeCell::new(Contents {
        rows: [Row::EMPTY; ROWS],
        used: 0,
        cursor: 0,
        lost: false,
    }),
};

/// The sheet, while it is locked.
pub struct Page<'a> {
    sheet: &'a Sheet,
    contents: &'a mut Contents,
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.sheet.lock.store(false, Release);
    }
}

impl Sheet {
    /// Locks it.
    pub fn lock(&self) -> Page<'_> {
        while self
            .lock
            .compare_exchange(false, true, Acquire, Relaxed)
            .is_err()
        {
            crate::hints::relax();
        }
        // SAFETY: the lock is ours.
        let contents = unsafe { &mut *self.contents.get() };
        contents.cursor = 0;
        Page {
            sheet: self,
            contents,
        }
    }
}

impl Page<'_> {
    /// Adds what the CPU at `place` in the device tree found in a register; `mask`: the bits that
    /// count.
    pub fn add(
        &mut self,
        (step, name, index): (&'static str, &'static str, Index),
        place: usize,
        expected: u64,
        mask: u64,
        found: u64,
    ) {
        let contents = &mut *self.contents;
        let same = |row: &Row| {
            (row.name, row.index, row.expected, row.step)
                == (Some(name), index, expected, Some(step))
        };
        let rows = contents.rows.get(..contents.used).unwrap_or(&[]);
        let place_of_row = match rows.get(contents.cursor) {
            Some(row) if same(row) => contents.cursor,
            _ => rows.iter().position(same).unwrap_or(contents.used),
        };
        let Some(row) = contents.rows.get_mut(place_of_row) else {
            contents.lost = true;
            return;
        };
        if place_of_row == contents.used {
            *row = Row {
                step: Some(step),
                name: Some(name),
                index,
                expected,
                mask,
                ..Row::EMPTY
            };
            contents.used += 1;
        }
        contents.cursor = place_of_row + 1;
        row.add(place, found);
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.contents.used = 0;
        self.contents.lost = false;
    }

    /// Whether rows were lost for want of room.
    pub fn is_full(&self) -> bool {
        self.contents.lost
    }

    fn rows(&self) -> &[Row] {
        self.contents.rows.get(..self.contents.used).unwrap_or(&[])
    }

    /// The rows of a step, or of all.
    pub fn count(&self, step: Option<&str>) -> Count {
        let rows = self.rows().iter();
        rows.filter(|row| step.is_none_or(|step| row.step == Some(step)))
            .fold(Count::default(), |count, row| Count {
                rows: count.rows + row.count(),
                differing: count.differing + row.differing(),
            })
    }

    /// Prints the rows of a step; with `only`, those that are as expected (`false`) or not (`true`).
    pub fn print(&self, step: &str, cpus: &[Cpu], only: Option<bool>) {
        let wanted = |differs| only.is_none_or(|only| only == differs);
        for row in self.rows().iter().filter(|row| row.step == Some(step)) {
            for group in row.groups() {
                let differs = row.differs(group);
                if wanted(differs) {
                    let found = group.found & row.mask;
                    line(row, format_args!("{found:#x}"), group.cpus, cpus, differs);
                }
            }
            if row.others.len() > 0 && wanted(true) {
                line(row, format_args!("other values"), row.others, cpus, true);
            }
        }
    }
}

fn line(row: &Row, found: impl Display, cpus: Set, all: &[Cpu], differs: bool) {
    let found = Failure::new(format_args!("{found}"));
    let expected = Failure::new(format_args!("{:#x}", row.expected & row.mask));
    let set = Named {
        set: cpus,
        of: all.len(),
    };
    say!(
        "{:<17} {:<21} {:<18} {:<18} {set}{}",
        row.step.unwrap_or(""),
        Name(row.name.unwrap_or(""), row.index),
        expected,
        found,
        if differs { "  DIFFERS" } else { "" }
    );
}

/// Prints the head of the table.
pub fn print_head() {
    say!(
        "{:<17} {:<21} {:<18} {:<18} where",
        "step",
        "register",
        "expected",
        "found"
    );
}
