// SPDX-License-Identifier: Apache-2.0
//! `test=fence`: has a device write to the monitor's memory, and to the probe's own, by each way that an SMMU can be
//! set up. The test looks at the monitor's memory from outside; here it is seen that the device reaches the probe's.

use super::cost::measure;
use crate::console::say;
use crate::context::Context;
use crate::mmio::{read64, write64};
use crate::outcome::{Outcome, ensure, fail};
use crate::pci::Edu;
use crate::smmu::{BYPASS, EVENTQEN, Smmu, has_stage_2};

/// Where the device is aimed at in the monitor's memory, by each way: at headers of its image that nobody reads
/// any more, and which are not zero.
const UNTOUCHED: u64 = 0x38;
const BYPASSED: u64 = 0x50;
const MAPPED: u64 = 0x108;
const FORGED: u64 = 0x130;
const TURNED_OFF: u64 = 0x158;
/// Where events would go.
const EVENTS: u64 = 0x1c0;
/// Bytes that are written, all zeros.
const SIZE: u64 = 8;
/// An event: its type; that it is of stage 2, and of which access: of a context descriptor, of a table, of the device's.
const F_TRANSLATION: u64 = 0x10;
const STAGE_2: u64 = 1 << 39;
const CLASS_SHIFT: u32 = 40;
const ACCESSES: [&str; 4] = ["descriptor", "table", "address", "?"];

/// Tries all ways.
pub fn run(context: &Context) -> Outcome {
    let machine = context.machine;
    let (edu, base, monitor) = device(context)?;
    let own = context.arena.kept();
    let fenced = !has_stage_2(base);
    say!(
        "the SMMU shows {}",
        if fenced { "no stage 2" } else { "stage 2" }
    );

    write(&edu, monitor + UNTOUCHED)?;
    ensure!(
        lands(&edu, own)?,
        "SMMU untouched: expected a write to land, seen none"
    );

    let mut smmu = Smmu::set_up(base, context.arena, machine)?;
    write(&edu, monitor + BYPASSED)?;
    named(&smmu, fenced, "bypass", "address")?;
    ensure!(
        lands(&edu, own)?,
        "bypass: expected a write to land, seen none"
    );

    smmu.fail();
    smmu.recover()?;

    let descriptor = smmu.context(None);
    smmu.set_entry(edu.number, Smmu::stage_1(descriptor))?;
    write(&edu, monitor + MAPPED)?;
    named(&smmu, fenced, "stage 1", "address")?;
    ensure!(
        lands(&edu, own)?,
        "stage 1: expected a write to land, seen none"
    );
    smmu.unmap(own)?;
    ensure!(
        !lands(&edu, own)?,
        "stage 1: expected no write to land after an unmap, seen one"
    );

    smmu.context(Some(monitor));
    smmu.set_entry(edu.number, Smmu::stage_1(descriptor))?;
    write(&edu, own)?;
    named(&smmu, fenced, "a table in the monitor's memory", "table")?;
    smmu.set_entry(edu.number, Smmu::stage_1(monitor))?;
    write(&edu, own)?;
    named(
        &smmu,
        fenced,
        "a descriptor in the monitor's memory",
        "descriptor",
    )?;

    // Whatever its other words say.
    let [first, second] = BYPASS;
    smmu.set_entry(edu.number, [first, second, !0, !0, !0, !0, !0, !0])?;
    write(&edu, monitor + FORGED)?;
    named(
        &smmu,
        fenced,
        "an entry with words of the guest's",
        "address",
    )?;

    let enabled = smmu.move_events(monitor + EVENTS);
    say!(
        "events in the monitor's memory: the queue is {}",
        if enabled & EVENTQEN != 0 { "on" } else { "off" }
    );
    // No entry lets it through.
    smmu.set_entry(edu.number, [0; 8])?;
    write(&edu, own)?;

    smmu.turn_off()?;
    write(&edu, monitor + TURNED_OFF)?;
    let lands = lands(&edu, own)?;
    say!(
        "SMMU turned off: a write {}",
        if lands { "lands" } else { "does not land" }
    );
    Ok(())
}

/// Sets the device up. Returns it, and physical addresses: of the SMMU's registers, and of the monitor's memory.
pub(super) fn device(context: &Context) -> Outcome<(Edu, u64, u64)> {
    let machine = context.machine;
    let (Some(pci), Some(base)) = (machine.pci, machine.smmu) else {
        fail!("expected PCI and an SMMU, seen none")
    };
    let (Some(edu), Some((monitor, _))) = (pci.edus().next(), machine.monitor()) else {
        fail!("expected an edu and the monitor's memory, seen none")
    };
    edu.set_up()?;
    Ok((edu, base, monitor))
}

/// `test=fence-cost`: what an unmap costs, `calls=` times.
pub fn cost(context: &Context) -> Outcome {
    let Some(base) = context.machine.smmu else {
        fail!("expected an SMMU, seen none")
    };
    let mut smmu = Smmu::set_up(base, context.arena, context.machine)?;
    measure("unmap", context.options.calls, || smmu.invalidate())
}

fn write(edu: &Edu, address: u64) -> Outcome {
    edu.start(address, SIZE);
    edu.wait()
}

/// Whether a write to the probe's own memory lands.
fn lands(edu: &Edu, own: u64) -> Outcome<bool> {
    write64(own, !0);
    write(edu, own)?;
    Ok(read64(own) == 0)
}

/// Says the events that there are, and fails if there is a fence and none of them is of stage 2 and this access.
fn named(smmu: &Smmu, fenced: bool, way: &str, access: &str) -> Outcome {
    let mut found = false;
    while let Some([first, second, address, _]) = smmu.event() {
        let class = ACCESSES[(second >> CLASS_SHIFT) as usize & 3];
        let stage = if second & STAGE_2 != 0 { 2 } else { 1 };
        say!(
            "{way}: event {:#x} of stage {stage}, {class}, at {address:#x}",
            first & 0xff
        );
        found |= first & 0xff == F_TRANSLATION && stage == 2 && class == access;
    }
    ensure!(
        found || !fenced,
        "{way}: expected an event of stage 2, {access}, seen none"
    );
    Ok(())
}
