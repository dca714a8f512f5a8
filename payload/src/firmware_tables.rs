// SPDX-License-Identifier: Apache-2.0
//! The machine as ACPI and UEFI's memory map describe it, for a kernel whose device tree has nothing but
//! `/chosen`. They are read as the monitor reads them (`baton-core`).

use crate::call::Conduit;
use crate::image;
use crate::list::List;
use crate::machine::{Gic, Machine, Reserved, keep};
use crate::mmu;
use crate::outcome::{Failure, Outcome, fail};
use crate::pci::Pci;
use crate::tree::bootargs;
use baton_core::acpi::Physical;
use baton_core::description::Description;
use baton_core::devicetree::gic::Gic as Described;
use baton_core::devicetree::psci::Conduit as ByFirmware;
use baton_core::efi::memory_map::MemoryType;
use baton_core::memory::region::Region;
use core::slice;
use dtoolkit::fdt::Fdt;

/// On what the monitor's memory begins and ends; nobody else reserves so much there.
const MONITOR_ALIGN: u64 = 2 << 20;

/// Memory in which firmware's tables are.
struct Memory;

impl Physical for Memory {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        mmu::make_normal(address, length as u64)?;
        // SAFETY: it is mapped, and nobody writes what firmware has left there.
        Some(unsafe { slice::from_raw_parts(address as *const u8, length) })
    }
}

/// Physical address of the console, before [`mmu::init`].
pub fn console(fdt: Fdt<'static>) -> Option<u64> {
    let description = Description::open(fdt.data(), &Memory).ok()?;
    Some(description.console()?.registers.start())
}

/// Reads the machine, before [`mmu::init`].
pub fn read(fdt: Fdt<'static>) -> Outcome<Machine> {
    let failed = |error: &dyn core::fmt::Display| Failure::new(format_args!("{error}"));
    let description = Description::open(fdt.data(), &Memory).map_err(|error| failed(&error))?;
    // The kernel that is there is this one.
    let (start, end) = image::image();
    let board = description
        .board(Region::from_bounds(start, end).ok())
        .map_err(|error| failed(&error))?;
    let range = |region: &Region| (region.start(), region.size());

    let mut cpus = List::new();
    for cpu in &board.hardware.cpus {
        keep(&mut cpus, cpu.mpidr, "CPUs")?;
    }
    let mut ram = List::new();
    for region in &board.map.memory {
        keep(&mut ram, range(region), "regions of RAM")?;
    }
    let mut reserved = List::new();
    let mut reserve = |region: &Region, no_map| {
        let range = range(region);
        keep(
            &mut reserved,
            Reserved { range, no_map },
            "reserved regions",
        )
    };
    for region in &board.map.reserved {
        reserve(region, false)?;
    }
    let descriptors = description
        .map()
        .into_iter()
        .flat_map(|map| map.descriptors());
    for descriptor in descriptors.filter(|other| other.kind == MemoryType::RESERVED) {
        if let Some(region) = descriptor.region().filter(|r| r.is_aligned(MONITOR_ALIGN)) {
            reserve(&region, true)?;
        }
    }

    let Some(psci) = board.hardware.psci else {
        fail!("expected PSCI in the FADT, seen none")
    };
    let Some(console) = board.hardware.console else {
        fail!("expected a UART in SPCR or DBG2, seen none")
    };
    let segment = board.hardware.dma.segments.first();
    Ok(Machine {
        log: None,
        fdt: fdt.data(),
        cpus,
        ram,
        reserved,
        uart: console.registers.start(),
        psci: match psci.conduit {
            ByFirmware::Smc => Conduit::Smc,
            ByFirmware::Hvc => Conduit::Hvc,
        },
        gic: gic(&board.hardware.gic)?,
        pci: segment.map(|ecam| Pci {
            ecam: ecam.region.start(),
            window: (0, 0),
        }),
        smmu: board.hardware.dma.smmus.first().map(Region::start),
        bootargs: bootargs(fdt),
    })
}

fn gic(described: &Described) -> Outcome<Option<Gic>> {
    let mut redistributors = List::new();
    Ok(match described {
        Described::V3(gic) => {
            for region in &gic.redistributors {
                let range = (region.start(), region.size());
                keep(&mut redistributors, range, "redistributor regions")?;
            }
            Some(Gic {
                distributor: gic.distributor.start(),
                cpu_interface: None,
                redistributors,
                its: gic.its.first().map(Region::start),
            })
        }
        Described::V2(gic) => Some(Gic {
            distributor: gic.distributor.start(),
            cpu_interface: Some(gic.cpu_interface.start()),
            redistributors,
            its: None,
        }),
        Described::Bcm2836(_) => None,
    })
}
