// SPDX-License-Identifier: Apache-2.0
//! The boot CPU, from the image in its last place to the guest.

use super::configure::configure;
use super::layout::Layout;
use super::loader_tree::{start_console, tree};
use super::map::map;
use super::stop::stop;
use super::{early_map, first_guest, image, interrupt_controller, spin_table};
use crate::arch::sysreg::current_mpidr;
use crate::arch::{cache, time};
use crate::console;
use crate::exit::run;
use crate::firmware;
use crate::gic::Gic;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::hook_state::Patcher;
use crate::machine::next::Next;
use crate::machine::takeover::Takeover;
use crate::memory::guest_ram::GuestRam;
use crate::memory::heap::HEAP;
use crate::memory::layout::{GUARD, STACK};
use crate::memory::stage1::{MemoryKind, MmuConfig};
use crate::memory::stage2::Generations;
use crate::takeover::steps;
use crate::vcpu::frame::Frame;
use alloc::boxed::Box;
use alloc::vec::Vec;
use arm_psci::FunctionId;
use baton_core::devicetree::blob;
use baton_core::devicetree::board::{self, Board};
use baton_core::devicetree::psci::Conduit;
use baton_core::memory::region::{Region, RegionSet};
use baton_core::options::Options;
use baton_core::power_state::Format;

unsafe extern "C" {
    fn enable_mmu(mmu: &MmuConfig);
}

/// Gets the guest ready, and returns its frame, at the top of this CPU's stack. `old` is where a loader had put the image, `old_size` its size in bytes, and
/// `started` when it entered it there, in ticks of CNTPCT_EL0.
#[unsafe(no_mangle)]
extern "C" fn boot_primary(fdt: u64, old: u64, old_size: u64, started: u64) -> *mut Frame {
    HEAP.init_early();
    let tree = tree(fdt);
    let blob = blob::open(tree).unwrap_or_else(|error| stop(format_args!("{error}")));
    if let Ok(console) = board::console(blob) {
        start_console(&console);
    }
    let board = Board::read_with(blob, image::appended(old))
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    let (options, problems) = if board.map.modules.appended {
        Options::parse_shared(&board.bootargs)
    } else {
        Options::parse(&board.bootargs)
    };
    console::set_level(options.log);
    problems.iter().for_each(|problem| log::warn!("{problem}"));
    let layout = Layout::here(board.cpus.len() as u64, tree.len() as u64);
    let mut banks: RegionSet = board.map.memory.iter().copied().collect();
    banks.remove(&layout.whole);
    let tree_region = Region::new(fdt, tree.len() as u64).ok();

    // The more holes memory has, the more tables the map needs.
    // SAFETY: This is the boot CPU on the early map; nothing else uses what lies behind the stacks.
    unsafe {
        early_map::add(&layout.heap, MemoryKind::Data);
        HEAP.add(layout.heap.start() as usize, layout.heap.size() as usize);
    }
    let mmu = map(&board, &layout, &banks, tree_region)
        .unwrap_or_else(|error| stop(format_args!("cannot map the machine: {error}")));
    // SAFETY: The map has all that runs: image, stacks, heap, tree and console.
    unsafe { enable_mmu(&mmu) };
    // SAFETY: The banks are RAM, mapped, and the monitor's memory was taken out of them.
    let ram = unsafe { GuestRam::new(banks) };
    clear(&ram, old, old_size);
    log::info!(
        "Baton {}: {} CPUs, monitor at {}",
        env!("CARGO_PKG_VERSION"),
        board.cpus.len(),
        layout.whole
    );
    log::info!("no SMMU protection: DMA and ITS commands can reach the monitor");
    check_firmware(&board);
    let gic = interrupt_controller::find(&board);
    let start = first_guest::prepare(&board, tree, &ram, layout.whole, &gic, &options)
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    let machine = machine(&board, options, &layout, ram, gic, mmu).install();
    let boot_cpu = machine.cpu_by_mpidr(current_mpidr()).unwrap_or_else(|| {
        stop(format_args!(
            "the boot CPU, MPIDR {:#x}, is not in the device tree",
            current_mpidr()
        ))
    });
    boot_cpu.make_current();
    configure(machine, boot_cpu);
    machine.takeover.rendezvous.expect_boot_cpu(boot_cpu);
    steps::log_unusual(machine);
    for cpu in machine
        .cpus
        .iter()
        .filter(|cpu| !machine.gic.has_cpu(cpu.mpidr))
    {
        log::warn!(
            "cpu {} (MPIDR {:#x}) is in the device tree and not in the machine: no redistributor",
            cpu.index,
            cpu.mpidr
        );
    }
    if board.psci.is_none() {
        // SAFETY: `map` mapped the words, and no guest runs yet.
        unsafe { spin_table::bring_in(&board, machine, boot_cpu) };
    }
    if let Err(error) = machine.generations.begin(0) {
        stop(format_args!("{error}"));
    }
    log::info!(
        "kernel at {}, entering it after {} us",
        start.kernel,
        time::us_from_ticks(time::now() - started)
    );
    drop(board);
    boot_cpu.power.set_on();
    let mut begins = Frame::beginning_at(0, 0);
    run::run(machine, boot_cpu, Next::Enter(start.at), &mut begins);
    let frame = (boot_cpu.stack_top - size_of::<Frame>() as u64) as *mut Frame;
    // SAFETY: The boot CPU has not used its stack yet, and it runs on another one.
    unsafe { frame.write(begins) };
    frame
}

/// Clears the place that the image was loaded to: it is the guest's.
fn clear(ram: &GuestRam, start: u64, size: u64) {
    if let Some(range) = ram.range(start, size) {
        // SAFETY: The range is the guest's, which does not run yet.
        unsafe { range.as_ptr().write_bytes(0, size as usize) };
        cache::clean_to_poc(start as usize, size as usize);
    }
}

/// Stops unless there is a PSCI that can be asked from EL2.
fn check_firmware(board: &Board) {
    match board.psci.as_ref().map(|psci| psci.conduit) {
        Some(Conduit::Smc) => {}
        Some(Conduit::Hvc) => stop(format_args!(
            "PSCI conduit is hvc: another hypervisor owns EL2"
        )),
        // All CPUs have spin tables then.
        None => {
            log::info!(
                "no PSCI firmware: CPUs come from spin tables; the monitor offers PSCI to the guest itself"
            );
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
    board: &Board,
    options: Options,
    layout: &Layout,
    ram: GuestRam,
    gic: Gic,
    mmu: MmuConfig,
) -> Machine {
    let cpus: Box<[Cpu]> = board
        .cpus
        .iter()
        .enumerate()
        .map(|(index, cpu)| {
            let stack_top = layout.stacks + (index as u64 + 1) * (STACK + GUARD);
            Cpu::new(index, cpu.mpidr, mmu, stack_top)
        })
        .collect();
    // Firmware enters CPUs with the MMU off: they read their own entry of this from memory.
    cache::clean_to_poc(cpus.as_ptr() as usize, size_of_val(&*cpus));
    let mut by_mpidr: Vec<u16> = (0..cpus.len() as u16).collect();
    by_mpidr.sort_unstable_by_key(|&index| cpus[usize::from(index)].mpidr);
    let generations = Generations::new(layout.whole, ram.banks(), gic.guarded())
        .unwrap_or_else(|error| stop(format_args!("cannot map the guest's memory: {error}")));
    Machine {
        options,
        monitor: layout.whole,
        ram,
        cpus,
        by_mpidr: by_mpidr.into(),
        gic,
        devices: board.devices,
        suspend_format: firmware::features(FunctionId::CpuSuspend64.into())
            .map(Format::from_features),
        generations,
        takeover: Takeover::new(),
        hooks: Patcher::new(),
    }
}
