// SPDX-License-Identifier: Apache-2.0
//! The reboot into a copy of the running image.

use crate::arena::{Arena, KEPT, PAGE, REPORT_SIZE, SCRATCH_PAGES, SLOT, TREE};
use crate::call::{self, code};
use crate::context::Context;
use crate::cpu::Cpu;
use crate::handover::Handover;
use crate::image;
use crate::machine::Machine;
use crate::outcome::{Outcome, ensure, fail};
use crate::pattern;
use crate::time::TIMEOUT_MS;
use crate::time::{self, wait_until};
use crate::tree;
use baton_abi::{IND_DESTINATION, IND_DONE, IND_INDIRECTION, IND_SOURCE, KEXEC};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the next generation is told as [`Handover::hooks`].
pub static HOOKS: AtomicU64 = AtomicU64::new(0);

/// Entries of a list page.
const ENTRIES: u64 = PAGE / 8;

/// An indirection list in scratch memory.
pub struct ListWriter {
    arena: Arena,
    head: u64,
    page: u64,
    index: u64,
    used: u64,
    /// Bytes that the list copies so far.
    pub copied: u64,
}

impl ListWriter {
    /// An empty list that takes scratch pages from the one with number `first` on.
    pub fn new(arena: Arena, first: u64) -> Self {
        let head = arena.scratch(first);
        Self {
            arena,
            head,
            page: head,
            index: 0,
            used: first + 1,
            copied: 0,
        }
    }

    /// A page of scratch memory that is nobody's yet.
    pub fn take_page(&mut self) -> Outcome<u64> {
        ensure!(
            self.used < SCRATCH_PAGES,
            "expected fewer than {SCRATCH_PAGES} scratch pages"
        );
        self.used += 1;
        Ok(self.arena.scratch(self.used - 1))
    }

    fn store(&mut self, entry: u64) {
        let at = self.page + self.index * 8;
        // SAFETY: inside a page that this list has taken from the scratch memory.
        unsafe { (at as *mut u64).write_volatile(entry) };
        self.index += 1;
    }

    /// Appends an entry; goes on in a new list page where one is full.
    pub fn push(&mut self, entry: u64) -> Outcome {
        if self.index == ENTRIES - 1 {
            let next = self.take_page()?;
            self.store(next | IND_INDIRECTION);
            self.page = next;
            self.index = 0;
        }
        self.store(entry);
        Ok(())
    }

    /// Appends a source page for the current destination, and returns the page to be filled.
    pub fn push_source(&mut self) -> Outcome<u64> {
        let page = self.take_page()?;
        self.push(page | IND_SOURCE)?;
        self.copied += PAGE;
        Ok(page)
    }

    /// Appends pages that carry a copy of memory to `destination`.
    pub fn push_copy(&mut self, destination: u64, from: u64, size: u64) -> Outcome {
        self.push(destination | IND_DESTINATION)?;
        for offset in (0..size).step_by(PAGE as usize) {
            let page = self.push_source()?;
            let length = (size - offset).min(PAGE) as usize;
            // SAFETY: the source page is scratch memory, and the caller's range is RAM.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    (from + offset) as *const u8,
                    page as *mut u8,
                    length,
                )
            };
        }
        Ok(())
    }

    /// Ends the list and returns the address of its first page.
    pub fn finish(&mut self) -> Outcome<u64> {
        self.push(IND_DONE)?;
        Ok(self.head)
    }
}

/// A reboot that is ready but for the call.
pub struct Prepared {
    /// Address of the list.
    pub list: u64,
    /// Where the next generation is entered.
    pub entry: u64,
    /// Its device tree.
    pub tree: u64,
    /// What it is told.
    pub handover: Handover,
    /// The first scratch page that it does not use.
    pub next_page: u64,
    page: u64,
}

/// Builds the list for the next generation, and the memory contents that have to come over.
///
/// `caller` is the CPU that will ask for the reboot. A list beside another one begins with scratch
/// page number `first`, see [`Prepared::next_page`].
pub fn prepare(context: &Context, caller: &Cpu, first: u64) -> Outcome<Prepared> {
    let Context {
        machine,
        options,
        arena,
        generation,
        ..
    } = *context;
    let (start, end) = image::image();
    let (constant, constant_end) = image::constant_image();
    let next = generation + 1;
    let mut handover = Handover {
        generation: next,
        arena: arena.0,
        seed: pattern::mix(context.handover.seed.wrapping_add(next)),
        moved: options.move_mib << 20,
        boot_mpidr: caller.mpidr(),
        // SAFETY: it is the running image's own text.
        checksum: unsafe { pattern::checksum(constant, constant_end) },
        sentinel: context.handover.sentinel,
        hooks: HOOKS.load(Relaxed),
        ..Handover::default()
    };
    let mut list = ListWriter::new(arena, first);

    // SAFETY: the arena's parts belong to the probe.
    unsafe { pattern::fill(arena.kept(), KEPT, handover.seed, 0) };
    list.push(arena.moved() | IND_DESTINATION)?;
    for offset in (0..handover.moved).step_by(PAGE as usize) {
        let page = list.push_source()?;
        // SAFETY: the page is scratch memory that the list has just taken.
        unsafe { pattern::fill(page, PAGE, !handover.seed, offset / 8) };
    }

    push_filler(&mut list, machine, options.list)?;

    let tree = arena.tree(next);
    let tree_size = machine.fdt.len() as u64;
    ensure!(
        tree_size <= TREE,
        "expected a device tree of {TREE} bytes at most, seen {tree_size}"
    );
    ensure!(
        end - start <= SLOT,
        "expected an image of {SLOT} bytes at most, seen {}",
        end - start
    );
    let mut given = machine.fdt.as_ptr() as u64;
    if options.stdout_gone {
        given = without_stdout(arena, machine.fdt)?;
    }
    list.push_copy(tree, given, tree_size)?;

    let slot = arena.slot(next);
    let handed = Handover::address();
    list.push_copy(slot, start, handed - start)?;
    let page = list.push_source()?;
    list.push_copy(
        slot + (handed + PAGE - start),
        handed + PAGE,
        end - handed - PAGE,
    )?;

    handover.copied = list.copied;
    let (list, next_page) = (list.finish()?, list.used);
    Ok(Prepared {
        list,
        entry: slot,
        tree,
        handover,
        next_page,
        page,
    })
}

/// Appends `pages` pages to memory that nobody uses. Their sources are all scratch pages in turn: a page may be
/// copied more than once.
pub fn push_filler(list: &mut ListWriter, machine: &Machine, pages: u64) -> Outcome {
    if pages == 0 {
        return Ok(());
    }
    let arena = list.arena;
    list.push(arena.below(machine, pages * PAGE)? | IND_DESTINATION)?;
    for page in 0..pages {
        list.push(arena.scratch(page) | IND_SOURCE)?;
    }
    list.copied += pages * PAGE;
    Ok(())
}

/// A copy of a tree whose `stdout-path` leads nowhere, in the room for a report.
fn without_stdout(arena: Arena, tree: &'static [u8]) -> Outcome<u64> {
    let place = arena.report();
    let value =
        tree::find(tree.as_ptr() as u64).and_then(|fdt| tree::value_in_chosen(fdt, "stdout-path"));
    let Some(value) = value.filter(|_| tree.len() as u64 <= REPORT_SIZE) else {
        fail!(
            "expected a stdout-path in a tree of {REPORT_SIZE} bytes at most, seen {} bytes",
            tree.len()
        )
    };
    // SAFETY: the room is the arena's, and the tree with its value fits.
    unsafe {
        core::ptr::copy_nonoverlapping(tree.as_ptr(), place as *mut u8, tree.len());
        ((place + value as u64) as *mut u8).write_volatile(b'!');
    }
    Ok(place)
}

impl Prepared {
    /// Asks for the reboot. Returns only if it is refused: the code.
    pub fn ask(&mut self) -> i64 {
        self.handover.asked_at = time::physical_now();
        // SAFETY: the page is scratch memory that the list has taken for this.
        unsafe { self.handover.write(self.page) };
        call::vendor(KEXEC, [self.list, self.entry, self.tree])
    }

    /// Asks for the reboot, and fails if it is refused.
    pub fn go(&mut self) -> Outcome {
        let refused = self.ask();
        fail!("KEXEC: expected not to return, seen {refused}")
    }

    /// Lets other CPUs ask for reboots of their own at once: one of them wins, and those who are told
    /// so at all are told `DENIED`. Fails if there is no reboot.
    pub fn go_from<const N: usize>(mut all: [(&Cpu, Self); N]) -> Outcome {
        fn ask(_: &'static Cpu, prepared: u64) -> u64 {
            // SAFETY: `go_from` passes its own, and returns when all have returned, or fails.
            unsafe { &mut *(prepared as *mut Prepared) }.ask() as u64
        }
        for (caller, prepared) in &mut all {
            caller.start(ask, &raw mut *prepared as u64);
        }
        let code = |caller: &Cpu| caller.result().map(|code| code as i64);
        let wrong = |code| code != code::DENIED || N == 1;
        wait_until(TIMEOUT_MS, || {
            let mut codes = all.iter().map(|(caller, _)| code(caller));
            codes.clone().any(|code| code.is_some_and(wrong)) || codes.all(|code| code.is_some())
        });
        let codes = all.each_ref().map(|(caller, _)| code(caller));
        fail!("KEXEC from {N} other CPUs: expected a reboot, seen codes {codes:?}")
    }
}

/// Checks that the image and the memory that the former generation prepared are as they should be.
pub fn check_memory(handover: &Handover) -> Outcome {
    let arena = Arena(handover.arena);
    let (constant, constant_end) = image::constant_image();
    // SAFETY: it is the running image's own text.
    let seen = unsafe { pattern::checksum(constant, constant_end) };
    let expected = handover.checksum;
    ensure!(
        expected == seen,
        "checksum of the image: expected {expected:#x}, seen {seen:#x}"
    );
    let (start, _) = image::image();
    let slot = arena.slot(handover.generation);
    ensure!(start == slot, "entry: expected {slot:#x}, seen {start:#x}");
    for (what, at, size, seed) in [
        ("memory left alone", arena.kept(), KEPT, handover.seed),
        (
            "memory moved",
            arena.moved(),
            handover.moved,
            !handover.seed,
        ),
    ] {
        // SAFETY: the arena's parts are RAM.
        let damage = unsafe { pattern::find_damage(at, size, seed, 0) };
        if let Some((at, expected, seen)) = damage {
            fail!("{what} at {at:#x}: expected {expected:#x}, seen {seen:#x}");
        }
    }
    Ok(())
}
