// SPDX-License-Identifier: Apache-2.0
//! The image in its last place, after ExitBootServices: EL2 becomes the monitor's, and who called goes on
//! at EL1, as if the call had returned.

use super::handover::{Caller, Handover};
use crate::arch::sysreg::current_mpidr;
use crate::arch::{barrier, time};
use crate::boot::bring_up::{self, Ground};
use crate::boot::layout::Layout;
use crate::boot::loader_tree::start_console;
use crate::boot::stop::stop;
use crate::console;
use crate::machine::report_table::ReportTable;
use crate::memory::guest_ram::GuestRam;
use crate::memory::heap::HEAP;
use crate::vcpu::frame::Frame;
use crate::vcpu::reset::SCTLR_EL1_RESET;
use baton_abi::acpi;
use baton_core::efi::memory_map::{MemoryMap, VERSION};
use baton_core::efi::tables::{self, TableMemory};
use baton_core::memory::guest_memory::GuestMemory;
use baton_core::options::Options;
use baton_core::smp::power::Start;
use baton_sysreg::write_sysreg;
use log::LevelFilter;

unsafe extern "C" {
    /// `entry.S`.
    fn load_d8_to_d15(registers: &[u64; 8]);
}

/// `CPACR_EL1.FPEN`: floating point is not trapped.
const FP_OPEN: u64 = 3 << 20;
/// `SPSR_ELx`: EL1 with its own stack pointer.
const EL1H: u64 = 0b0101;

/// Called by `entry.S` on the early map, which has the handover.
#[unsafe(no_mangle)]
extern "C" fn boot_from_firmware(handover: &Handover) -> *mut Frame {
    HEAP.init_early();
    console::start(LevelFilter::Info);
    // SAFETY: The early map has them, and later the one that stays; nobody writes them.
    let (tables, map, options) = unsafe {
        (
            handover.tables(),
            handover.memory_map.get(),
            handover.options.get(),
        )
    };
    let (hardware, unusable) = tables
        .hardware(current_mpidr())
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    if let Some(console) = &hardware.console {
        start_console(console);
    }
    let (options, problems) = Options::parse(core::str::from_utf8(options).unwrap_or(""));
    console::set_level(options.log);
    problems.iter().for_each(|problem| log::warn!("{problem}"));
    bring_up::name_unusable(&unusable);
    let layout = Layout::here(hardware.cpus.len() as u64, 0, handover.size);
    let map = MemoryMap::new(map, handover.descriptor_size as usize, VERSION)
        .unwrap_or_else(|error| stop(format_args!("memory map: {error}")));
    let mut memory = map.memory();
    memory.extend(tables.in_place().iter().copied());
    let addresses = bring_up::addresses(&layout, map.ram(), &memory, &tables.claimed());
    let mut ground = Ground::take(&hardware, &layout, addresses, layout.given);
    ground.report = report_table(&ground.ram, handover.report, hardware.cpus.len());
    ground.memory_reserve = Some(handover.memory_reserve).filter(|list| *list != 0);
    let uart = hardware.console.map(|console| tables.uart(console));
    let (machine, boot_cpu) = ground.populate(&hardware, &layout, options, uart);
    let caller = &handover.caller;
    let start = Start {
        entry: caller.saved.x[11],
        context: 0,
    };
    let walked = tables::convert(&caller.regime, &mut Changed(&machine.ram))
        .unwrap_or_else(|error| stop(format_args!("{error}")));
    log::debug!(
        "{} tables of firmware, {} descriptors changed for EL1; ExitBootServices refused {} times",
        walked.tables,
        walked.changed,
        handover.refusals
    );
    log::info!(
        "EL2 taken at ExitBootServices; its caller goes on at EL1, after {} us in all",
        time::us_from_ticks(handover.spent + time::now() - handover.ended)
    );
    let mut frame = bring_up::enter(machine, boot_cpu, start);
    resume(caller, &mut frame);
    bring_up::on_own_stack(boot_cpu, frame)
}

/// The guest's memory, in which firmware's tables are.
struct Changed<'a>(&'a GuestRam);

impl TableMemory for Changed<'_> {
    fn read(&self, address: u64) -> Option<u64> {
        self.0.read_u64(address)
    }

    fn write(&mut self, address: u64, descriptor: u64) -> bool {
        self.0
            .range(address, 8)
            .is_some_and(|place| place.write(&descriptor.to_le_bytes()))
    }
}

/// Returns the ACPI table at `address` that has the report, if there is one that can be written.
fn report_table(ram: &GuestRam, address: u64, cpus: usize) -> Option<ReportTable> {
    if address == 0 {
        return None;
    }
    let table = ram.range(address, acpi::size(cpus) as u64);
    if table.is_none() {
        log::warn!("ACPI table at {address:#x}: not in the guest's memory; it will have no report");
    }
    table.map(ReportTable::new)
}

/// Has `frame`, and this CPU's EL1, go on as `caller`, whose call returns success.
fn resume(caller: &Caller, frame: &mut Frame) {
    let regime = caller.regime.at_el1(SCTLR_EL1_RESET);
    frame.x[19..].copy_from_slice(&caller.saved.x);
    frame.spsr = EL1H | caller.daif & 0x3c0;
    // SAFETY: They govern EL1 and EL0 alone; the tables are those that the caller ran on.
    unsafe {
        write_sysreg!(MAIR_EL1, regime.mair);
        write_sysreg!(TCR_EL1, regime.tcr);
        write_sysreg!(TTBR0_EL1, regime.ttbr0);
        // Before memory is accessed again (`Workaround::SyncedTables`).
        barrier::isb();
        write_sysreg!(VBAR_EL1, regime.vbar);
        write_sysreg!(CPACR_EL1, FP_OPEN);
        write_sysreg!(SP_EL1, caller.sp);
        // No walk, ahead of the guest's instructions too, has some of these and not the others.
        barrier::isb();
        write_sysreg!(SCTLR_EL1, regime.sctlr);
        load_d8_to_d15(&caller.saved.d);
    }
    barrier::isb();
}
