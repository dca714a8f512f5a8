// SPDX-License-Identifier: Apache-2.0
//! The distributor, by memory (Arm IHI 0069, 12.9).

use super::{GROUP0, SPI_PRIORITY, bytes};
use crate::audit::sheet::{Index, Page};
use crate::cpu::Cpu;
use crate::gic::v2;
use crate::machine::Gic;
use crate::mmio::{read32, read64, write32, write64};
use crate::outcome::{Outcome, ensure};
use crate::time;
use baton_abi::steps;
use baton_sysreg::gic::{array, gicd};
use core::sync::atomic::Ordering::Relaxed;

/// The interrupt controller by memory.
pub struct Controller {
    gicd: u64,
}

impl Controller {
    /// Takes the one of the device tree.
    pub fn new(gic: &Gic) -> Self {
        let ctlr = read32(gic.distributor + gicd::CTLR);
        GROUP0.store(ctlr & gicd::CTLR_DS != 0, Relaxed);
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
        let quiet = time::wait_until(1000, || {
            read32(self.gicd + gicd::CTLR) & gicd::CTLR_RWP == 0
        });
        ensure!(quiet, "GICD_CTLR.RWP: expected 0 within 1000 ms, seen 1");
        Ok(())
    }

    /// Adds what is in the distributor. `boot`: the affinity fields of the CPU that stayed.
    pub fn audit_distributor(&self, page: &mut Page, place: usize, boot: u64) {
        if let Some(gic) = v2::get() {
            return gic.audit_distributor(page, place);
        }
        let (words, extended) = self.words();
        let mut add = |name: &'static str, expected, mask, found| {
            let step = match name {
                "GICD_CTLR" | "GICD_ISENABLER<n>" | "GICD_ISENABLER<n>E" => steps::DISTRIBUTOR,
                _ => steps::SPIS,
            };
            page.add((step, name, Index::None), place, expected, mask, found);
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
        write32(
            self.gicd + gicd::CTLR,
            read32(self.gicd + gicd::CTLR) | gicd::CTLR_BOTH_GROUPS,
        );
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
