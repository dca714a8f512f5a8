// SPDX-License-Identifier: Apache-2.0
//! One mistake, made on purpose.

use super::thread;
use core::panic::Location;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

/// What is wrong with one access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It orders nothing: `Relaxed`.
    Relax,
    /// What should be one access is a load, and a store some time after.
    Tear,
    /// The event is not sent.
    Forget,
    /// Memory is not looked at again: what this thread found last is believed.
    Believe,
}

/// A mistake, and where it is made.
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

/// What this thread, and all of the model's in it, run with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Sound,
    Listing,
    Broken(Mutant),
}

std::thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Sound) };
    static POSSIBLE: RefCell<BTreeSet<Mutant>> = const { RefCell::new(BTreeSet::new()) };
    static BELIEFS: RefCell<HashMap<(thread::ThreadId, usize), u64>> = RefCell::default();
}

/// Runs `model` as it is, and returns all mistakes that can be made on its way.
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

/// Until this is dropped, all is not as it should be.
struct Sound;

impl Sound {
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

/// A new run begins: no thread has seen anything.
pub fn begin() {
    BELIEFS.with_borrow_mut(HashMap::clear);
}

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

/// Returns what this thread found at `address` last.
pub(super) fn believed(address: usize) -> Option<u64> {
    BELIEFS.with_borrow(|beliefs| beliefs.get(&(thread::current().id(), address)).copied())
}

/// This thread finds `word` at `address`.
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
