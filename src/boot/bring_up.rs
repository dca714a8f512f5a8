// SPDX-License-Identifier: Apache-2.0
//! The monitor brought up on a machine that was found, whatever way it was started.

use super::configure::configure;
use super::layout::Layout;
use super::map::map;
use super::stop::stop;
use super::{early_map, el3, interrupt_controller, spin_table};
use crate::arch::cache;
use crate::arch::sysreg::current_mpidr;
use crate::dma::Dma;
use crate::exit::run;
use crate::firmware;
use crate::gic::Gic;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::hook_state::Patcher;
use crate::machine::next::Next;
use crate::machine::report_table::ReportTable;
use crate::machine::takeover::Takeover;
use crate::memory::guest_ram::GuestRam;
use crate::memory::heap::HEAP;
use crate::memory::stage1::{MemoryKind, MmuConfig};
use crate::memory::stage2::Generations;
use crate::takeover::{crash_interrupt, steps};
use crate::vcpu::{self, frame::Frame};
use alloc::boxed::Box;
use alloc::vec::Vec;
use arm_psci::FunctionId;
use baton_core::devicetree::cpus::{EnableMethod, Unusable};
use baton_core::devicetree::guest_console::MonitorUart;
use baton_core::devicetree::psci::Conduit;
use baton_core::errata::Kinds;
use baton_core::hardware::Hardware;
use baton_core::memory::addresses::Addresses;
use baton_core::memory::geometry::{Geometry, MOST_BITS, physical_bits};
use baton_core::memory::layout::{GUARD, STACK};
use baton_core::memory::region::{Region, RegionSet};
use baton_core::memory::withheld::Withheld;
use baton_core::options::{Options, Smmu, Tee};
use baton_core::power_state::Format;
use baton_core::smp::power::Start;
use baton_core::sync::Lock;
use baton_core::tee::mediator::Mediator;
use baton_sysreg::read_sysreg;

unsafe extern "C" {
    fn enable_mmu(mmu: &MmuConfig);
}

/// Names the CPUs that nobody can start, by their MPIDRs.
pub fn name_unusable(cpus: &[(u64, Unusable)]) {
    for (mpidr, why) in cpus {
        log::warn!("CPU with MPIDR {mpidr:#x} cannot be started: {why}; the guest runs without it");
    }
}

/// Sorts the machine's addresses ([`Addresses::new`]): `banks` is the guest's memory, with the monitor's in
/// it.
pub fn addresses(
    layout: &Layout,
    mut banks: RegionSet,
    memory: &RegionSet,
    claimed: &RegionSet,
) -> Addresses {
    // SAFETY: It is an ID register.
    let mmfr0 = unsafe { read_sysreg!(ID_AA64MMFR0_EL1) };
    banks.remove(&layout.whole);
    let addresses = Addresses::new(mmfr0, banks, &layout.whole, memory, claimed)
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    let (has, bits) = (physical_bits(mmfr0), addresses.geometry.bits());
    if has > MOST_BITS {
        log::info!("{has} bits of physical address: what lies beyond {MOST_BITS} is not mapped");
    }
    if let Some(region) = addresses.out_of_reach {
        log::warn!("what is at {region} lies beyond the guest's {bits} bits of address");
    }
    addresses
}

/// The machine's memory and interrupt controller, on the map that the monitor stays on.
pub struct Ground {
    /// The guest's memory.
    pub ram: GuestRam,
    /// The interrupt controller.
    pub gic: Gic,
    dma: Dma,
    /// The ACPI table that has the report, if there is one.
    pub report: Option<ReportTable>,
    /// The log's pages, if the guest is told that it may read them.
    pub log: Option<Region>,
    /// Where the list of what Linux reserves for all kernels is, if that is known.
    pub memory_reserve: Option<u64>,
    mmu: MmuConfig,
    /// What the guest never executes.
    devices: RegionSet,
    /// What the guest does not get.
    withheld: RegionSet,
    geometry: Geometry,
}

impl Ground {
    /// Gives the heap its memory, and goes from the early map to the one that stays. What a loader left to be
    /// read, as a device tree, is at `given`.
    pub fn take(
        hardware: &Hardware,
        layout: &Layout,
        addresses: Addresses,
        given: Option<Region>,
    ) -> Self {
        let Addresses {
            banks,
            room,
            devices,
            geometry,
            ..
        } = addresses;
        // The more holes memory has, the more tables the map needs.
        // SAFETY: This is the boot CPU on the early map; nothing else uses what lies behind the stacks.
        unsafe {
            early_map::add(&layout.heap, MemoryKind::Data);
            HEAP.add(layout.heap.start() as usize, layout.heap.size() as usize);
        }
        let mut taken = banks.clone();
        taken.insert(layout.whole);
        let described = hardware.dma.clone().within(&taken, geometry.end());
        let mmu = map(
            hardware,
            &described,
            layout,
            &banks,
            given,
            geometry.pa_range(),
        )
        .unwrap_or_else(|error| stop(format_args!("cannot map the machine: {error}")));
        // SAFETY: The map has all that runs: image, stacks, heap, what was given and console.
        unsafe { enable_mmu(&mmu) };
        let withheld = Withheld::new(&hardware.external_debug, &banks, geometry.end());
        // SAFETY: The banks are RAM, mapped, and the monitor's memory was taken out of them.
        let ram = unsafe { GuestRam::new(banks, room) };
        log::info!(
            "Baton {}: {} CPUs, monitor at {}",
            env!("CARGO_PKG_VERSION"),
            hardware.cpus.len(),
            layout.whole
        );
        log_external_debug(&withheld);
        described.others.iter().for_each(|other| {
            log::info!("{other}: DMA behind it goes on at a takeover");
        });
        check_firmware(hardware);
        let gic = interrupt_controller::find(&hardware.gic);
        // SAFETY: `map` mapped the registers as devices.
        let dma = unsafe { Dma::new(&described) };
        Self {
            ram,
            gic,
            dma,
            report: None,
            log: None,
            memory_reserve: None,
            mmu,
            devices,
            withheld: withheld.pages,
            geometry,
        }
    }

    /// Installs the machine, sets this CPU up for the guest, and begins the first generation. Returns
    /// the machine, and this CPU. `uart` is the console's.
    pub fn populate(
        self,
        hardware: &Hardware,
        layout: &Layout,
        options: Options,
        uart: Option<MonitorUart>,
    ) -> (&'static Machine, &'static Cpu) {
        let machine = machine(hardware, options, layout, self, uart).install();
        let boot_cpu = machine.cpu_by_mpidr(current_mpidr()).unwrap_or_else(|| {
            stop(format_args!(
                "the boot CPU, MPIDR {:#x}, is not in the machine's description",
                current_mpidr()
            ))
        });
        boot_cpu.make_current();
        el3::announce(machine, boot_cpu);
        configure(machine, boot_cpu);
        crash_interrupt::arm(machine, boot_cpu);
        machine.takeover.rendezvous.expect_boot_cpu(boot_cpu);
        steps::log_unusual(machine);
        for cpu in machine
            .cpus
            .iter()
            .filter(|cpu| !machine.gic.has_cpu(cpu.mpidr))
        {
            log::warn!(
                "cpu {} (MPIDR {:#x}) is in the machine's description and not in the machine: no redistributor",
                cpu.index,
                cpu.mpidr
            );
        }
        // SAFETY: `map` mapped the words, and no guest runs yet.
        unsafe { spin_table::bring_in(hardware, machine, boot_cpu) };
        if let Err(error) = machine.generations.begin(0) {
            stop(format_args!("{error}"));
        }
        (machine, boot_cpu)
    }
}

/// Returns the frame with which the boot CPU begins in the guest at `start`.
pub fn enter(machine: &Machine, boot_cpu: &Cpu, start: Start) -> Frame {
    boot_cpu.power.set_on();
    let mut begins = Frame::beginning_at(0, 0);
    run::run(machine, boot_cpu, Next::Enter(start), &mut begins);
    begins
}

/// Puts `frame` where `head.S` takes it from: at the top of the boot CPU's own stack.
pub fn on_own_stack(boot_cpu: &Cpu, frame: Frame) -> *mut Frame {
    let place = (boot_cpu.stack_top - size_of::<Frame>() as u64) as *mut Frame;
    // SAFETY: The boot CPU has not used its stack yet, and it runs on another one.
    unsafe { place.write(frame) };
    place
}

/// Says how far the registers of external debug are kept from the guest.
fn log_external_debug(withheld: &Withheld) {
    if vcpu::debug::may_be_halted() {
        log::warn!(
            "external debug is enabled (DBGEN): such of its registers as the guest has can reach the monitor"
        );
    }
    if !withheld.pages.is_empty() {
        log::info!(
            "the guest does without the CPUs' debug registers at {}",
            withheld.pages
        );
    }
    if !withheld.left.is_empty() {
        log::warn!(
            "the guest has the CPUs' debug registers at {}",
            withheld.left
        );
    }
}

/// Stops unless there is a PSCI that can be asked from EL2.
fn check_firmware(hardware: &Hardware) {
    match hardware.psci.as_ref().map(|psci| psci.conduit) {
        Some(Conduit::Smc) => {}
        Some(Conduit::Hvc) => stop(format_args!(
            "PSCI conduit is hvc: another hypervisor owns EL2"
        )),
        None => {
            let others = match hardware.cpus.len() {
                1 => "there is one CPU",
                _ => "CPUs come from spin tables",
            };
            log::info!("no PSCI firmware: {others}; the monitor offers PSCI to the guest itself");
            return firmware::set_absent();
        }
    }
    match firmware::version() {
        Ok(version) => log::debug!("firmware has PSCI {version}"),
        Err(error) => stop(format_args!(
            "firmware does not answer PSCI_VERSION: {error}"
        )),
    }
}

fn machine(
    hardware: &Hardware,
    options: Options,
    layout: &Layout,
    ground: Ground,
    uart: Option<MonitorUart>,
) -> Machine {
    let Ground {
        ram,
        gic,
        mut dma,
        report,
        log,
        memory_reserve,
        mmu,
        devices,
        withheld,
        geometry,
    } = ground;
    if options.smmu == Smmu::Fence {
        dma.prepare_fences(geometry.bits());
    }
    match dma.fenced().next() {
        Some(_) => log::info!(
            "what is behind no SMMU with a fence, and ITS commands, can reach the monitor"
        ),
        None => log::info!("no SMMU protection: DMA and ITS commands can reach the monitor"),
    }
    let cpus: Box<[Cpu]> = hardware
        .cpus
        .iter()
        .enumerate()
        .map(|(index, cpu)| {
            let stack_top = layout.stacks + (index as u64 + 1) * (STACK + GUARD);
            Cpu {
                in_spin_table: matches!(cpu.enable_method, EnableMethod::SpinTable { .. }),
                ..Cpu::new(index, cpu.mpidr, mmu, stack_top)
            }
        })
        .collect();
    // Firmware enters CPUs with the MMU off: they read their own entry of this from memory.
    cache::clean_to_poc(cpus.as_ptr() as usize, size_of_val(&*cpus));
    let mut by_mpidr: Vec<u16> = (0..cpus.len() as u16).collect();
    by_mpidr.sort_unstable_by_key(|&index| cpus[usize::from(index)].mpidr);
    // SAFETY: The map is for ever, and nobody else has its tables.
    let takeover = unsafe { Takeover::new(&mmu, cpus.len()) };
    let smmus = dma.fenced().filter_map(|smmu| smmu.guarded());
    let read_only = gic.guarded().chain(log).chain(smmus);
    let generations = Generations::new(
        geometry,
        layout.whole,
        ram.banks(),
        &devices,
        read_only,
        withheld,
    )
    .unwrap_or_else(|error| stop(format_args!("cannot map the guest's memory: {error}")));
    if dma.fenced().next().is_some() {
        dma.open_fences(generations.open_to_devices());
        dma.fenced()
            .filter_map(|smmu| smmu.page())
            .for_each(|page| generations.let_read(&page, false));
    }
    let (gibs, split) = generations.gibs(ram.banks());
    log::debug!("stage 2: {geometry}; {split} of {gibs} GiB with memory are in smaller blocks");
    let tee = match options.tee {
        Tee::Deny => None,
        Tee::Forward => Mediator::new()
            .inspect_err(|error| log::warn!("tee=forward ignored: {error}"))
            .ok(),
    };
    Machine {
        options,
        monitor: layout.whole,
        ram,
        report,
        log,
        memory_reserve,
        cpus,
        by_mpidr: by_mpidr.into(),
        kinds: Lock::new(Kinds::new()),
        gic,
        dma,
        devices: hardware.devices,
        uart,
        tee,
        suspend_format: firmware::features(FunctionId::CpuSuspend64.into())
            .map(Format::from_features),
        suspend_mode: Lock::new(None),
        generations,
        takeover,
        crash_interrupt: Lock::new(None),
        hooks: Patcher::new(),
    }
}
