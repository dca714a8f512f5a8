// SPDX-License-Identifier: Apache-2.0
//! The machine: what was found at boot and never changes, and the state of its CPUs.

pub mod caught;
pub mod counters;
pub mod cpu;
pub mod dump;
mod el2;
#[cfg(test)]
pub mod fake;
pub mod hook_state;
pub mod next;
pub mod next_tree;
pub mod prepared_report;
pub mod report_table;
pub mod request;
pub mod takeover;
pub mod validated;

use crate::dma::Dma;
use crate::gic::Gic;
use crate::memory::guest_ram::GuestRam;
use crate::memory::stage2::Generations;
use alloc::boxed::Box;
use arm_psci::SuspendMode;
use baton_core::devicetree::cpus::Devices;
use baton_core::devicetree::guest_console::MonitorUart;
use baton_core::errata::Kinds;
use baton_core::memory::region::Region;
use baton_core::options::Options;
use baton_core::power_state::Format;
use baton_core::sdei::Event;
use baton_core::sync::{Lock, Relax};
use baton_core::tee::mediator::Mediator;
use cpu::Cpu;
use hook_state::Patcher;
use report_table::ReportTable;
use spin::once::Once;
use takeover::Takeover;

/// The interrupt by which the guest is ended for its crash kernel: an event of firmware's.
#[derive(Clone, Copy, Debug)]
pub struct CrashInterrupt {
    /// The event.
    pub event: Event,
    /// The index of the CPU that it comes to.
    pub cpu: usize,
}

/// All that the monitor knows.
pub struct Machine {
    /// The monitor's command line.
    pub options: Options,
    /// The monitor's own memory.
    pub monitor: Region,
    /// The guest's memory.
    pub ram: GuestRam,
    /// The ACPI table that has the report of the last reboot, and the log.
    pub report: Option<ReportTable>,
    /// The part of the monitor's memory with the log, if the guest is told that it may read that.
    pub log: Option<Region>,
    /// Where the list of what Linux reserves for all kernels is (`linux_efi_memreserve`), if firmware was
    /// asked for it at boot: a physical address, which is not checked.
    pub memory_reserve: Option<u64>,
    /// The CPUs, in the order of the device tree.
    pub cpus: Box<[Cpu]>,
    /// Indices into `cpus`, in the order of their MPIDRs.
    pub by_mpidr: Box<[u16]>,
    /// The kinds of CPU that have come.
    pub kinds: Lock<Kinds>,
    /// The interrupt controller.
    pub gic: Gic,
    /// Where devices' DMA is stopped.
    pub dma: Dma,
    /// What the CPUs have that the device tree alone says.
    pub devices: Devices,
    /// The UART of the monitor's console, if there is one.
    pub uart: Option<MonitorUart>,
    /// What stands between the guest and OP-TEE; without it the guest has none.
    pub tee: Option<Mediator>,
    /// How firmware wants the `power_state` of CPU_SUSPEND; `None` if it does not suspend CPUs.
    pub suspend_format: Option<Format>,
    /// Who coordinates CPU_SUSPEND, as the guest has set it; `None` before it has.
    pub suspend_mode: Lock<Option<SuspendMode>>,
    /// Stage 2.
    pub generations: Generations,
    /// The takeover: the last one, or the one that is under way.
    pub takeover: Takeover,
    /// The interrupt by which the guest is ended for its crash kernel, if firmware has taken it.
    pub crash_interrupt: Lock<Option<CrashInterrupt>>,
    /// The calls patched into a Linux guest.
    pub hooks: Patcher,
}

static MACHINE: Once<Machine, Relax> = Once::new();

impl Machine {
    /// Makes this the machine. To be called once, before any guest runs.
    pub fn install(self) -> &'static Self {
        MACHINE.call_once(|| self)
    }

    /// Returns the machine, if it was installed. For the vectors, where a CPU comes in without it,
    /// and for a panic: everyone else is handed a reference.
    pub fn installed() -> Option<&'static Self> {
        MACHINE.get()
    }

    /// Returns the CPU with the affinity fields `mpidr`.
    pub fn cpu_by_mpidr(&self, mpidr: u64) -> Option<&Cpu> {
        let place = self
            .by_mpidr
            .binary_search_by_key(&mpidr, |&index| self.cpus[usize::from(index)].mpidr)
            .ok()?;
        self.cpus.get(usize::from(self.by_mpidr[place]))
    }
}
