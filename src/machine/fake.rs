// SPDX-License-Identifier: Apache-2.0
//! A machine that is not there: two CPUs of which this thread is the first, a GICv3, and a MiB of
//! memory for the guest.

use super::Machine;
use super::cpu::Cpu;
use super::hook_state::Patcher;
use super::takeover::Takeover;
use crate::arch::fake::mmio::{self, Memory};
use crate::dma::fake::Pci;
use crate::gic::Gic;
use crate::gic::fake::{PLPIS, V3};
use crate::memory::guest_ram::GuestRam;
use crate::memory::stage1::MmuConfig;
use crate::memory::stage2::Generations;
use crate::vcpu;
use baton_core::devicetree::cpus::Devices;
use baton_core::errata::Kinds;
use baton_core::memory::geometry::Geometry;
use baton_core::memory::hotplug::Room;
use baton_core::memory::region::{Region, RegionSet};
use baton_core::options::Options;
use baton_core::sync::Lock;
use dtoolkit::model::DeviceTree;

/// Bytes of the guest's memory.
pub const RAM: u64 = 1 << 20;
/// What the CPUs have as their affinities.
pub const AFFINITIES: [u32; 2] = [0, 0x100];

/// The machine, and what its registers and its memory are.
pub struct Bench {
    /// The machine.
    pub machine: Machine,
    /// The registers of its GIC.
    pub gic: V3,
    /// The bus of PCI.
    pub pci: Pci,
    /// The guest's memory.
    pub ram: Memory,
}

impl Bench {
    /// Returns a machine with these options, whose CPUs have everything. Its first CPU runs, the
    /// second was never started.
    pub fn new(options: Options) -> Self {
        vcpu::fake::max();
        let gic = V3::new(&AFFINITIES, PLPIS);
        let pci = Pci::empty();
        let ram = Memory::new(RAM as usize);
        let mut banks = RegionSet::new();
        banks.insert(Region::new(ram.base() as u64, RAM).expect("a region"));
        let monitor = Region::new(0x4000_0000, 0x20_0000).expect("a region");
        let geometry = Geometry::new(5, u64::MAX);
        let generations = Generations::new(
            geometry,
            monitor,
            &banks,
            &RegionSet::new(),
            core::iter::empty(),
            RegionSet::new(),
        );
        let generations = generations.expect("within 48 bits");
        let cpu = |(index, affinity): (usize, &u32)| {
            Cpu::new(index, (*affinity).into(), MmuConfig::default(), 0)
        };
        let machine = Machine {
            options,
            monitor,
            // SAFETY: It is memory of the test's own, as long as the machine.
            ram: unsafe { GuestRam::new(banks, Room::default()) },
            report: None,
            log: None,
            memory_reserve: None,
            cpus: AFFINITIES.iter().enumerate().map(cpu).collect(),
            by_mpidr: [0, 1].into(),
            kinds: Lock::new(Kinds::new()),
            gic: Gic::V3(gic.gic()),
            dma: pci.dma(),
            uart: None,
            tee: None,
            devices: Devices {
                dsu_pmu: true,
                dsu_pmu_is_open: true,
                implementer: false,
                trace: true,
            },
            suspend_format: None,
            suspend_mode: Lock::new(None),
            generations,
            // SAFETY: There is no map.
            takeover: unsafe { Takeover::new(&MmuConfig::default(), AFFINITIES.len()) },
            crash_interrupt: Lock::new(None),
            hooks: Patcher::new(),
        };
        let rendezvous = &machine.takeover.rendezvous;
        rendezvous.expect_boot_cpu(&machine.cpus[0]);
        machine.cpus[0].power.set_on();
        machine.generations.begin(0).expect("all roots are free");
        assert!(machine.generations.enter(0));
        Self {
            machine,
            gic,
            pci,
            ram,
        }
    }

    /// Writes a list that moves a page from each source to its destination, all of them offsets in the
    /// guest's memory, to `at`; returns its physical address.
    pub fn write_list(&self, at: usize, pages: &[(usize, usize)]) -> u64 {
        let base = self.ram.base();
        let entry = |address: usize, flag| (base + address) as u64 | flag;
        let mut entries = pages.iter().flat_map(|&(source, destination)| {
            [
                entry(destination, baton_abi::IND_DESTINATION),
                entry(source, baton_abi::IND_SOURCE),
            ]
        });
        let mut place = base + at;
        for value in entries.by_ref().chain([baton_abi::IND_DONE]) {
            mmio::poke64(place, value);
            place += 8;
        }
        (base + at) as u64
    }

    /// Writes a device tree to offset `at` of the guest's memory; returns its physical address.
    pub fn write_tree(&self, at: usize, tree: &DeviceTree) -> u64 {
        let mut bytes = tree.to_dtb();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        for (offset, word) in bytes.chunks_exact(4).enumerate() {
            let word = word.try_into().expect("4 bytes");
            mmio::poke(self.ram.base() + at + 4 * offset, u32::from_le_bytes(word));
        }
        (self.ram.base() + at) as u64
    }
}
