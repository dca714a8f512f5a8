// SPDX-License-Identifier: Apache-2.0
//! The guest's accesses to registers of an SMMU with a fence.

use super::{FAULT, ISV, PERMISSION, S1PTW, WNR, class, register, stored};
use crate::arch::translate::translate;
use crate::dma::{Full, Smmu};
use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::vcpu::frame::Frame;
use baton_core::smmu::registers::CMDQ_PROD;
use baton_sysreg::read_sysreg;

/// ESR_EL2, but for the level and the register: a store of one register of 32 bits, to what may only be read.
const STORE: u64 = class::DATA_ABORT_LOWER << 26 | IL | ISV | SAS_WORD | WNR | PERMISSION;
const SHAPE: u64 = 0x3f << 26 | IL | ISV | SAS | S1PTW | WNR | FAULT;
/// ESR_EL2.IL: the instruction has 32 bits. By this, what is compared is in one piece.
const IL: u64 = 1 << 25;
/// ISS.SAS: how much is stored.
const SAS: u64 = 3 << 22;
const SAS_WORD: u64 = 2 << 22;

/// If an exception is of a store by which a driver tells an SMMU of unmapping alone, makes that.
///
/// There is one for each page that a device loses: it is a straight way, without a call.
#[inline(always)]
pub fn unmap(machine: &Machine, cpu: &Cpu, frame: &mut Frame, esr: u64) -> Option<()> {
    // SAFETY: If it was an abort, this describes it.
    let far = unsafe { read_sysreg!(FAR_EL2) };
    // Its place within its page says of most others at once that they are none.
    if esr as u32 & SHAPE as u32 != STORE as u32
        || far & 0xfff != CMDQ_PROD
        || machine.takeover.rendezvous.is_over(&cpu.member)
    {
        return None;
    }
    let smmu = machine.dma.told_at(translate(far)?)?;
    let value = *frame.x.get(register(esr))? as u32;
    smmu.unmap(value, &machine.ram)?;
    cpu.exits.count(Cause::Other);
    frame.skip();
    Some(())
}

/// Makes a load or a store of one register at the physical `address`.
pub fn access(
    machine: &Machine,
    cpu: &Cpu,
    frame: &mut Frame,
    esr: u64,
    smmu: &Smmu,
    address: u64,
) {
    cpu.exits.count(Cause::Other);
    let offset = address.wrapping_sub(smmu.base());
    let (size, value) = stored(frame, esr);
    if esr & WNR != 0 {
        store(machine, cpu, smmu, offset, size, value);
    } else {
        let loaded = smmu.load(offset, size);
        if let Some(register) = frame.x.get_mut(register(esr)) {
            *register = loaded;
        }
    }
    frame.skip();
}

fn store(machine: &Machine, cpu: &Cpu, smmu: &Smmu, offset: u64, size: u64, value: u64) {
    let stored = smmu.store(offset, size, value, &machine.ram);
    if let (Some(readable), Some(page)) = (stored.readable, smmu.page()) {
        machine.generations.let_read(&page, readable);
    }
    if let Some(register) = stored.refused {
        log::log!(
            cpu.exits.complaint(),
            "cpu {}: guest's write of {value:#x} to SMMU at {:#x}: {register} leads outside its memory; it is dropped",
            cpu.index,
            smmu.base()
        );
    }
    if let Some(stream) = stored.full {
        log::warn!(
            "SMMU at {:#x}: stream {stream:#x} is shut: {}",
            smmu.base(),
            Full
        );
    }
    if let Some(error) = stored.failed {
        log::warn!("SMMU at {:#x}: {error}", smmu.base());
    }
}
