// SPDX-License-Identifier: Apache-2.0
//! What a panic leaves for its crash kernel: the registers of all CPUs in the notes of the dump; and whether that
//! kernel is as it was loaded.

use crate::arch::sha256::mix_of_this_cpu;
use crate::arch::{barrier, cache, time};
use crate::machine::Machine;
use crate::machine::caught::Stopped;
use crate::machine::cpu::Cpu;
use crate::machine::dump::Dump;
use crate::machine::takeover::{VERIFY_US, Verification};
use baton_abi::{DUMP_KERNELS, DUMP_MISSING, DUMP_NO_NOTE, DUMP_OFF, DUMP_REGISTERS};
use baton_core::linux::crash::core_header::MAX_NOTES;
use baton_core::linux::crash::owners::{self, Found, Owner};
use baton_core::linux::crash::prstatus::{self, Registers};
use baton_core::linux::crash::purgatory::{self, Mismatch, PurgatoryError, Recorded};
use baton_core::linux::crash::sha256::Sha256;
use baton_core::linux::crash::variables::MAX_VARIABLES;
use core::iter::zip;
use core::sync::atomic::Ordering::Relaxed;
use thiserror::Error;

/// Bytes that are hashed in one go: each piece is looked up in the guest's memory.
const PIECE: u64 = 1 << 20;

/// Why the crash kernel is not entered: the machine is reset.
#[derive(Debug, Error)]
pub enum Damaged {
    /// What is recorded of it cannot be read.
    #[error(transparent)]
    Purgatory(#[from] PurgatoryError),
    /// A part of it is not in guest memory.
    #[error("{0:#x}, which is to be verified, is not in guest memory")]
    Outside(u64),
    /// It is not what it was.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// How many notes there are of each kind.
#[derive(Default)]
struct Written {
    registers: usize,
    kernels: usize,
    empty: usize,
}

impl Written {
    /// Counts a note of which [`baton_abi::ReportRow::dump`] is `dump`.
    fn count(&mut self, dump: u64) {
        match dump {
            DUMP_KERNELS => self.kernels += 1,
            DUMP_REGISTERS => self.registers += 1,
            _ => self.empty += 1,
        }
    }
}

/// Writes the registers of each CPU into its note. One that the kernel has written stays; that of a CPU that was
/// off, or has not come, has no registers, so that no tool takes the next one for it.
///
/// To be called by the boot CPU when all have gathered, with the kernel's memory as it was. Not inlined: kexecs need none
/// of what it has on the stack.
#[inline(never)]
pub fn write_notes(machine: &Machine) {
    let Some(kimage) = machine.takeover.crash_image() else {
        return;
    };
    for cpu in &machine.cpus {
        cpu.caught.set_dump(without_note(machine, cpu));
    }
    let mut pointers = [0; MAX_VARIABLES];
    let count = crash_notes(machine, &mut pointers);
    let pointers = pointers.get(..count).unwrap_or_default();
    let patched = *machine.hooks.patched.lock();
    let map = |address| patched.and_then(|patched| patched.translate(&machine.ram, address));
    let mut dump = machine.takeover.dump.lock();
    let Dump {
        header,
        cpus,
        owners,
    } = &mut *dump;
    if let Err(why) = header.read(&machine.ram, kimage.segments()) {
        log::warn!("crash: no registers in the dump: {why}");
        return;
    }
    cpus.clear();
    owners.clear();
    for (cpu, stopped) in stopped(machine) {
        cpus.push(cpu.index);
        owners.push(Owner {
            offset: stopped.per_cpu,
            note: None,
        });
    }
    if !are_found_by_linear_map(machine, header.notes(), owners, pointers) {
        let found = machine
            .generations
            .looking(|| owners::find(header.notes(), owners, pointers, map));
        if let Err(why) = found {
            log::warn!("crash: no registers in the dump: {why}");
        }
    }
    let mut written = Written::default();
    let mut has_owner = [false; MAX_NOTES];
    for (&cpu, owner) in zip(&*cpus, &*owners) {
        if let Some(note) = owner.note
            && let Ok(number) = header.notes().binary_search(&note)
            && let Some(cpu) = machine.cpus.get(cpu)
        {
            let dump = write_note(machine, note, Some(cpu));
            cpu.caught.set_dump(dump);
            written.count(dump);
            if let Some(has_owner) = has_owner.get_mut(number) {
                *has_owner = true;
            }
        }
    }
    for (&note, _) in zip(header.notes(), has_owner).filter(|(_, has_owner)| !has_owner) {
        written.count(write_note(machine, note, None));
    }
    log::info!(
        "crash: {} notes with registers, {} as the kernel has written them, {} without",
        written.registers,
        written.kernels,
        written.empty
    );
}

/// Finds the notes of all `owners` where they are in the kernel's linear map, as most kernels' per-CPU memory is. That
/// needs no translation by the kernel's tables, for which its memory would have to be mapped again. Returns false if one
/// has none there.
fn are_found_by_linear_map(
    machine: &Machine,
    notes: &[u64],
    owners: &mut [Owner],
    pointers: &[u64],
) -> bool {
    let Some(map) = machine.takeover.linear_map() else {
        return false;
    };
    let found = owners::find(notes, owners, pointers, |address| map.physical(address));
    matches!(found, Ok(Found::Pointer(_))) && owners.iter().all(|owner| owner.note.is_some())
}

/// Writes the note at `note`, of `cpu` if that is known; returns what it has now ([`baton_abi::ReportRow::dump`]).
fn write_note(machine: &Machine, note: u64, cpu: Option<&Cpu>) -> u64 {
    if prstatus::is_filled(&machine.ram, note) {
        return DUMP_KERNELS;
    }
    let registers = cpu.and_then(|cpu| registers(machine, cpu));
    registers
        .unwrap_or(Registers::NONE)
        .write(&machine.ram, note);
    cache::clean_to_poc(note as usize, prstatus::SIZE);
    match registers {
        Some(_) => DUMP_REGISTERS,
        None => DUMP_NO_NOTE,
    }
}

/// Returns what becomes of `cpu` in the dump as long as no note is known to be its own.
fn without_note(machine: &Machine, cpu: &Cpu) -> u64 {
    let generation = machine.takeover.rendezvous.generation();
    let arrival = cpu.member.arrival();
    match kept(machine, cpu) {
        Some(_) => DUMP_NO_NOTE,
        None if arrival.is_missing(generation) => DUMP_MISSING,
        None => DUMP_OFF,
    }
}

/// Returns the CPUs that have come from their guest, with what they kept then.
fn stopped(machine: &Machine) -> impl Iterator<Item = (&Cpu, Stopped)> {
    let cpus = machine.cpus.iter();
    cpus.filter_map(|cpu| Some((cpu, kept(machine, cpu)?)))
}

/// Returns what `cpu` kept when it came from its guest, if it has come.
fn kept(machine: &Machine, cpu: &Cpu) -> Option<Stopped> {
    let generation = machine.takeover.rendezvous.generation();
    let has_come = cpu.member.arrival().has_arrived(generation);
    // The kernel's generation is the one before.
    let stopped = || cpu.caught.stopped(generation.wrapping_sub(1));
    has_come.then(stopped).flatten()
}

/// Returns the registers of `cpu`, if it has come.
fn registers(machine: &Machine, cpu: &Cpu) -> Option<Registers> {
    let Stopped { registers, .. } = kept(machine, cpu)?;
    let (x, rest) = registers.split_first_chunk()?;
    let &[sp, pc, pstate] = rest else { return None };
    Some(Registers {
        x: *x,
        sp,
        pc,
        pstate,
    })
}

/// Puts what may be the value of the kernel's `crash_notes` into `pointers`; returns how many there are.
fn crash_notes(machine: &Machine, pointers: &mut [u64; MAX_VARIABLES]) -> usize {
    let patched = *machine.hooks.patched.lock();
    let Some((image, sites)) = patched.and_then(|patched| Some((patched.image, patched.crash?)))
    else {
        return 0;
    };
    let variables = sites.variables();
    let values = variables.offsets().iter().filter_map(|offset| {
        let place = machine.ram.range(image + offset, 8)?;
        place.read_u64()
    });
    let mut count = 0;
    for (pointer, value) in zip(pointers, values) {
        *pointer = value;
        count += 1;
    }
    count
}

/// Has one CPU look whether the crash image is as it was loaded, if `cpu`, the `place`-th `of` those in phase 3, is that:
/// the one behind the boot CPU, which has other work meanwhile.
pub fn verify_if_due(machine: &Machine, boot_place: usize, place: usize, of: usize) {
    if !machine.takeover.is_crash() || place != (boot_place + 1) % of.max(1) {
        return;
    }
    if let Err(why) = verify(machine) {
        log::error!("crash: {why}");
        machine.takeover.note_copy_failure();
    }
    let generation = machine.takeover.rendezvous.generation();
    machine.takeover.verification.end(generation);
    barrier::sev();
}

/// Waits until the crash image was looked at: then it may be changed. To be called by the boot CPU in phase 3.
pub fn await_verified(machine: &Machine) {
    let takeover = &machine.takeover;
    let generation = takeover.rendezvous.generation();
    let is_verified = || !takeover.is_crash() || takeover.verification.has_ended(generation);
    if time::wait_us(VERIFY_US, is_verified).is_err() {
        log::error!("crash: the crash kernel was not verified within {VERIFY_US} us");
        takeover.note_copy_failure();
    }
}

/// Verifies the crash image, as its purgatory would, but with the caches on. To be called in phase 3, before anything of
/// the image is changed.
///
/// # Errors
///
/// [`Damaged`]: it must not be entered.
#[inline(never)]
fn verify(machine: &Machine) -> Result<(), Damaged> {
    let Some(kimage) = machine.takeover.crash_image() else {
        return Ok(());
    };
    machine.takeover.verification.bytes.store(0, Relaxed);
    let start = time::now();
    let regions = match purgatory::find(&machine.ram, kimage.segments(), kimage.start()) {
        Ok(Recorded::Digest(regions)) => regions,
        Ok(Recorded::NoPurgatory) => {
            log::info!(
                "crash: the crash kernel is not verified: loaded by its file, it has no digest"
            );
            return Ok(());
        }
        Ok(Recorded::Unchecked) => {
            log::info!("crash: the crash kernel is not verified: its purgatory was told not to");
            return Ok(());
        }
        // It may be another's purgatory, and is no reason to lose the dump.
        Err(why @ (PurgatoryError::NoTable(_) | PurgatoryError::TooLarge(_))) => {
            log::warn!("crash: the crash kernel is not verified: {why}");
            return Ok(());
        }
        Err(why) => return Err(why.into()),
    };
    let mut digest = Sha256::new(mix_of_this_cpu(true));
    for region in regions.as_slice() {
        for start in (region.start..region.end).step_by(PIECE as usize) {
            let size = PIECE.min(region.end - start);
            let piece = machine.ram.range(start, size);
            let piece = piece.ok_or(Damaged::Outside(start))?;
            // SAFETY: All vCPUs are in the monitor, and no other CPU writes the image.
            digest.update(unsafe { piece.bytes() });
        }
    }
    regions.check(&machine.ram, digest.finish())?;
    let Verification { bytes, ticks, .. } = &machine.takeover.verification;
    bytes.store(regions.size(), Relaxed);
    ticks.store(time::now() - start, Relaxed);
    Ok(())
}
