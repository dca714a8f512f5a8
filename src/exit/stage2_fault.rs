// SPDX-License-Identifier: Apache-2.0
//! Stage 2 faults: the guest reached for what is not there or not its own, stored where it may only read, or
//! executed what is a device's.

mod smmu;

pub use smmu::unmap;

use super::{class, inject};
use crate::arch::translate::{stage1, translate};
use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::vcpu::frame::Frame;
use baton_core::gic_tables::Denied;
use baton_sysreg::read_sysreg;

/// ISS.S1PTW: the fault is of a stage 1 table walk.
const S1PTW: u64 = 1 << 7;
/// ISS.WnR of a data abort.
const WNR: u64 = 1 << 6;
/// ISS.ISV: the ISS says which register is stored, and how much of it.
const ISV: u64 = 1 << 24;
/// ISS.DFSC but for the level, and its value for a permission fault.
const FAULT: u64 = 0x3c;
const PERMISSION: u64 = 0x0c;
const TRANSLATION: u64 = 0x04;

/// Maps what may be mapped, makes what may be stored, drops what is withheld; otherwise the guest gets an abort, and the
/// console a line.
pub fn handle(machine: &Machine, cpu: &Cpu, frame: &mut Frame, esr: u64) {
    // SAFETY: Both describe the abort that was just taken.
    let (hpfar, far) = unsafe { (read_sysreg!(HPFAR_EL2), read_sysreg!(FAR_EL2)) };
    let walk = esr & S1PTW != 0;
    let fetch = esr >> 26 == class::INSTRUCTION_ABORT_LOWER;
    if !walk && esr & FAULT == PERMISSION {
        // HPFAR_EL2 is UNKNOWN then.
        match translate(far) {
            Some(address) if fetch => fetched(machine, cpu, frame, address, far),
            Some(address) => store(machine, cpu, frame, esr, address, far),
            None => {}
        }
        return;
    }
    // HPFAR_EL2.FIPA holds bits 47:12 in bits 39:4; in the place of a walk FAR_EL2 has no part.
    let offset = if walk { 0 } else { far & 0xfff };
    let ipa = (hpfar & 0xff_ffff_fff0) << 8 | offset;
    let smmu = machine.dma.fenced_at(ipa);
    if let Some(smmu) = smmu.filter(|_| !walk && !fetch && esr & ISV != 0) {
        return smmu::access(machine, cpu, frame, esr, smmu, ipa);
    }
    cpu.exits.count(Cause::Fault);
    if smmu.is_none() && esr & FAULT == TRANSLATION && machine.generations.map_on_demand(ipa) {
        return;
    }
    if !walk && !fetch && machine.generations.withholds(ipa) {
        return withheld(cpu, frame, esr, ipa, far);
    }
    let access = match (fetch, walk, esr & WNR != 0) {
        (_, true, _) => "table walk",
        (true, ..) => "fetch",
        (_, _, true) => "write",
        _ => "read",
    };
    let place = if machine.monitor.contains(ipa) {
        "in the monitor's memory"
    } else {
        "outside its memory"
    };
    log::log!(
        cpu.exits.complaint(),
        "cpu {}: guest {access} at {ipa:#x} is {place} (ELR {:#x}); it gets an abort",
        cpu.index,
        frame.elr
    );
    let level = walk.then(|| stage1().level_at(&machine.ram, far, ipa));
    inject::abort(frame, far, fetch, level);
}

/// A fetch from `address`, where there may be devices: gets an abort.
///
/// If it may be executed, the guest has just mapped another page at `far`, and tries again.
fn fetched(machine: &Machine, cpu: &Cpu, frame: &mut Frame, address: u64, far: u64) {
    cpu.exits.count(Cause::Fault);
    if machine.generations.may_execute(address) {
        return;
    }
    log::log!(
        cpu.exits.complaint(),
        "cpu {}: guest fetch at {address:#x} is of what is no memory (ELR {:#x}); it gets an abort",
        cpu.index,
        frame.elr
    );
    inject::abort(frame, far, true, None);
}

/// A store to a page that may only be read: the GIC's, or the log's. Makes it, or drops it with a line on the
/// console.
///
/// If `address` is of no such page, the guest has just mapped another one there, and tries again.
fn store(machine: &Machine, cpu: &Cpu, frame: &mut Frame, esr: u64, address: u64, far: u64) {
    let plain = esr & ISV != 0;
    if plain && let Some(smmu) = machine.dma.fenced_at(address) {
        return smmu::access(machine, cpu, frame, esr, smmu, address);
    }
    let (size, value) = stored(frame, esr);
    if machine.log.is_some_and(|log| log.contains(address)) {
        return store_to_log(cpu, frame, plain, far);
    }
    let memory = machine.ram.with_hot_plugged();
    let Some(made) = machine.gic.store(address, size, value, &memory) else {
        return;
    };
    let Err(refused) = made else {
        cpu.exits.count(Cause::Other);
        frame.skip();
        return;
    };
    cpu.exits.count(Cause::Fault);
    let index = cpu.index;
    log::log!(
        cpu.exits.complaint(),
        "cpu {index}: guest's write of {value:#x} to {refused}; it is dropped"
    );
    match refused.why {
        Denied::Shape => inject::abort(frame, far, false, None),
        _ => frame.skip(),
    }
}

/// An access to debug registers that the guest does not get. A kernel whose own description of the machine has
/// them finds that there is no such device: a load of a single register reads zero, a store is dropped.
fn withheld(cpu: &Cpu, frame: &mut Frame, esr: u64, ipa: u64, far: u64) {
    log::log!(
        cpu.exits.complaint(),
        "cpu {}: guest access at {ipa:#x} is of a CPU's debug registers (ELR {:#x}); they read zero",
        cpu.index,
        frame.elr
    );
    if esr & ISV == 0 {
        return inject::abort(frame, far, false, None);
    }
    if esr & WNR == 0
        && let Some(loaded) = frame.x.get_mut(register(esr))
    {
        *loaded = 0;
    }
    frame.skip();
}

/// Returns how many bytes are stored, and what; none where the ISS does not say it.
fn stored(frame: &Frame, esr: u64) -> (u64, u64) {
    // SAS, where the ISS has it.
    let size = if esr & ISV != 0 {
        1 << (esr >> 22 & 3)
    } else {
        0
    };
    let mask = u64::MAX.checked_shr(64 - 8 * size).unwrap_or(0);
    let value = frame.x.get(register(esr)).copied().unwrap_or(0) & mask;
    (size.into(), value)
}

/// Returns the number of the register that is loaded or stored (`ISS.SRT`); 31 is zero.
fn register(esr: u64) -> usize {
    (esr >> 16 & 0x1f) as usize
}

/// A store to the log, which is dropped, if it is one of a single register, which may be the user's who writes to
/// Linux's file of it.
fn store_to_log(cpu: &Cpu, frame: &mut Frame, plain: bool, far: u64) {
    cpu.exits.count(Cause::Fault);
    log::log!(
        cpu.exits.complaint(),
        "cpu {}: guest's write to the log (ELR {:#x}); it is dropped",
        cpu.index,
        frame.elr
    );
    match plain {
        true => frame.skip(),
        false => inject::abort(frame, far, false, None),
    }
}
