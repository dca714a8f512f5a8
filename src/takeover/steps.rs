// SPDX-License-Identifier: Apache-2.0
//! The table of teardown steps.

use super::{copy, memory_reserve};
use crate::arch::tlb;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::vcpu;
use baton_abi::steps as names;
use baton_core::hw_error::HwError;
use baton_core::mpidr;
use baton_core::options::{Crash, DeviceDma, Smmu, Teardown};
use baton_core::smp::steps::{self, Phase, Step};
use baton_sysreg::read_sysreg;
use core::sync::atomic::Ordering::Relaxed;

macro_rules! step {
    ($name:ident, $phase:ident, $teardown:expr) => {
        Step {
            name: names::$name,
            phase: Phase::$phase,
            parallel: true,
            at_off: true,
            teardown: $teardown,
        }
    };
}

/// All steps, each in the order in which it is taken within its phase.
pub static TABLE: [Step<Cpu, Machine>; 25] = [
    // Phase 1: ONLINE to TEARDOWN_CPU. What raises interrupts first, then what takes them.
    step!(TIMERS, Private, |_, _| vcpu::timer::reset()),
    step!(PMU, Private, |cpu, _| vcpu::pmu::reset(cpu.features())),
    Step {
        at_off: false,
        ..step!(CLUSTER_PMU, Private, cluster_pmu)
    },
    step!(TRACE, Private, |cpu, machine| vcpu::trace::reset(
        cpu.features(),
        machine.devices.trace
    )),
    step!(DEBUG, Private, |cpu, _| {
        cpu.os_locks.reset();
        vcpu::debug::reset(cpu.features())
    }),
    step!(VECTORS, Private, |cpu, _| vcpu::vector::reset(
        cpu.features()
    )),
    step!(PAUTH, Private, |cpu, _| vcpu::pauth::reset(cpu.features())),
    step!(EL1_REGISTERS, Private, |cpu, _| vcpu::reset::reset_el1(
        cpu.features()
    )),
    step!(INTERRUPT_ROUTES, Private, interrupt_routes),
    step!(CPU_INTERFACE, Private, |_, machine| machine
        .gic
        .reset_cpu_interface()),
    step!(REDISTRIBUTOR, Private, |cpu, machine| machine
        .gic
        .reset_private(cpu.mpidr)),
    // A kernel sets LPIs up once for each CPU, and finds them as they were when it turns the CPU on
    // again (Linux, `its_cpu_init_lpis()`).
    Step {
        at_off: false,
        ..step!(LPIS, Private, |cpu, machine| machine
            .gic
            .reset_lpis(cpu.mpidr))
    },
    step!(TRANSLATIONS, Private, translations),
    // Devices go on where a CPU leaves alone.
    Step {
        at_off: false,
        ..step!(PCI_DMA, Private, pci_dma)
    },
    // Phase 2, on the boot CPU. What devices have written is in memory first: their interrupts are writes too.
    step!(PCI_BRIDGES, Shared, pci_bridges),
    step!(SMMU, Shared, smmus),
    step!(DISTRIBUTOR, Shared, |_, machine| machine
        .gic
        .quiesce_distributor()),
    step!(ABSENT_CPUS, Shared, absent_cpus),
    step!(ITS, Shared, |_, machine| machine.gic.reset_its()),
    // Where LPIs cannot be switched off, they are disabled one by one.
    step!(KEPT_LPIS, Shared, |_, machine| {
        machine.gic.disable_kept_lpis();
        Ok(())
    }),
    step!(MEMORY_RESERVE, Shared, |_, machine| memory_reserve::empty(
        machine
    )),
    // Phase 3: TEARDOWN_CPU to IDLE_DEAD. All SPIs are disabled, so that many CPUs can change the rest at once.
    step!(SPIS, Load, spis),
    step!(LPI_CACHE, Load, |cpu, machine| machine
        .gic
        .forget_lpis(cpu.mpidr)),
    step!(SGIS, Load, |cpu, machine| machine.gic.drop_sgis(cpu.mpidr)),
    step!(COPY, Load, copy_share),
];

/// The names are those that the probe and the tests have.
const _: () = {
    let mut place = 0;
    while place < TABLE.len() {
        assert!(names::is_same(TABLE[place].name, names::ALL[place]));
        place += 1;
    }
};

/// Says once, at boot, what is not usual about the table: the capability check, and skipped steps.
pub fn log_unusual(machine: &Machine) {
    if machine.options.teardown == Teardown::Serial {
        log::info!("teardown=serial: every step runs CPU by CPU");
    }
    let skipped = machine.options.skip_steps.as_deref();
    for name in skipped.iter().flat_map(|names| names.split(',')) {
        if TABLE.iter().any(|step| step.name == name) {
            log::warn!("step \"{name}\" is skipped: the next kernel finds what it would clear");
        } else {
            log::warn!("there is no step \"{name}\" to skip");
        }
    }
    for name in steps::serial_steps(&TABLE) {
        log::info!("step \"{name}\" is not safe in parallel: it runs CPU by CPU");
    }
}

/// Whether a CPU came to the takeover in time: what a late one does is beside the next kernel.
fn takes_part(cpu: &Cpu, machine: &Machine) -> bool {
    let generation = machine.takeover.rendezvous.generation();
    cpu.member.arrival().has_arrived(generation)
}

/// While CPUs go one by one, interrupts still come: those of this CPU go to one that stays.
///
/// Where all go at once, nobody stays but the boot CPU, and phase 2 gives it all of them.
fn interrupt_routes(cpu: &Cpu, machine: &Machine) -> Result<(), HwError> {
    let boot_cpu = machine.takeover.boot_cpu.load(Relaxed) as usize;
    if machine.options.teardown == Teardown::Serial
        && cpu.index != boot_cpu
        // One that came late would change the next kernel's routes.
        && takes_part(cpu, machine)
        && let Some(boot_cpu) = machine.cpus.get(boot_cpu)
    {
        machine.gic.move_shared(cpu.mpidr, boot_cpu.mpidr);
    }
    Ok(())
}

/// The PMU of the CPU's cluster; of the CPUs of a cluster each clears it, as none knows of the others, one after
/// another, as they share the register that selects a counter.
fn cluster_pmu(_: &Cpu, machine: &Machine) -> Result<(), HwError> {
    if !machine.devices.dsu_pmu_is_open {
        return Ok(());
    }
    // SAFETY: MPIDR_EL1 can be read on every CPU.
    let cluster = mpidr::cluster(unsafe { read_sysreg!(MPIDR_EL1) }) as usize;
    let clusters = &machine.takeover.clusters;
    let _alone = clusters[cluster % clusters.len()].lock();
    // SAFETY: The device tree has a node for it, which the kernel uses too.
    unsafe { vcpu::pmu::reset_cluster() }
}

/// What becomes of devices' accesses to memory: a crash kernel may want to see what they do.
fn device_dma(machine: &Machine) -> DeviceDma {
    match machine.options.crash {
        Crash::KeepDma if machine.takeover.is_crash() => DeviceDma::Keep,
        _ => machine.options.dma,
    }
}

/// Devices write nothing into memory that is copied to, or that is the next kernel's. Each CPU takes buses that no other
/// has taken.
fn pci_dma(cpu: &Cpu, machine: &Machine) -> Result<(), HwError> {
    match device_dma(machine) {
        // One that comes late would stop the next kernel's.
        DeviceDma::Stop if takes_part(cpu, machine) => machine.dma.stop_functions(),
        _ => Ok(()),
    }
}

/// The bridges before them, once no function has anything to send.
fn pci_bridges(_: &Cpu, machine: &Machine) -> Result<(), HwError> {
    match device_dma(machine) {
        DeviceDma::Stop => machine.dma.stop_bridges(),
        DeviceDma::Keep => Ok(()),
    }
}

/// Nor do those that are no function of PCI, where an SMMU stands before them. It is set up by addresses of the old
/// kernel's.
fn smmus(_: &Cpu, machine: &Machine) -> Result<(), HwError> {
    // The next kernel finds each as it is described to it, by the monitor.
    let pages = machine.dma.fenced().filter_map(|smmu| smmu.page());
    pages.for_each(|page| machine.generations.let_read(&page, false));
    match device_dma(machine) {
        DeviceDma::Stop => {
            machine.generations.end_devices();
            machine.dma.shut_smmus(machine.options.smmu == Smmu::Bypass)
        }
        DeviceDma::Keep => Ok(()),
    }
}

/// What the old kernel left, from outside, in the redistributors of CPUs that never ran.
fn absent_cpus(_: &Cpu, machine: &Machine) -> Result<(), HwError> {
    let mut result = Ok(());
    if machine.takeover.rendezvous.has_absent() {
        // One that is in the device tree alone, or out of power, has nothing to clear.
        let absent =
            |cpu: &&Cpu| !cpu.member.arrival().is_expected() && machine.gic.can_reach(cpu.mpidr);
        for cpu in machine.cpus.iter().filter(absent) {
            result = result
                .and(machine.gic.reset_private(cpu.mpidr))
                .and(machine.gic.reset_lpis(cpu.mpidr))
                .and(machine.gic.drop_sgis(cpu.mpidr));
        }
    }
    result
}

/// The SPIs of the CPU's share, routed to the boot CPU.
fn spis(cpu: &Cpu, machine: &Machine) -> Result<(), HwError> {
    let (place, of) = machine.takeover.rendezvous.share_of(cpu);
    let boot_cpu = machine.takeover.boot_cpu.load(Relaxed) as usize;
    let mpidr = machine.cpus.get(boot_cpu).map_or(0, |cpu| cpu.mpidr);
    machine.gic.reset_spis(mpidr, place, of)
}

fn translations(_: &Cpu, _: &Machine) -> Result<(), HwError> {
    tlb::invalidate_el1_local();
    tlb::invalidate_instructions_local();
    Ok(())
}

/// A function by itself, so that a debugger can stop a CPU that begins to copy.
fn copy_share(cpu: &Cpu, machine: &Machine) -> Result<(), HwError> {
    copy::share(cpu, machine)
}

#[cfg(test)]
mod tests;
