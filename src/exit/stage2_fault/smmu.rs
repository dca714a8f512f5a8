// SPDX-License-Identifier: Apache-2.0
//! The guest's accesses to registers of an SMMU with a fence.

use super::{WNR, register, stored};
use crate::dma::{Full, Smmu};
use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::vcpu::frame::Frame;

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
