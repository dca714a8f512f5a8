// SPDX-License-Identifier: Apache-2.0
//! What EL3 has to open before the monitor and its guest can touch it.

use crate::firmware;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::vcpu::features::Features;
use baton_core::el3_features::El3Features;

/// Leaves alone on this CPU, `cpu`, what firmware says that it keeps, and what `no=` names.
pub fn close(machine: &Machine, cpu: &Cpu) -> El3Features {
    cpu.close(|| machine.options.no.or(kept_by_firmware(cpu)))
}

/// Says what is about to be touched on the boot CPU: where EL3 keeps one of it, this is the last line.
pub fn announce(machine: &Machine, cpu: &Cpu) {
    let closed = close(machine, cpu);
    if !closed.is_empty() {
        log::info!("left alone, as no= or firmware says: {closed}");
    }
    let opened = Features::of_this_cpu().without(closed).opened_by_el3();
    if !opened.is_empty() {
        log::info!(
            "firmware must have opened {opened}: if this is the last line, no=<name> leaves one alone"
        );
    }
}

/// Returns what firmware says that it keeps. A CPU of a spin table is none of firmware's.
fn kept_by_firmware(cpu: &Cpu) -> El3Features {
    if cpu.in_spin_table || !firmware::tells_features() {
        return El3Features::NONE;
    }
    El3Features::closed(firmware::open_features)
}
