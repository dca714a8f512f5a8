// SPDX-License-Identifier: Apache-2.0
//! `test=dma`: generation 0 makes all functions of PCI masters of their bus, has two devices write, 100 ms later, and
//! reboots at once: one into memory that the reboot leaves alone, the other into what it copies. Generation 1 looks
//! whether they have. They have written there before, so that an SMMU remembers how they do.

use crate::console::say;
use crate::context::Context;
use crate::kexec;
use crate::outcome::{Outcome, ensure, fail};
use crate::pattern;
use crate::pci::Edu;
use crate::smmu::{self, Smmu};

/// Where in each of the two memories, and how many bytes are written.
const OFFSET: u64 = 0x1_0000;
const SIZE: u64 = 2048;

/// Starts the devices, or looks at what they did.
pub fn run(context: &Context) -> Outcome {
    let Some(pci) = context.machine.pci else {
        fail!("expected a PCI host bridge, seen none")
    };
    let mut edus = pci.edus();
    let (Some(kept), Some(moved)) = (edus.next(), edus.next()) else {
        fail!("expected two edu devices, seen fewer")
    };
    match context.generation {
        0 => {
            pci.functions()
                .for_each(|(_, function)| function.make_master());
            start(context, &kept, &moved)
        }
        _ => look(context, &kept, &moved),
    }
}

fn start(context: &Context, kept: &Edu, moved: &Edu) -> Outcome {
    kept.set_up()?;
    moved.set_up()?;
    set_up_smmu(context)?;
    let arena = context.arena;
    let start = || {
        kept.start(arena.kept() + OFFSET, SIZE);
        moved.start(arena.moved() + OFFSET, SIZE);
    };
    start();
    kept.wait()?;
    moved.wait()?;
    let mut prepared = kexec::prepare(context, context.cpus.boot, 0)?;
    say!("two devices write in 100 ms, rebooting");
    start();
    prepared.go()
}

/// An SMMU that was not set up would be in the way, or not: its driver knows.
fn set_up_smmu(context: &Context) -> Outcome {
    if let Some(base) = context.machine.smmu {
        Smmu::set_up(base, context.arena, context.machine)?;
    }
    Ok(())
}

fn look(context: &Context, kept: &Edu, moved: &Edu) -> Outcome {
    ensure!(
        kept.runs() && moved.runs(),
        "expected the reboot within 100 ms, seen it take longer"
    );
    kept.wait()?;
    moved.wait()?;
    let (arena, handover) = (context.arena, &context.handover);
    let (place, seed) = (OFFSET / 8, handover.seed);
    let mut written = 0;
    for (what, start, seed) in [
        ("memory left alone", arena.kept(), seed),
        ("memory moved", arena.moved(), !seed),
    ] {
        // SAFETY: the arena's parts are RAM.
        let damage = unsafe { pattern::find_damage(start + OFFSET, SIZE, seed, place) };
        if let Some((at, expected, seen)) = damage {
            say!("{what} at {at:#x}: expected {expected:#x}, seen {seen:#x}");
            written += 1;
        }
    }
    ensure!(
        written == 0,
        "dma: expected no device to write, seen {written} of 2"
    );
    // They still can, when they are told to.
    kept.set_up()?;
    match context.machine.smmu {
        Some(base) if smmu::is_open(base) => say!("the SMMU lets everything through"),
        _ => set_up_smmu(context)?,
    }
    kept.start(arena.kept() + OFFSET, SIZE);
    kept.wait()?;
    // SAFETY: as above.
    let damage = unsafe { pattern::find_damage(arena.kept() + OFFSET, SIZE, seed, place) };
    ensure!(
        matches!(damage, Some((_, _, 0))),
        "dma: expected a device to write again, seen {damage:x?}"
    );
    Ok(())
}
