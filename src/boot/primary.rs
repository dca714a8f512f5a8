//! The boot CPU, from the image in its last place to the guest.

use super::relocate::{GUARD, Layout, STACK, start_console, tree};
use super::wrong_level::stop;
use super::{guest, image, spin_table};
use crate::arch::{cache, time};
use crate::console;
use crate::cpu::{self, Cpu};
use crate::devicetree::blob;
use crate::devicetree::board::{self, Board};
use crate::devicetree::gic::{Gic as GicNode, GicV3 as GicV3Node};
use crate::devicetree::psci::Conduit;
use crate::gic::{Gic, bcm2836, v2, v3};
use crate::hooks::Planter;
use crate::machine::Machine;
use crate::memory::early;
use crate::memory::generation::Generations;
use crate::memory::guest_ram::{GuestRam, ZERO_ALIAS};
use crate::memory::heap::HEAP;
use crate::memory::region::{Region, RegionSet};
use crate::memory::stage1::{self, Reach, Regime, Use};
use crate::options::Options;
use crate::psci::firmware;
use crate::psci::power_state::Format;
use crate::teardown::{self, Takeover};
use crate::vcpu;
use aarch64_paging::descriptor::El23Attributes;
use aarch64_paging::idmap::IdTranslation;
use aarch64_paging::paging::El2;
use aarch64_paging::{MapError, Mapping};
use alloc::boxed::Box;
use alloc::vec::Vec;
use arm_psci::FunctionId;
use core::ptr::NonNull;
use core::{mem, slice};

unsafe extern "C" {
    fn enable_mmu(regime: &Regime);
}

/// Starts the guest. `old` is where a loader had put the image, `old_size` its size in bytes, and
/// `started` when it entered it there, in ticks of CNTPCT_EL0.
#[unsafe(no_mangle)]
extern "C" fn boot_primary(fdt: u64, old: u64, old_size: u64, started: u64) -> ! {
    HEAP.init_early();
    let tree = tree(fdt);
    let blob = blob::open(tree).unwrap_or_else(|error| stop(format_args!("{error}")));
    if let Some(console) = board::console(blob) {
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
        early::add(&layout.heap, Use::Data);
        HEAP.add(layout.heap.start() as usize, layout.heap.size() as usize);
    }
    let regime = map(&board, &layout, &banks, tree_region)
        .unwrap_or_else(|error| stop(format_args!("cannot map the machine: {error}")));
    // SAFETY: The map has all that runs: image, stacks, heap, tree and console.
    unsafe { enable_mmu(&regime) };
    // SAFETY: The banks are RAM, mapped, and the monitor's memory was taken out of them.
    let ram = unsafe { GuestRam::new(banks) };
    clear(&ram, old, old_size);
    log::info!(
        "Baton {}: {} CPUs, monitor at {}",
        env!("CARGO_PKG_VERSION"),
        board.cpus.len(),
        layout.whole
    );
    log::info!("devices reach the monitor by DMA, and an ITS by its commands: nothing stops them");
    check_firmware(&board);
    let gic = gic(&board);
    let start = guest::prepare(&board, tree, &ram, layout.whole, &gic, &options)
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    let machine = machine(&board, options, &layout, ram, gic, regime).install();
    let boot_cpu = machine
        .cpu_by_mpidr(cpu::current_mpidr())
        .unwrap_or_else(|| {
            stop(format_args!(
                "CPU {:#x} is not in the tree",
                cpu::current_mpidr()
            ))
        });
    boot_cpu.make_current();
    configure(boot_cpu);
    machine.takeover.rendezvous.expect_boot_cpu(boot_cpu);
    teardown::say_serial_steps(machine);
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
    cpu::enter(boot_cpu, start.at)
}

/// Sets up this CPU's EL2 for the guest, and its EL1 as at reset.
pub fn configure(cpu: &Cpu) {
    let devices = Machine::get().devices;
    for (what, result) in [
        // First: it opens to EL2 what is then reset.
        ("EL2", vcpu::el2::configure(devices)),
        (
            "EL1",
            match cpu.power.is_suspended() {
                true => vcpu::reset::reset_woken_cpu(devices),
                false => vcpu::reset::reset_cpu(devices),
            },
        ),
        ("GIC", Machine::get().gic.welcome(cpu.mpidr)),
    ] {
        if let Err(error) = result {
            log::warn!("cpu {}: {what}: {error}", cpu.index);
        }
    }
}

/// Maps all that the monitor reaches for.
fn map(
    board: &Board,
    layout: &Layout,
    banks: &RegionSet,
    tree: Option<Region>,
) -> Result<Regime, MapError> {
    let devices: Vec<Region> = devices(board).collect();
    let tree = tree.filter(|tree| !banks.contains(tree.start(), tree.size()));
    let low = banks.iter().find(|bank| bank.start() == 0);
    let alias = low.and_then(|bank| Region::new(ZERO_ALIAS, bank.size()).ok());
    let all = banks
        .iter()
        .chain(&devices)
        .chain(&tree)
        .chain(&alias)
        .chain([&layout.whole]);
    let reach = Reach::of(all);
    let tables = IdTranslation::<El23Attributes>::new();
    let mut map = Mapping::new(tables, reach.root_level(), El2);
    if let Some(low) = low {
        stage1::map_at(&mut map, low, Use::Data, ZERO_ALIAS)?;
    }
    let mut add = |region: &Region, what| stage1::map(&mut map, region, what);
    if let Some(tree) = tree {
        add(&tree, Use::Rodata)?;
    }
    for bank in banks.iter() {
        add(bank, Use::Data)?;
    }
    add(&image::text(), Use::Text)?;
    add(&image::rodata(), Use::Rodata)?;
    for part in image::data() {
        add(&part, Use::Data)?;
    }
    for index in 0..board.cpus.len() as u64 {
        let bottom = layout.stacks + index * (STACK + GUARD) + GUARD;
        if let Ok(stack) = Region::new(bottom, STACK) {
            add(&stack, Use::Data)?;
        }
    }
    add(&layout.heap, Use::Data)?;
    for (_, word) in spin_table::words(board) {
        if !banks.contains(word.start(), word.size()) {
            add(&word, Use::Data)?;
        }
    }
    for device in &devices {
        add(device, Use::Device)?;
    }
    let regime = Regime::new(map.root_address(), reach, true);
    // It is in use from here on, by every CPU.
    mem::forget(map);
    Ok(regime)
}

/// The registers that the monitor reaches for.
fn devices(board: &Board) -> impl Iterator<Item = Region> {
    let (first, more): (_, &[Region]) = match &board.gic {
        GicNode::V3(gic) => (gic.distributor, &gic.redistributors),
        GicNode::V2(gic) => (gic.distributor, slice::from_ref(&gic.cpu_interface)),
        GicNode::Bcm2836(local) => (*local, &[]),
    };
    let its = match &board.gic {
        GicNode::V3(gic) => gic.its.as_slice(),
        _ => &[],
    };
    board
        .console
        .iter()
        .map(|console| console.registers)
        .chain([first])
        .chain(more.iter().chain(its).copied())
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
            "PSCI by hvc is somebody's above the monitor: it needs smc"
        )),
        // All CPUs have spin tables then.
        None => {
            log::info!(
                "no PSCI below: CPUs come from spin tables, and the guest's is the monitor's"
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
    regime: Regime,
) -> Machine {
    let cpus: Box<[Cpu]> = board
        .cpus
        .iter()
        .enumerate()
        .map(|(index, cpu)| {
            let stack_top = layout.stacks + (index as u64 + 1) * (STACK + GUARD);
            Cpu::new(index, cpu.mpidr, regime, stack_top)
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
        hooks: Planter::new(),
    }
}

fn gic(board: &Board) -> Gic {
    match &board.gic {
        GicNode::V3(node) => Gic::V3(
            gic_v3(node)
                .unwrap_or_else(|error| stop(format_args!("interrupt controller: {error}"))),
        ),
        GicNode::V2(node) => {
            let [gicd, gicc] = [node.distributor, node.cpu_interface].map(|r| r.start() as usize);
            // SAFETY: `map` mapped them as devices, and only this uses them.
            let gic = unsafe { v2::GicV2::new(gicd, gicc) };
            Gic::V2(gic.unwrap_or_else(|error| stop(format_args!("interrupt controller: {error}"))))
        }
        GicNode::Bcm2836(local) => {
            let base = NonNull::new(local.start() as *mut u8)
                .unwrap_or_else(|| stop(format_args!("no interrupt controller can be at 0")));
            // SAFETY: `map` mapped it as a device, by pages, and only this uses it.
            Gic::Bcm2836(unsafe { bcm2836::Bcm2836::new(base) })
        }
    }
}

fn gic_v3(node: &GicV3Node) -> Result<v3::GicV3, v3::frames::FrameError> {
    let redistributors: Vec<_> = node
        .redistributors
        .iter()
        .map(|region| v3::frames::Region {
            base: region.start() as usize,
            size: region.size() as usize,
        })
        .collect();
    let its: Vec<_> = node
        .its
        .iter()
        .map(|region| region.start() as usize)
        .collect();
    let stride = node.redistributor_stride.map(|stride| stride as usize);
    // SAFETY: `map` mapped them as devices, and only this uses them.
    unsafe {
        v3::GicV3::new(
            node.distributor.start() as usize,
            &redistributors,
            stride,
            &its,
        )
    }
}
