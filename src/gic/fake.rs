// SPDX-License-Identifier: Apache-2.0
//! Interrupt controllers that are not there: memory with the effects that the GIC's specification
//! gives its registers (Arm IHI 0069H.b, 12.9, 12.11 and 12.19; IHI 0048B, 4.3 and 4.4).

use super::v2::GicV2;
use super::v3::{GicV3, frames::Region};
use crate::arch::fake::mmio::{self, Memory};
use alloc::vec::Vec;

/// RD_base and SGI_base.
pub const TWO_PAGES: usize = 0x2_0000;
/// Offset of SGI_base.
pub const SGI_BASE: usize = 0x1_0000;
/// Offset of VLPI_base.
pub const VLPI_BASE: usize = 0x2_0000;

/// `GICD_TYPER` of a distributor with 64 SPIs (ITLinesNumber), 32 extended SPIs (ESPI), NMIs, and
/// 16 bits of an interrupt's number (IDbits).
const GICD_TYPER: u32 = 2 | 1 << 8 | 1 << 9 | 15 << 19;
/// `GICD_CTLR.DS`: one security state.
const ONE_STATE: u32 = 1 << 6;

/// `GICR_TYPER.PLPIS`: physical LPIs.
pub const PLPIS: u64 = 1 << 0;
/// `GICR_TYPER.VLPIS`: virtual LPIs, and VLPI_base for them.
pub const VLPIS: u64 = 1 << 1;
/// `GICR_TYPER.RVPEID`: GICv4.1.
pub const RVPEID: u64 = 1 << 7;
/// `GICR_TYPER.Last`.
const LAST: u64 = 1 << 4;
/// `GICR_IIDR` of a GIC-600.
pub const GIC_600: u32 = 0x0200_043b;
/// `GICR_CTLR.CES`: LPIs can be switched off again.
pub const CES: u32 = 1 << 1;

/// `GITS_CTLR.Quiescent`.
const QUIESCENT: u32 = 1 << 31;

/// Returns a distributor.
pub fn gicd() -> Memory {
    let memory = Memory::new(0x1_0000);
    let base = memory.base();
    mmio::poke(base, ONE_STATE);
    mmio::poke(base + 0x4, GICD_TYPER);
    mmio::poke(base + 0xffe8, 0x3b);
    // ISENABLER and ICENABLER, ISPENDR and ICPENDR, ISACTIVER and ICACTIVER; of extended SPIs too.
    for (set, clear) in [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)] {
        mmio::set_and_clear(base + set, base + clear, 0x80);
    }
    for (set, clear) in [(0x1200, 0x1400), (0x1600, 0x1800), (0x1a00, 0x1c00)] {
        mmio::set_and_clear(base + set, base + clear, 0x80);
    }
    memory
}

/// Makes what is at `base`, of four pages if `typer` has VLPIS, the redistributor of the CPU with
/// the affinity `affinity` (Aff3 to Aff0, a byte each).
pub fn redistributor(base: usize, affinity: u32, typer: u64) {
    mmio::poke(base, CES);
    mmio::poke64(base + 0x8, u64::from(affinity) << 32 | typer);
    mmio::poke(base + 0xffe8, 0x3b);
    let sgi = base + SGI_BASE;
    for (set, clear) in [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)] {
        mmio::set_and_clear(sgi + set, sgi + clear, 12);
    }
    // EnableLPIs and DPG1S, DPG1NS, DPG0 are writable, the rest is read-only.
    const WRITABLE: u32 = 7 << 24 | 1;
    mmio::on_write(base..base + 4, |address, value| {
        (mmio::peek(address) & !WRITABLE | value as u32 & WRITABLE).into()
    });
}

/// Makes the redistributor at `base` a GIC-600's that is off, in a group that is.
pub fn gate(base: usize) {
    mmio::poke(base + 0x4, GIC_600);
    let pwrr = base + 0x24;
    // RDGPO, RDGPD, RDPD. The CPU's own write brings the group up.
    mmio::poke(pwrr, 3 << 2 | 1);
    mmio::on_write(pwrr..pwrr + 4, |_, value| match value & 1 {
        0 => 0,
        _ => 3 << 2 | 1,
    });
}

/// Returns an ITS, which is enabled, and quiescent as soon as it is disabled.
pub fn its() -> Memory {
    let memory = Memory::new(0x2_0000);
    let base = memory.base();
    mmio::poke(base, 1);
    mmio::poke(base + 0xffe8, 0x3b);
    mmio::on_write(base..base + 4, |_, value| match value & 1 {
        0 => value | u64::from(QUIESCENT),
        _ => value & !u64::from(QUIESCENT),
    });
    // CREADR is cleared by a write to CBASER; of BASER<n>, Type and Entry_Size are read-only.
    mmio::on_write(base + 0x80..base + 0x88, move |_, value| {
        mmio::poke64(base + 0x90, 0);
        value
    });
    const READ_ONLY: u64 = 7 << 56 | 0x1f << 48;
    mmio::on_write(base + 0x100..base + 0x140, |address, value| {
        mmio::peek64(address) & READ_ONLY | value & !READ_ONLY
    });
    memory
}

/// The parts of a GICv3 in memory: a distributor, redistributors one after another, an ITS.
pub struct V3 {
    /// The distributor.
    pub gicd: Memory,
    /// The redistributors.
    pub gicr: Memory,
    /// The ITS.
    pub its: Memory,
    /// How many bytes each redistributor has.
    pub stride: usize,
    /// The CPUs' affinities.
    affinities: Vec<u32>,
}

impl V3 {
    /// Returns one for CPUs with `affinities`, whose redistributors have `typer`.
    pub fn new(affinities: &[u32], typer: u64) -> Self {
        mmio::reset();
        let stride = if typer & VLPIS == 0 {
            TWO_PAGES
        } else {
            2 * TWO_PAGES
        };
        let fake = Self {
            gicd: gicd(),
            gicr: Memory::new(stride * affinities.len()),
            its: its(),
            stride,
            affinities: affinities.to_vec(),
        };
        for (number, &affinity) in affinities.iter().enumerate() {
            let last = if number + 1 == affinities.len() {
                LAST
            } else {
                0
            };
            redistributor(fake.frame(number), affinity, typer | last);
        }
        fake
    }

    /// Returns RD_base of the redistributor `number`.
    pub fn frame(&self, number: usize) -> usize {
        self.gicr.base() + number * self.stride
    }

    /// Returns the monitor's own view of it.
    pub fn gic(&self) -> GicV3 {
        let region = Region {
            base: self.gicr.base(),
            size: self.stride * self.affinities.len(),
        };
        // SAFETY: It is memory, and each test has one such view of it.
        unsafe { GicV3::new(self.gicd.base(), &[region], None, &[self.its.base()]) }
            .expect("a GICv3 as the specification has it")
    }
}

/// The parts of a GICv2 in memory, as one CPU sees them.
pub struct V2 {
    /// The distributor.
    pub gicd: Memory,
    /// The CPU interface.
    pub gicc: Memory,
}

impl V2 {
    /// Returns one with 64 SPIs, whose CPU has the interface `interface`.
    pub fn new(interface: u8) -> Self {
        mmio::reset();
        let (gicd, gicc) = (Memory::new(0x1000), Memory::new(0x1000));
        let base = gicd.base();
        // GICD_TYPER.ITLinesNumber, GICD_PIDR2.ArchRev.
        mmio::poke(base + 0x4, 2);
        mmio::poke(base + 0xfe8, 0x2b);
        for (set, clear) in [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)] {
            mmio::set_and_clear(base + set, base + clear, 0x80);
        }
        mmio::set_and_clear(base + 0xf20, base + 0xf10, 16);
        // GICD_ITARGETSR0 to 7 are read-only, and have the CPU itself.
        for target in (0x800..0x820).step_by(4) {
            let cpu = 1 << interface;
            mmio::poke(base + target, u32::from_le_bytes([cpu; 4]));
        }
        // GICC_RPR, when nothing is being handled.
        mmio::poke(gicc.base() + 0x14, 0xff);
        Self { gicd, gicc }
    }

    /// Returns the monitor's own view of it.
    pub fn gic(&self) -> GicV2 {
        // SAFETY: It is memory, and each test has one such view of it.
        unsafe { GicV2::new(self.gicd.base(), self.gicc.base()) }
            .expect("a GICv2 as the specification has it")
    }
}
