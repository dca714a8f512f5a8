//! The machine: what was found at boot and never changes, and the services that stand on it.

use crate::cpu::Cpu;
use crate::devicetree::cpus::Devices;
use crate::gic::Gic;
use crate::hooks::Planter;
use crate::memory::generation::Generations;
use crate::memory::guest_ram::GuestRam;
use crate::memory::region::Region;
use crate::options::Options;
use crate::psci::power_state::Format;
use crate::teardown::Takeover;
use alloc::boxed::Box;
use spin::once::Once;

/// All that the monitor knows.
pub struct Machine {
    /// The monitor's command line.
    pub options: Options,
    /// The monitor's own memory.
    pub monitor: Region,
    /// The guest's memory.
    pub ram: GuestRam,
    /// The CPUs, in the order of the device tree.
    pub cpus: Box<[Cpu]>,
    /// Indices into `cpus`, in the order of their MPIDRs.
    pub by_mpidr: Box<[u16]>,
    /// The interrupt controller.
    pub gic: Gic,
    /// What the CPUs have that the device tree alone says.
    pub devices: Devices,
    /// How firmware wants the `power_state` of CPU_SUSPEND; `None` if it does not suspend CPUs.
    pub suspend_format: Option<Format>,
    /// Stage 2.
    pub generations: Generations,
    /// The way from one kernel to the next.
    pub takeover: Takeover,
    /// The calls planted in a Linux guest.
    pub hooks: Planter,
}

static MACHINE: Once<Machine, crate::sync::Relax> = Once::new();

impl Machine {
    /// Makes this the machine. To be called once, before any guest runs.
    pub fn install(self) -> &'static Self {
        MACHINE.call_once(|| self)
    }

    /// Returns the machine.
    ///
    /// Panics before [`Machine::install`].
    pub fn get() -> &'static Self {
        MACHINE
            .get()
            .expect("the machine is installed before any guest runs")
    }

    /// Returns the machine, if there is one yet.
    pub fn try_get() -> Option<&'static Self> {
        MACHINE.get()
    }

    /// Returns the CPU with the affinity fields `mpidr`.
    pub fn cpu_by_mpidr(&'static self, mpidr: u64) -> Option<&'static Cpu> {
        let place = self
            .by_mpidr
            .binary_search_by_key(&mpidr, |&index| self.cpus[usize::from(index)].mpidr)
            .ok()?;
        self.cpus.get(usize::from(self.by_mpidr[place]))
    }
}
