// SPDX-License-Identifier: Apache-2.0
//! The GICv2: what is left in it, and what is found (Arm IHI 0048B, tables 4-1 and 4-2).

use super::interrupts::{DEVICE_LINES, PMU_LINE, SGIS, TIMER_LINES, bytes};
use super::sheet::{Index, Page};
use crate::cpu::Cpu;
use crate::gic::v2::GicV2;
use crate::mmio::{read8, read32, write8, write32};
use baton_abi::steps;
use baton_sysreg::gic::{array, gicc, gicd};
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

const BPR: u64 = 0x08;
const RPR: u64 = 0x14;
const ABPR: u64 = 0x1c;
const APR: u64 = 0xd0;
const NSAPR: u64 = 0xe0;
/// GICC_CTLR: EOImode, of the group that EL1 has.
const EOIMODE: u32 = 1 << 9;
/// GICC_CTLR: interrupts do not pass a disabled interface by; firmware's to choose.
const BYPASS: u32 = 0xf << 5;
/// The bits of GICD_ICFGR<n> that can be programmed.
const EDGES: u32 = 0xaaaa_aaaa;

const TAKEN: u32 = super::interrupts::TAKEN_SGI as u32;
const PENDING: u32 = TAKEN + 1;
/// An SGI and a PPI.
const ACTIVE: u32 = 1 << 24 | 1;
const GROUP1: u32 = 0x0f00_0000;

impl GicV2 {
    /// The OR of some words of an array of the distributor.
    fn any(&self, offset: u64, words: Range<u64>) -> u64 {
        words.fold(0, |all, n| {
            all | u64::from(read32(self.gicd + offset + 4 * n))
        })
    }

    fn fill(&self, offset: u64, words: Range<u64>, value: u32) {
        words.for_each(|n| write32(self.gicd + offset + 4 * n, value));
    }

    /// The OR of what in some words can be cleared by a write of all bits to `clear`: enables that are
    /// fixed, and what devices signal, are not the old kernel's. They are set again.
    fn clearable(&self, set: u64, clear: u64, words: Range<u64>) -> u64 {
        let of = |n: u64| {
            let found = read32(self.gicd + set + 4 * n);
            write32(self.gicd + clear + 4 * n, found);
            let left = found & !read32(self.gicd + set + 4 * n);
            write32(self.gicd + set + 4 * n, left);
            left
        };
        words.fold(0, |all, n| all | u64::from(of(n)))
    }

    /// The OR of the triggers that are edges, and need not be: those of PPIs may be fixed.
    fn edges(&self, words: Range<u64>) -> u64 {
        let of = |n: u64| {
            let register = self.gicd + array::ICFGR + 4 * n;
            let found = read32(register);
            write32(register, 0);
            let edges = found & !read32(register) & EDGES;
            write32(register, found);
            edges
        };
        words.fold(0, |all, n| all | u64::from(of(n)))
    }

    /// What has been changed of a binary point: a reset gives it the lowest value that there is, and
    /// so does writing zero.
    fn binary_point(&self, offset: u64) -> (u64, u64) {
        let register = self.gicc + offset;
        let found = read32(register);
        write32(register, 0);
        let lowest = read32(register);
        write32(register, found);
        (lowest.into(), found.into())
    }

    /// Adds what the CPU that runs this has of its own.
    pub fn audit_own(&self, page: &mut Page, place: usize) {
        let mut add = |step, name, expected, mask, found: u64| {
            page.add((step, name, Index::None), place, expected, mask, found);
        };
        const INTERFACE: &str = steps::CPU_INTERFACE;
        let read = |offset: u64| u64::from(read32(self.gicc + offset));
        let four = |offset: u64| (0..4).fold(0, |all, n| all | read(offset + 4 * n));
        let ctlr = read(gicc::CTLR);
        add(INTERFACE, "GICC_CTLR", 0, !u64::from(BYPASS), ctlr);
        add(INTERFACE, "GICC_PMR", 0, !0, read(gicc::PMR));
        // Idle: no priority that can be run is as low.
        add(INTERFACE, "GICC_RPR", 0xf8, 0xf8, read(RPR));
        add(INTERFACE, "GICC_APR<n>", 0, !0, four(APR));
        add(INTERFACE, "GICC_NSAPR<n>", 0, !0, four(NSAPR));
        for (name, offset) in [("GICC_BPR", BPR), ("GICC_ABPR", ABPR)] {
            let (lowest, found) = self.binary_point(offset);
            add(INTERFACE, name, lowest, 7, found);
        }

        const PRIVATE: &str = steps::REDISTRIBUTOR;
        let enabled = self.clearable(array::ISENABLER, array::ICENABLER, 0..1);
        for (name, found) in [
            ("GICD_IGROUPR0", self.any(array::IGROUPR, 0..1)),
            ("GICD_ISENABLER0", enabled),
            ("GICD_ISACTIVER0", self.any(array::ISACTIVER, 0..1)),
            ("GICD_IPRIORITYR0-7", self.any(array::IPRIORITYR, 0..8)),
            ("GICD_ICFGR1", self.edges(1..2)),
        ] {
            add(PRIVATE, name, 0, !0, found);
        }
        let pending = self.any(array::ISPENDR, 0..1);
        let of = |mask: u32| pending & u64::from(mask);
        add(
            steps::SGIS,
            "GICD_SPENDSGIR<n>",
            0,
            !0,
            self.pending_sgis().into(),
        );
        add(steps::TIMERS, "PPIs 27, 30 pending", 0, !0, of(TIMER_LINES));
        add(steps::PMU, "PPI 23 pending", 0, !0, of(PMU_LINE));
        let others = of(!(SGIS | DEVICE_LINES));
        add(PRIVATE, "GICD_ISPENDR0 PPIs", 0, !0, others);
    }

    /// Registers of 32 interrupts; the first is of SGIs and PPIs.
    fn words(&self) -> Range<u64> {
        1..u64::from(read32(self.gicd + gicd::TYPER) & 0x1f) + 1
    }

    /// Adds what CPUs share of the distributor.
    pub fn audit_distributor(&self, page: &mut Page, place: usize) {
        let words = self.words();
        let times = |n: u64| n..n * words.end;
        let ctlr = u64::from(read32(self.gicd + gicd::CTLR));
        let pending = self.clearable(array::ISPENDR, array::ICPENDR, words.clone());
        for (name, found) in [
            ("GICD_CTLR", ctlr),
            ("GICD_IGROUPR<n>", self.any(array::IGROUPR, words.clone())),
            (
                "GICD_ISENABLER<n>",
                self.any(array::ISENABLER, words.clone()),
            ),
            ("GICD_ISPENDR<n>", pending),
            (
                "GICD_ISACTIVER<n>",
                self.any(array::ISACTIVER, words.clone()),
            ),
            ("GICD_IPRIORITYR<n>", self.any(array::IPRIORITYR, times(8))),
            ("GICD_ITARGETSR<n>", self.any(gicd::ITARGETSR, times(8))),
            ("GICD_ICFGR<n>", self.edges(times(2))),
        ] {
            let step = match name {
                "GICD_CTLR" | "GICD_ISENABLER<n>" => steps::DISTRIBUTOR,
                _ => steps::SPIS,
            };
            page.add((step, name, Index::None), place, 0, !0, found);
        }
    }

    /// The first SPI that goes to a CPU.
    pub fn routed_to(&self, cpu: &Cpu, mut spis: Range<u64>) -> Option<u64> {
        let targets = cpu.targets.load(Relaxed) as u8;
        spis.find(|n| read8(self.gicd + gicd::ITARGETSR + n) & targets != 0)
    }

    /// Has an SPI go to a CPU alone.
    pub fn route(&self, spi: u64, cpu: &Cpu) {
        let targets = cpu.targets.load(Relaxed) as u8;
        write8(self.gicd + gicd::ITARGETSR + spi, targets);
    }

    /// Leaves SPIs in every state; who they go to has been said.
    pub fn dirty_distributor(&self, priority: u32) {
        let words = self.words();
        let times = |n: u64| n..n * words.end;
        self.fill(array::IGROUPR, words.clone(), !0);
        self.fill(array::IPRIORITYR, times(8), bytes(priority));
        self.fill(array::ICFGR, times(2), EDGES);
        self.fill(array::ISENABLER, words.clone(), 0x5555_5555);
        self.fill(array::ISPENDR, words.clone(), !0);
        self.fill(array::ISACTIVER, words.clone(), 0x3333_3333);
        write32(self.gicd + gicd::CTLR, gicd::CTLR_BOTH_GROUPS);
    }

    /// Lets every SPI through, to all CPUs.
    pub fn open(&self) {
        let words = self.words();
        self.fill(gicd::ITARGETSR, 8..8 * words.end, !0);
        self.fill(array::ISENABLER, words, !0);
        write32(self.gicd + gicd::CTLR, gicd::CTLR_BOTH_GROUPS);
    }

    /// Lets every private interrupt through and takes what is pending.
    pub fn listen(&self) -> u64 {
        self.fill(array::ISENABLER, 0..1, !0);
        write32(self.gicc + gicc::PMR, 0xff);
        write32(self.gicc + gicc::CTLR, 1);
        self.take()
    }

    /// As [`dirty_private`](super::interrupts::dirty_private).
    pub fn dirty_private(&self, priority: u32) {
        self.fill(array::IPRIORITYR, 0..8, bytes(priority));
        let edges = (16..32).filter(|n| DEVICE_LINES & 1 << n == 0);
        let edges = edges.fold(0, |all, n| all | 2_u32 << (2 * (n - 16)));
        self.fill(array::ICFGR, 1..2, edges);
        write32(self.gicc + gicc::PMR, 0xf0);
        write32(self.gicc + BPR, 4);
        write32(self.gicc + ABPR, 4);
        write32(self.gicc + gicc::CTLR, 1 | EOIMODE);
    }

    /// Takes the interrupt that is pending and never ends it: its number.
    pub fn take(&self) -> u64 {
        self.acknowledge().0.into()
    }

    /// As [`dirty_sgis`](super::interrupts::dirty_sgis).
    pub fn dirty_sgis(&self) -> u64 {
        self.fill(array::ISENABLER, 0..1, 1 << TAKEN);
        self.send_self(TAKEN);
        let number = self.take();
        self.fill(array::ISENABLER, 0..1, !0);
        self.send_self(PENDING);
        self.fill(array::ISPENDR, 0..1, !(SGIS | DEVICE_LINES));
        self.fill(array::ISACTIVER, 0..1, ACTIVE);
        self.fill(array::IGROUPR, 0..1, GROUP1);
        number
    }
}
