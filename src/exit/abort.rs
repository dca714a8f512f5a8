//! Stage 2 faults: the guest reached for what is not there.

use super::{Frame, inject};
use crate::cpu::{Cause, Cpu};
use crate::machine::Machine;
use crate::read_sysreg;
use log::Level;

/// Faults of a CPU that are shown, in each generation.
const FAULTS_SHOWN: u64 = 16;
/// ISS.S1PTW: the fault is of a stage 1 table walk.
const S1PTW: u64 = 1 << 7;
/// ISS.WnR of a data abort.
const WNR: u64 = 1 << 6;

/// Maps what may be mapped; otherwise the guest gets an abort, and the console a line.
pub fn handle(cpu: &Cpu, frame: &mut Frame, esr: u64) {
    // SAFETY: Both describe the abort that was just taken.
    let (hpfar, far) = unsafe { (read_sysreg!("hpfar_el2"), read_sysreg!("far_el2")) };
    // HPFAR_EL2.FIPA holds bits 47:12 in bits 39:4.
    let ipa = (hpfar & 0xff_ffff_fff0) << 8 | far & 0xfff;
    let machine = Machine::get();
    if machine.generations.map_on_demand(ipa) {
        return;
    }
    let fetch = esr >> 26 == super::class::INSTRUCTION_ABORT_LOWER;
    let access = match (fetch, esr & S1PTW != 0, esr & WNR != 0) {
        (_, true, _) => "table walk",
        (true, ..) => "fetch",
        (_, _, true) => "write",
        _ => "read",
    };
    let whose = if machine.monitor.contains(ipa) {
        "the monitor's memory"
    } else {
        "no memory"
    };
    // A guest that does nothing else must not have the console to itself.
    let level = match cpu.exits.now(Cause::Fault) {
        ..=FAULTS_SHOWN => Level::Warn,
        _ => Level::Trace,
    };
    log::log!(
        level,
        "cpu {}: guest {access} at {ipa:#x} is in {whose} (ELR {:#x}); it gets an abort",
        cpu.index,
        frame.elr
    );
    inject::abort(frame, far, fetch);
}
