// SPDX-License-Identifier: Apache-2.0
//! What the image that firmware loaded hands to its copy in memory that stays: read there when the boot
//! services are over.

use baton_core::acpi::Tables;
use baton_core::devicetree::cpus::Devices;
use baton_core::efi::regime::El2Regime;
use baton_core::firmware_tables::FirmwareTables;
use baton_core::memory::region::Region;
use core::slice;

/// Bytes that lie behind the [`Handover`].
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Bytes {
    start: u64,
    size: u64,
}

/// The callee-saved registers and the stack of who called ExitBootServices, as `entry.S` saves them
/// (AAPCS64, 6.1).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Saved {
    /// x19 to x30.
    pub x: [u64; 12],
    /// d8 to d15.
    pub d: [u64; 8],
}

/// Who called ExitBootServices, and goes on at EL1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Caller {
    /// Its registers.
    pub saved: Saved,
    /// Its stack pointer.
    pub sp: u64,
    /// Its `DAIF`.
    pub daif: u64,
    /// What its memory is to it.
    pub regime: El2Regime,
}

/// At the end of the monitor's memory, followed by what its [`Bytes`] are.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Handover {
    /// The monitor's memory: where it starts, and its size in bytes.
    pub monitor: [u64; 2],
    /// Size in bytes of this, with all behind it.
    pub size: u64,
    /// How long the monitor has kept the machine so far, in ticks of CNTPCT_EL0.
    pub spent: u64,
    /// When firmware had ended them, in ticks.
    pub ended: u64,
    /// How often firmware refused to end them.
    pub refusals: u64,
    /// It was said that the machine goes on without the monitor.
    pub given_up: bool,
    /// The caller, since it called.
    pub caller: Caller,
    /// The device tree that describes the machine; empty if ACPI does.
    pub tree: Bytes,
    /// ACPI's MADT.
    pub madt: Bytes,
    /// ACPI's FADT.
    pub fadt: Bytes,
    /// ACPI's SPCR; empty if there is none.
    pub spcr: Bytes,
    /// ACPI's DBG2; empty if there is none.
    pub dbg2: Bytes,
    /// ACPI's SRAT; empty if there is none.
    pub srat: Bytes,
    /// ACPI's MCFG; empty if there is none.
    pub mcfg: Bytes,
    /// ACPI's IORT; empty if there is none.
    pub iort: Bytes,
    /// What ACPI's DSDT and SSDTs name of the CPUs' devices.
    pub devices: Devices,
    /// The monitor's options.
    pub options: Bytes,
    /// The memory map, since the caller called; before that, the room for it.
    pub memory_map: Bytes,
    /// Size in bytes of a descriptor in it.
    pub descriptor_size: u64,
    /// Physical address of the ACPI table that has the report; 0 if there is none.
    pub report: u64,
    /// Physical address of the list of what Linux reserves for all kernels, since the caller called; 0 if
    /// there is none.
    pub memory_reserve: u64,
}

impl Handover {
    /// Returns what describes the machine.
    ///
    /// # Safety
    ///
    /// As [`Bytes::get`], for all of it.
    pub unsafe fn tables<'a>(&self) -> FirmwareTables<'a> {
        // SAFETY: The caller's promise.
        let [tree, madt, fadt, spcr, dbg2, srat, mcfg, iort] = [
            self.tree, self.madt, self.fadt, self.spcr, self.dbg2, self.srat, self.mcfg, self.iort,
        ]
        .map(|bytes| unsafe { bytes.get() });
        let optional = |table: &'a [u8]| Some(table).filter(|table| !table.is_empty());
        FirmwareTables::of_tree(tree).unwrap_or(FirmwareTables::Acpi(Tables {
            madt,
            fadt,
            spcr: optional(spcr),
            dbg2: optional(dbg2),
            srat: optional(srat),
            mcfg: optional(mcfg),
            iort: optional(iort),
            devices: self.devices,
        }))
    }
}

impl Bytes {
    /// Returns the `size` bytes from physical address `start` on.
    pub fn new(start: u64, size: u64) -> Self {
        Self { start, size }
    }

    /// Returns where they are, if there are any.
    pub fn region(&self) -> Option<Region> {
        Region::new(self.start, self.size).ok()
    }

    /// Returns them.
    ///
    /// # Safety
    ///
    /// They are mapped, and nobody writes them as long as the slice lives.
    pub unsafe fn get<'a>(&self) -> &'a [u8] {
        match self.size {
            0 => &[],
            // SAFETY: The caller's promise.
            size => unsafe { slice::from_raw_parts(self.start as *const u8, size as usize) },
        }
    }
}
