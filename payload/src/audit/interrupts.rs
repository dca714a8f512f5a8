// SPDX-License-Identifier: Apache-2.0
//! The interrupt controller: what is left in it, and what is found (Arm IHI 0069; of a GICv2, see
//! `interrupts_v2`).

use super::isb;
use super::sheet::{Index, Page};
use crate::cpu::{AFFINITY_MASK, Cpu};
use crate::gic::v2;
use crate::mmio::{read32, read64, write32, write64};
use crate::outcome::{Outcome, ensure};
use crate::time;
use crate::tree::Gic;
use baton_sysreg::{read_sysreg, write_sysreg};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

const FRAME: u64 = 0x1_0000;

/// Registers of the distributor (IHI 0069, 12.9).
mod gicd {
    pub const CTLR: u64 = 0x0000;
    pub const TYPER: u64 = 0x0004;
    pub const IROUTER: u64 = 0x6000;
    /// First of the extended SPIs.
    pub const IROUTER_E: u64 = 0x8000;
    /// GICD_CTLR.DS: there is one security state.
    pub const DS: u32 = 1 << 6;
    pub const RWP: u32 = 1 << 31;
}

/// Registers of a redistributor (IHI 0069, 12.11).
mod gicr {
    pub const CTLR: u64 = 0x0000;
    pub const TYPER: u64 = 0x0008;
    pub const WAKER: u64 = 0x0014;
    pub const PROPBASER: u64 = 0x0070;
    pub const PENDBASER: u64 = 0x0078;
    pub const VPENDBASER: u64 = 0x2_0078;
    pub const ENABLE_LPIS: u32 = 1;
    /// DPG0, DPG1NS, DPG1S.
    pub const DPG: u32 = 7 << 24;
}

/// Arrays of the distributor, and of a redistributor's SGI_base, at the same offsets.
pub mod array {
    pub const IGROUPR: u64 = 0x0080;
    pub const ISENABLER: u64 = 0x0100;
    pub const ISPENDR: u64 = 0x0200;
    pub const ICPENDR: u64 = 0x0280;
    pub const ISACTIVER: u64 = 0x0300;
    pub const IPRIORITYR: u64 = 0x0400;
    pub const ICFGR: u64 = 0x0c00;
}

/// Private interrupts of devices (BSA, 3.8.1): their lines are theirs to lower.
pub const TIMER_LINES: u32 = 1 << 27 | 1 << 30;
pub const PMU_LINE: u32 = 1 << 23;
/// All of them.
pub const DEVICE_LINES: u32 = TIMER_LINES | PMU_LINE;
/// The first interrupts of a CPU.
pub const SGIS: u32 = 0xffff;

/// The SGI that each CPU takes and never ends, one that is left pending, and one that is disabled.
const TAKEN: u32 = 5;
const PENDING: u32 = 6;
const DISABLED: u32 = 7;
/// Priorities: of LPIs, SGIs and PPIs, SPIs; each preempts the one before.
pub const LPI_PRIORITY: u8 = 0xa0;
const PRIVATE_PRIORITY: u32 = 0x40;
const SPI_PRIORITY: u32 = 0x20;

/// Group 0 is EL1's too: there is one security state. Elsewhere it is EL3's, and may trap there.
static GROUP0: AtomicBool = AtomicBool::new(false);

pub fn bytes(priority: u32) -> u32 {
    priority * 0x0101_0101
}

/// Adds what is in the CPU interface of the CPU that runs this (IHI 0069, 12.2).
pub fn audit_cpu_interface(page: &mut Page, place: usize) {
    if let Some(gic) = v2::get() {
        return gic.audit_own(page, place);
    }
    // SAFETY: the registers are there with a GICv3, as ID_AA64PFR0_EL1 says; interrupts are masked
    // by DAIF.
    unsafe {
        if read_sysreg!(ID_AA64PFR0_EL1) >> 24 & 0xf == 0 {
            return;
        }
        write_sysreg!(ICC_SRE_EL1, 7);
        isb();
        let mut add = |name, expected, mask, found| {
            page.add(
                ("cpu-interface", name, Index::None),
                place,
                expected,
                mask,
                found,
            );
        };
        let ctlr = read_sysreg!(ICC_CTLR_EL1);
        let priority_bits = (ctlr >> 8 & 7) + 1;
        add("ICC_IGRPEN1_EL1", 0, 1, read_sysreg!(ICC_IGRPEN1_EL1));
        add("ICC_PMR_EL1", 0, 0xff, read_sysreg!(ICC_PMR_EL1));
        // CBPR, EOImode.
        add("ICC_CTLR_EL1", 0, 3, ctlr);
        // Idle (IHI 0069, 4.8.6).
        add("ICC_RPR_EL1", 0xff, 0xff, read_sysreg!(ICC_RPR_EL1));
        let all = 0xffff_ffff;
        add("ICC_AP1R0_EL1", 0, all, read_sysreg!(ICC_AP1R0_EL1));
        if priority_bits >= 6 {
            add("ICC_AP1R1_EL1", 0, all, read_sysreg!(ICC_AP1R1_EL1));
        }
        if priority_bits >= 7 {
            add("ICC_AP1R2_EL1", 0, all, read_sysreg!(ICC_AP1R2_EL1));
            add("ICC_AP1R3_EL1", 0, all, read_sysreg!(ICC_AP1R3_EL1));
        }
        // A reset gives a binary point the lowest value that there is, and so does writing zero.
        let binary_point = read_sysreg!(ICC_BPR1_EL1);
        write_sysreg!(ICC_BPR1_EL1, 0);
        isb();
        let lowest = read_sysreg!(ICC_BPR1_EL1);
        write_sysreg!(ICC_BPR1_EL1, binary_point);
        add("ICC_BPR1_EL1", lowest, 7, binary_point);
        if GROUP0.load(Relaxed) {
            add("ICC_IGRPEN0_EL1", 0, 1, read_sysreg!(ICC_IGRPEN0_EL1));
            add("ICC_AP0R0_EL1", 0, all, read_sysreg!(ICC_AP0R0_EL1));
            let binary_point = read_sysreg!(ICC_BPR0_EL1);
            write_sysreg!(ICC_BPR0_EL1, 0);
            isb();
            let lowest = read_sysreg!(ICC_BPR0_EL1);
            write_sysreg!(ICC_BPR0_EL1, binary_point);
            add("ICC_BPR0_EL1", lowest, 7, binary_point);
        }
    }
}

/// The interrupt controller by memory.
pub struct Controller {
    gicd: u64,
}

impl Controller {
    /// Takes the one of the device tree.
    pub fn new(gic: &Gic) -> Self {
        let ctlr = read32(gic.distributor + gicd::CTLR);
        GROUP0.store(ctlr & gicd::DS != 0, Relaxed);
        Self {
            gicd: gic.distributor,
        }
    }

    /// Numbers of 32 SPIs, and of extended SPIs: GICD_TYPER.ITLinesNumber, ESPI, ESPI_range.
    fn words(&self) -> (u64, u64) {
        let typer = read32(self.gicd + gicd::TYPER);
        let extended = if typer >> 8 & 1 != 0 {
            u64::from(typer >> 27) + 1
        } else {
            0
        };
        (u64::from(typer & 0x1f), extended)
    }

    /// SPIs that there are: numbers from 1020 on mean something else.
    fn spis(&self) -> core::ops::Range<u64> {
        32..(32 * (self.words().0 + 1)).min(1020)
    }

    fn wait(&self) -> Outcome {
        let quiet = time::wait_until(1000, || read32(self.gicd + gicd::CTLR) & gicd::RWP == 0);
        ensure!(quiet, "GICD_CTLR.RWP: expected 0 within 1000 ms, seen 1");
        Ok(())
    }

    /// Adds what is in the distributor. `boot`: the affinity fields of the CPU that stayed.
    pub fn audit_distributor(&self, page: &mut Page, place: usize, boot: u64) {
        if let Some(gic) = v2::get() {
            return gic.audit_distributor(page, place);
        }
        let (words, extended) = self.words();
        let mut add = |name, expected, mask, found| {
            page.add(
                ("distributor", name, Index::None),
                place,
                expected,
                mask,
                found,
            );
        };
        // Both groups off.
        let ctlr = read32(self.gicd + gicd::CTLR);
        add("GICD_CTLR", 0, 3, ctlr.into());
        let any = |offset: u64, count: u64| {
            (0..count).fold(0, |all, n| all | read32(self.gicd + offset + 4 * n))
        };
        // What a device signals stays pending, and is not the old kernel's.
        let pending = |set: u64, clear: u64, count: u64| {
            (0..count).fold(0, |all, n| {
                let found = read32(self.gicd + set + 4 * n);
                write32(self.gicd + clear + 4 * n, found);
                let left = found & !read32(self.gicd + set + 4 * n);
                write32(self.gicd + set + 4 * n, left);
                all | left
            })
        };
        // After a reset: disabled, inactive, not pending, group 0, highest priority, level.
        for (name, found) in [
            ("GICD_IGROUPR<n>", any(array::IGROUPR + 4, words)),
            ("GICD_ISENABLER<n>", any(array::ISENABLER + 4, words)),
            (
                "GICD_ISPENDR<n>",
                pending(array::ISPENDR + 4, array::ICPENDR + 4, words),
            ),
            ("GICD_ISACTIVER<n>", any(array::ISACTIVER + 4, words)),
            ("GICD_IPRIORITYR<n>", any(array::IPRIORITYR + 32, 8 * words)),
            ("GICD_ICFGR<n>", any(array::ICFGR + 8, 2 * words)),
        ] {
            add(name, 0, !0, found.into());
        }
        add(
            "GICD_IROUTER<n>",
            boot,
            !0,
            self.route_but(gicd::IROUTER, self.spis(), boot),
        );
        if extended == 0 {
            return;
        }
        for (name, found) in [
            ("GICD_IGROUPR<n>E", any(0x1000, extended)),
            ("GICD_ISENABLER<n>E", any(0x1200, extended)),
            ("GICD_ISPENDR<n>E", pending(0x1600, 0x1800, extended)),
            ("GICD_ISACTIVER<n>E", any(0x1a00, extended)),
            ("GICD_IPRIORITYR<n>E", any(0x2000, 8 * extended)),
            ("GICD_ICFGR<n>E", any(0x3000, 2 * extended)),
        ] {
            add(name, 0, !0, found.into());
        }
        let route = self.route_but(gicd::IROUTER_E, 0..32 * extended, boot);
        add("GICD_IROUTER<n>E", boot, !0, route);
    }

    /// The first route that does not lead to the CPU `boot`, else that one.
    fn route_but(&self, offset: u64, mut range: core::ops::Range<u64>, boot: u64) -> u64 {
        let route = |n: u64| read64(self.gicd + offset + 8 * n);
        range.find(|&n| route(n) != boot).map_or(boot, route)
    }

    /// The first SPI that is routed to a CPU.
    pub fn routed_to(&self, cpu: &Cpu) -> Option<u64> {
        if let Some(gic) = v2::get() {
            return gic.routed_to(cpu, self.spis());
        }
        self.spis()
            .find(|&n| read64(self.gicd + gicd::IROUTER + 8 * n) == cpu.mpidr())
    }

    /// Routes the SPIs to all CPUs in turn.
    pub fn spread_routes(&self, cpus: &[Cpu]) {
        for (n, cpu) in self.spis().zip(cpus.iter().cycle()) {
            match v2::get() {
                Some(gic) => gic.route(n, cpu),
                None => write64(self.gicd + gicd::IROUTER + 8 * n, cpu.mpidr()),
            }
        }
    }

    /// Leaves SPIs in every state: enabled, pending, of group 1, edge-triggered, routed to all CPUs.
    pub fn dirty_distributor(&self, cpus: &[Cpu]) -> Outcome {
        self.spread_routes(cpus);
        if let Some(gic) = v2::get() {
            gic.dirty_distributor(SPI_PRIORITY);
            return Ok(());
        }
        let (words, extended) = self.words();
        write32(self.gicd + gicd::CTLR, read32(self.gicd + gicd::CTLR) | 3);
        let fill = |offset: u64, count: u64, value| {
            (0..count).for_each(|n| write32(self.gicd + offset + 4 * n, value));
        };
        fill(array::IGROUPR + 4, words, !0);
        fill(array::IPRIORITYR + 32, 8 * words, bytes(SPI_PRIORITY));
        fill(array::ICFGR + 8, 2 * words, 0xaaaa_aaaa);
        fill(array::ISENABLER + 4, words, 0x5555_5555);
        fill(array::ISPENDR + 4, words, !0);
        fill(array::ISACTIVER + 4, words, 0x3333_3333);
        fill(0x1000, extended, !0);
        fill(0x2000, 8 * extended, bytes(SPI_PRIORITY));
        fill(0x3000, 2 * extended, 0xaaaa_aaaa);
        fill(0x1200, extended, 0x5555_5555);
        fill(0x1600, extended, !0);
        fill(0x1a00, extended, 0x3333_3333);
        for (n, cpu) in (0..32 * extended).zip(cpus.iter().cycle()) {
            write64(self.gicd + gicd::IROUTER_E + 8 * n, cpu.mpidr());
        }
        self.wait()
    }

    /// The SPI that a CPU takes and never ends.
    pub fn own_spi(&self, cpu: &Cpu) -> u64 {
        let spis = self.spis();
        spis.start + cpu.place() as u64 % (spis.end - spis.start).max(1)
    }

    /// Lets every SPI through to the CPUs that they are routed to.
    pub fn open(&self) {
        if let Some(gic) = v2::get() {
            return gic.open();
        }
        for n in 0..self.words().0 {
            write32(self.gicd + array::IGROUPR + 4 + 4 * n, !0);
            write32(self.gicd + array::ISENABLER + 4 + 4 * n, !0);
        }
    }

    /// Makes a CPU's own SPI pending for it alone.
    pub fn send_spi(&self, cpu: &Cpu) {
        let n = self.own_spi(cpu);
        let (word, bit) = (4 * (n / 32), 1 << (n % 32));
        let at = self.gicd + array::IPRIORITYR + (n & !3);
        write32(at, bytes(SPI_PRIORITY));
        if let Some(gic) = v2::get() {
            gic.route(n, cpu);
        } else {
            let group = self.gicd + array::IGROUPR + word;
            write32(group, read32(group) | bit);
            write64(self.gicd + gicd::IROUTER + 8 * n, cpu.mpidr());
        }
        write32(self.gicd + array::ISENABLER + word, bit);
        write32(self.gicd + array::ISPENDR + word, bit);
    }
}

/// Adds what is in a CPU's redistributor.
pub fn audit_redistributor(page: &mut Page, cpu: &Cpu) {
    let base = cpu.redistributor.load(Relaxed);
    let sgi = base + FRAME;
    let place = cpu.place();
    let typer = read64(base + gicr::TYPER);
    let mut add = |step, name, expected, mask, found: u64| {
        page.add((step, name, Index::None), place, expected, mask, found);
    };
    const OWNER: &str = "redistributor";
    let ctlr = read32(base + gicr::CTLR);
    add(
        "lpis",
        "GICR_CTLR",
        0,
        (gicr::ENABLE_LPIS | gicr::DPG).into(),
        ctlr.into(),
    );
    if typer & 1 != 0 {
        // Where the tables are, and how large.
        let table = 0xf_ffff_ffff_f000;
        let properties = read64(base + gicr::PROPBASER);
        add("lpis", "GICR_PROPBASER", 0, table | 0x1f, properties);
        let pending = read64(base + gicr::PENDBASER);
        add("lpis", "GICR_PENDBASER", 0, table, pending);
    }
    if typer & 2 != 0 {
        // GICv4: Valid.
        let resident = read64(base + gicr::VPENDBASER);
        add("lpis", "GICR_VPENDBASER", 0, 1 << 63, resident);
    }
    // PPInum: 31, 1055 or 1119 is the last PPI.
    let words = 1 + (typer >> 27 & 0x1f).min(2);
    let any = |offset: u64, range: core::ops::Range<u64>| {
        u64::from(range.fold(0, |all, n| all | read32(sgi + offset + 4 * n)))
    };
    add(
        OWNER,
        "GICR_IGROUPR<n>",
        0,
        !0,
        any(array::IGROUPR, 0..words),
    );
    add(
        OWNER,
        "GICR_ISENABLER<n>",
        0,
        !0,
        any(array::ISENABLER, 0..words),
    );
    add(
        OWNER,
        "GICR_ISACTIVER<n>",
        0,
        !0,
        any(array::ISACTIVER, 0..words),
    );
    add(
        OWNER,
        "GICR_IPRIORITYR<n>",
        0,
        !0,
        any(array::IPRIORITYR, 0..8 * words),
    );
    // The SGIs, in the first one, are edges for ever.
    add(
        OWNER,
        "GICR_ICFGR<n>",
        0,
        !0,
        any(array::ICFGR, 1..2 * words),
    );
    let pending = read32(sgi + array::ISPENDR);
    let of = |mask: u32| u64::from(pending & mask);
    add("sgis", "GICR_ISPENDR0 SGIs", 0, !0, of(SGIS));
    add("timers", "PPIs 27, 30 pending", 0, !0, of(TIMER_LINES));
    add("pmu", "PPI 23 pending", 0, !0, of(PMU_LINE));
    let others = of(!(SGIS | TIMER_LINES | PMU_LINE));
    add(
        OWNER,
        "GICR_ISPENDR<n> PPIs",
        0,
        !0,
        others | any(array::ISPENDR, 1..words),
    );
}

/// Wakes the CPU's redistributor, with all interrupts of group 1 and one priority: the number of
/// registers for each 32 of them, `None` if it stays asleep.
fn wake(this: &Cpu) -> Option<u64> {
    let base = this.redistributor.load(Relaxed);
    let sgi = base + FRAME;
    write32(base + gicr::WAKER, read32(base + gicr::WAKER) & !2);
    if !time::wait_until(1000, || read32(base + gicr::WAKER) & 4 == 0) {
        return None;
    }
    let words = 1 + (read64(base + gicr::TYPER) >> 27 & 0x1f).min(2);
    for n in 0..words {
        write32(sgi + array::IGROUPR + 4 * n, !0);
    }
    for n in 0..8 * words {
        write32(sgi + array::IPRIORITYR + 4 * n, bytes(PRIVATE_PRIORITY));
    }
    Some(words)
}

/// A job: lets every private interrupt through and takes what is pending; 1023 if nothing is.
pub fn listen(this: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        return gic.listen();
    }
    let Some(words) = wake(this) else {
        return 0;
    };
    let sgi = this.redistributor.load(Relaxed) + FRAME;
    for n in 0..words {
        write32(sgi + array::ISENABLER + 4 * n, !0);
    }
    // SAFETY: interrupts are masked by DAIF, and are taken by hand.
    unsafe {
        write_sysreg!(ICC_PMR_EL1, 0xff);
        write_sysreg!(ICC_IGRPEN1_EL1, 1);
    }
    isb();
    take(this, 0)
}

/// A job: leaves SGIs and PPIs of the CPU in every state but for what devices signal, and opens its
/// CPU interface in an unusual way.
pub fn dirty_private(this: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        gic.dirty_private(PRIVATE_PRIORITY);
        return 0;
    }
    let Some(words) = wake(this) else {
        return 1;
    };
    let sgi = this.redistributor.load(Relaxed) + FRAME;
    let devices = TIMER_LINES | PMU_LINE;
    // Edges, but for the lines of devices.
    let edges = (16..32).filter(|n| devices & 1 << n == 0);
    let edges = edges.fold(0, |all, n| all | 2_u32 << (2 * (n - 16)));
    write32(sgi + array::ICFGR + 4, edges);
    for n in 1..words {
        write32(sgi + array::ISENABLER + 4 * n, 0x5555_5555);
        write32(sgi + array::ISPENDR + 4 * n, !0);
    }
    // The interface: nothing may be pending that comes before what is to be taken.
    // SAFETY: interrupts are masked by DAIF, and are taken by hand.
    unsafe {
        write_sysreg!(ICC_SRE_EL1, 7);
        isb();
        write_sysreg!(ICC_PMR_EL1, 0xf0);
        write_sysreg!(ICC_BPR1_EL1, 4);
        // EOImode: ends of interrupts do not deactivate.
        write_sysreg!(ICC_CTLR_EL1, 2);
        write_sysreg!(ICC_IGRPEN1_EL1, 1);
        if GROUP0.load(Relaxed) {
            write_sysreg!(ICC_BPR0_EL1, 4);
            // Active, of the lowest priority.
            write_sysreg!(ICC_AP0R0_EL1, 1 << 31);
            write_sysreg!(ICC_IGRPEN0_EL1, 1);
        }
    }
    isb();
    0
}

/// A job: takes the interrupt that is pending and never ends it. The interrupt's number.
pub fn take(_: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        return gic.take();
    }
    // SAFETY: interrupts are masked by DAIF; the system registers are on.
    let number = unsafe { read_sysreg!(ICC_IAR1_EL1) } & 0xff_ffff;
    isb();
    number
}

/// A job: sends the CPU an SGI and takes it, and leaves others pending, enabled and not.
pub fn dirty_sgis(this: &'static Cpu, _: u64) -> u64 {
    if let Some(gic) = v2::get() {
        return gic.dirty_sgis();
    }
    let sgi = this.redistributor.load(Relaxed) + FRAME;
    write32(sgi + array::ISENABLER, 1 << TAKEN);
    write32(sgi + array::ISPENDR, 1 << TAKEN);
    let number = take(this, 0);
    let latched = !(SGIS | TIMER_LINES | PMU_LINE);
    write32(sgi + array::ISENABLER, !(1 << DISABLED));
    write32(sgi + array::ISPENDR, 1 << PENDING | 1 << DISABLED | latched);
    write32(sgi + array::ISACTIVER, 0x0100_0001);
    number
}

/// What [`take`] gives if nothing is pending (IHI 0069, 2.2.1).
pub const NOTHING: u64 = 1023;
/// The SGI that [`dirty_sgis`] takes.
pub const TAKEN_SGI: u64 = TAKEN as u64;

/// The affinity fields of an MPIDR, as routes have them.
pub fn affinity(mpidr: u64) -> u64 {
    mpidr & AFFINITY_MASK
}
