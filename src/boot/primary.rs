// SPDX-License-Identifier: Apache-2.0
//! The boot CPU, from the image in its last place to the guest.

use super::bring_up::{self, Ground};
use super::layout::Layout;
use super::stop::stop;
use super::{description, first_guest, image};
use crate::arch::sysreg::current_mpidr;
use crate::arch::{cache, time};
use crate::console;
use crate::memory::guest_ram::GuestRam;
use crate::memory::heap::HEAP;
use crate::takeover::{guest_console, interrupts};
use crate::vcpu::frame::Frame;
use baton_core::memory::region::Region;
use baton_core::options::Options;
use log::LevelFilter;

/// Gets the guest ready, and returns its frame, at the top of this CPU's stack. `old` is where a loader
/// had put the image, `old_size` its size in bytes, and `started` when it entered it there, in ticks of
/// CNTPCT_EL0.
#[unsafe(no_mangle)]
extern "C" fn boot_primary(fdt: u64, old: u64, old_size: u64, started: u64) -> *mut Frame {
    HEAP.init_early();
    console::start(LevelFilter::Info);
    let description = description::read(fdt);
    let mut board = description
        .board(image::appended(old))
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    let (options, problems) = if board.map.modules.appended {
        Options::parse_shared(&board.bootargs)
    } else {
        Options::parse(&board.bootargs)
    };
    console::set_level(options.log);
    if let Some(hertz) = board.hardware.counter_frequency {
        time::set_frequency(hertz);
        log::debug!("the system counter has {hertz} Hz by the device tree");
    }
    problems.iter().for_each(|problem| log::warn!("{problem}"));
    let layout = Layout::here(board.hardware.cpus.len() as u64, description.size(), 0);
    bring_up::name_unusable(&board.hardware.take_unusable(current_mpidr()));
    let tree_region = Region::new(fdt, description.tree().len() as u64).ok();
    let mut memory = description.memory();
    memory.extend(board.map.reserved.iter().copied());
    let addresses = bring_up::addresses(&layout, board.map.memory.clone(), &memory, &board.claimed);

    let mut ground = Ground::take(&board.hardware, &layout, addresses, tree_region);
    ground.log = Some(console::log_memory());
    ground.memory_reserve = description.memory_reserve();
    clear(&ground.ram, old, old_size);
    let start = first_guest::prepare(
        &board,
        &description,
        &ground.ram,
        layout.whole,
        &ground.gic,
        &options,
    )
    .unwrap_or_else(|error| stop(format_args!("{error}")));
    let console = board.hardware.console;
    let uart = console.map(|console| description.uart(console));
    let (machine, boot_cpu) = ground.populate(&board.hardware, &layout, options, uart);
    if board.map.modules.appended {
        // Whoever loaded an image and a kernel as one may be a kernel itself, by kexec.
        interrupts::reset_for_next_kernel(machine, boot_cpu);
    }
    log::info!(
        "kernel at {}, entering it after {} us",
        start.kernel,
        time::us_from_ticks(time::now() - started)
    );
    drop(board);
    guest_console::hand_over(machine, start.at.context, None);
    let frame = bring_up::enter(machine, boot_cpu, start.at);
    bring_up::on_own_stack(boot_cpu, frame)
}

/// Clears the place that the image was loaded to: it is the guest's.
fn clear(ram: &GuestRam, start: u64, size: u64) {
    if let Some(range) = ram.range(start, size) {
        // SAFETY: The range is the guest's, which does not run yet.
        unsafe { range.as_ptr().write_bytes(0, size as usize) };
        cache::clean_to_poc(start as usize, size as usize);
    }
}
