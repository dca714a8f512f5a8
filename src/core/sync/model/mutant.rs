// SPDX-License-Identifier: Apache-2.0
//! One mistake, made on purpose at one access to shared memory.

use super::thread;
use core::panic::Location;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

/// What is wrong with the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Its ordering is `Relaxed`.
    Relax,
    /// It is not atomic: a load, and a store some time after.
    Tear,
    /// The event is not sent.
    Forget,
    /// It reads no memory, and returns what this thread read there last.
    Believe,
}

/// A mistake, and the access that it is made at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mutant {
    /// Source file.
    pub file: &'static str,
    /// Line in it.
    pub line: u32,
    /// Column in it.
    pub column: u32,
    /// The mistake.
    pub kind: Kind,
}

/// What the model that this thread runs does about mistakes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Makes none.
    Sound,
    /// Makes none, and lists those that could be made.
    Listing,
    /// Makes this one.
    Broken(Mutant),
}

std::thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Sound) };
    static POSSIBLE: RefCell<BTreeSet<Mutant>> = const { RefCell::new(BTreeSet::new()) };
    static BELIEFS: RefCell<HashMap<(thread::ThreadId, usize), u64>> = RefCell::default();
}

/// Runs `model` without a mistake, and returns all mistakes that could be made in it.
pub fn all_in(model: impl FnOnce()) -> BTreeSet<Mutant> {
    POSSIBLE.take();
    let sound = Sound::but_for(Mode::Listing);
    model();
    drop(sound);
    POSSIBLE.take()
}

/// Runs `model` with the mistake `mutant` in it.
pub fn with<T>(mutant: Mutant, model: impl FnOnce() -> T) -> T {
    let _sound = Sound::but_for(Mode::Broken(mutant));
    model()
}

/// Goes back to [`Mode::Sound`] when dropped.
struct Sound;

impl Sound {
    /// Sets the mode until the result is dropped.
    fn but_for(mode: Mode) -> Self {
        MODE.set(mode);
        Self
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        MODE.set(Mode::Sound);
    }
}

/// Begins a new run of the model, in which no thread has read anything yet.
pub fn begin() {
    BELIEFS.with_borrow_mut(HashMap::clear);
}

/// Returns whether the mistake `kind` is to be made at the access at `site`.
pub(super) fn is_active(kind: Kind, site: &'static Location<'static>) -> bool {
    let mode = MODE.get();
    if mode == Mode::Sound {
        return false;
    }
    let this = Mutant {
        file: site.file(),
        line: site.line(),
        column: site.column(),
        kind,
    };
    if mode == Mode::Listing {
        POSSIBLE.with_borrow_mut(|possible| possible.insert(this));
    }
    mode == Mode::Broken(this)
}

/// Returns what this thread read at `address` last, for [`Kind::Believe`].
pub(super) fn believed(address: usize) -> Option<u64> {
    BELIEFS.with_borrow(|beliefs| beliefs.get(&(thread::current().id(), address)).copied())
}

/// Remembers that this thread has read `word` at `address`, for [`Kind::Believe`].
pub(super) fn believe(address: usize, word: impl FnOnce() -> u64) {
    if let Mode::Broken(Mutant {
        kind: Kind::Believe,
        ..
    }) = MODE.get()
    {
        let key = (thread::current().id(), address);
        BELIEFS.with_borrow_mut(|beliefs| beliefs.insert(key, word()));
    }
}
