// SPDX-License-Identifier: Apache-2.0
//! The errata of CPUs that EL2 can meet, and how the monitor keeps clear of each.
//!
//! A guest works around its own. The monitor has one way for all CPUs, the careful one: it does what these
//! errata are about at boot and in a takeover, where care costs nothing that can be measured. So nothing is
//! decided by MIDR: CPUs of several kinds beside each other need no agreement, and one that is not listed, or
//! comes late, is safe as well. The table says which CPUs need the care.
//!
//! CPUs and revisions are those of Arm's Software Developer Errata Notices (SDEN), as Linux has them
//! (`arch/arm64/kernel/cpu_errata.c` of 6.1.192, and of later ones for AmpereOne), and Trusted Firmware-A (`lib/cpus/aarch64/`).
//! Where a notice could not be read, the table has all revisions.
#![forbid(unsafe_code)]

use Workaround::*;
use core::fmt;

/// What keeps the monitor clear of an erratum, on every CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workaround {
    /// No multiply-accumulate of 64 bits stands behind a load or a store: the compiler
    /// (`fix-cortex-a53-835769` in `.cargo/config.toml`).
    Compiler,
    /// No load or store uses an ADRP at the end of a page: the linker (`--fix-cortex-a53-843419` there).
    Linker,
    /// To clean a cache line is to clean and invalidate it (`arch::cache`, `arch::copy`).
    CleanAndInvalidate,
    /// A broadcast TLBI and its DSB are executed twice (`arch::tlb`).
    RepeatTlbi,
    /// Stage 2 is turned on with a root without entries, and the TLB is emptied then (`boot::configure`):
    /// nothing stays of what speculation translated before.
    EmptyRoot,
    /// A broadcast TLBI stands between an instruction that is written and its fetch (`arch::cache`).
    TlbiBeforeFetch,
    /// A read of `PAR_EL1` stands between two DMBs (`arch::translate`).
    BarriersAroundPar,
    /// Trace is drained by two TSB CSYNCs in a row (`arch::barrier`).
    TwoTraceBarriers,
    /// Trace is drained again when its buffer was disabled, before other registers of it are written
    /// (`vcpu::trace`).
    DrainWhenDisabled,
    /// A write of `HCR_EL2` stands between DSB and ISB (`vcpu::el2`).
    BarriersAroundHcr,
    /// The counter is read until two readings agree (`arch::time`), and no timer's TVAL is written.
    AgreeingReadings,
    /// An ISB follows a write of a `TTBR` at once: no memory access comes between (`boot/head.S`,
    /// `boot::efi`, `vcpu::reset`).
    SyncedTables,
    /// EL2 never steps the guest, and traps no pointer authentication (`vcpu::el2`).
    NoStepping,
    /// A CPU that comes from its guest executes a DSB before it counts as one that has come
    /// (`takeover::platform`).
    DsbOnArrival,
}

/// CPUs of one model, by `MIDR_EL1` and `REVIDR_EL1` (Arm ARM, D24.2).
#[derive(Clone, Copy, Debug)]
struct Cpus {
    /// Implementer and part number where `MIDR_EL1` has them, and which of their bits count.
    model: u32,
    mask: u32,
    /// The first and the last revision: variant in the upper half, revision in the lower one.
    revisions: (u8, u8),
    /// From this revision on, a CPU with one of these bits in `REVIDR_EL1` is mended.
    mended: Option<(u8, u64)>,
}

/// All revisions of a model.
const fn cpus(implementer: u8, part: u16) -> Cpus {
    Cpus {
        model: (implementer as u32) << 24 | (part as u32) << 4,
        mask: 0xff00_fff0,
        revisions: (0, 0xff),
        mended: None,
    }
}

/// All revisions of a model of Arm's.
const fn arm(part: u16) -> Cpus {
    cpus(0x41, part)
}

impl Cpus {
    /// Of these, the revisions from `first` to `last`: 0x21 is r2p1.
    const fn revisions(self, first: u8, last: u8) -> Self {
        Self {
            revisions: (first, last),
            ..self
        }
    }

    /// Of these, not those from revision `first` on with `bit` of `REVIDR_EL1`.
    const fn mended(self, first: u8, bit: u32) -> Self {
        Self {
            mended: Some((first, 1 << bit)),
            ..self
        }
    }

    /// Of the part number, the highest digit alone counts.
    const fn family(self) -> Self {
        Self {
            mask: 0xff00_f000,
            ..self
        }
    }

    const fn has(&self, midr: u64, revidr: u64) -> bool {
        let revision = (midr >> 16 & 0xf0 | midr & 0xf) as u8;
        let (first, last) = self.revisions;
        let mended = match self.mended {
            Some((from, bits)) => revision >= from && revidr & bits != 0,
            None => false,
        };
        midr as u32 & self.mask == self.model && first <= revision && revision <= last && !mended
    }
}

/// An erratum of one model of CPU.
#[derive(Clone, Copy, Debug)]
pub struct Erratum {
    /// The number, as the implementer has it.
    pub name: &'static str,
    /// What the monitor does, on every CPU.
    pub workaround: Workaround,
    cpus: Cpus,
}

const fn erratum(name: &'static str, cpus: Cpus, workaround: Workaround) -> Erratum {
    Erratum {
        name,
        workaround,
        cpus,
    }
}

const A53: Cpus = arm(0xd03);
const A55: Cpus = arm(0xd05);
const A76: Cpus = arm(0xd0b);
const A77: Cpus = arm(0xd0d);
const N1: Cpus = arm(0xd0c);
const A510: Cpus = arm(0xd46);
const A710: Cpus = arm(0xd47);
const N2: Cpus = arm(0xd49);
/// Microsoft's Azure Cobalt 100, which is a Neoverse N2 r0p0.
const COBALT_100: Cpus = cpus(0x6d, 0xd49);
const KRYO_4XX_SILVER: Cpus = cpus(0x51, 0x805);

/// By implementer, and model.
static TABLE: &[Erratum] = &[
    // Cortex-A53 MPCore SDEN (EPM-048406). 855873: CPUACTLR_EL1.ENDCCASCI has the same effect from r0p3 on.
    erratum("819472", A53.revisions(0, 0x01), CleanAndInvalidate),
    erratum("824069", A53.revisions(0, 0x02), CleanAndInvalidate),
    erratum("826319", A53.revisions(0, 0x02), CleanAndInvalidate),
    erratum("827319", A53.revisions(0, 0x02), CleanAndInvalidate),
    erratum("855873", A53, CleanAndInvalidate),
    erratum("835769", A53.revisions(0, 0x04).mended(0x02, 7), Compiler),
    erratum("843419", A53.revisions(0, 0x04).mended(0x04, 8), Linker),
    // Cortex-A55 SDEN (SDEN-859338).
    erratum("1530923", A55.revisions(0, 0x20), EmptyRoot),
    erratum("2441007", A55, RepeatTlbi),
    // MPCore SDENs of Cortex-A57, A72 and A73.
    erratum("1319537", arm(0xd07), EmptyRoot),
    erratum("1319367", arm(0xd08), EmptyRoot),
    erratum("858921", arm(0xd09), AgreeingReadings),
    // Cortex-A76 SDEN (SDEN-885749).
    erratum("1165522", A76.revisions(0, 0x20), EmptyRoot),
    erratum("1286807", A76.revisions(0, 0x30), RepeatTlbi),
    // Cortex-A77 SDEN.
    erratum("1508412", A77.revisions(0, 0x10), BarriersAroundPar),
    // Neoverse N1 SDEN: r3p0 to r4p0 for Trusted Firmware-A, all revisions for Linux.
    erratum("1542419", N1, TlbiBeforeFetch),
    // Cortex-A510 SDEN (SDEN-1873351).
    erratum("2064142", A510.revisions(0, 0x02), DrainWhenDisabled),
    erratum("2077057", A510.revisions(0, 0x02), NoStepping),
    erratum("2441009", A510.revisions(0, 0x11), RepeatTlbi),
    // Cortex-A710 and Neoverse N2 SDENs.
    erratum("2054223", A710, TwoTraceBarriers),
    erratum("2067961", N2, TwoTraceBarriers),
    erratum("2067961", COBALT_100, TwoTraceBarriers),
    // CVE-2025-10263: Linux calls all of these 4118414, and has all revisions.
    erratum("4193800", A76, RepeatTlbi),
    erratum("4193800", N1, RepeatTlbi),
    erratum("4193798", A77, RepeatTlbi),
    erratum("4193801", arm(0xd0e), RepeatTlbi), // Cortex-A76AE
    erratum("4193790", arm(0xd40), RepeatTlbi), // Neoverse V1
    erratum("4193791", arm(0xd41), RepeatTlbi), // Cortex-A78
    erratum("4193793", arm(0xd42), RepeatTlbi), // Cortex-A78AE
    erratum("4193791", arm(0xd44), RepeatTlbi), // Cortex-X1
    erratum("4193788", A710, RepeatTlbi),
    erratum("4193788", arm(0xd48), RepeatTlbi), // Cortex-X2
    erratum("4193789", N2, RepeatTlbi),
    erratum("4193789", COBALT_100, RepeatTlbi),
    erratum("4193794", arm(0xd4b), RepeatTlbi), // Cortex-A78C
    erratum("4193792", arm(0xd4c), RepeatTlbi), // Cortex-X1C
    erratum("4193786", arm(0xd4e), RepeatTlbi), // Cortex-X3
    erratum("4193787", arm(0xd4f), RepeatTlbi), // Neoverse V2
    erratum("4118414", arm(0xd82), RepeatTlbi), // Cortex-X4
    erratum("4193784", arm(0xd83), RepeatTlbi), // Neoverse V3AE
    erratum("4193784", arm(0xd84), RepeatTlbi), // Neoverse V3
    erratum("4193781", arm(0xd85), RepeatTlbi), // Cortex-X925
    erratum("4193780", arm(0xd8c), RepeatTlbi), // C1-Ultra
    erratum("4193780", arm(0xd90), RepeatTlbi), // C1-Premium
    erratum("T410-OLY-1029", cpus(0x4e, 0x010), RepeatTlbi), // NVIDIA Olympus
    // CVE-2026-0995, as Linux has it.
    erratum(
        "4193714",
        arm(0xd8b).revisions(0, 0x12).mended(0x12, 0),
        DsbOnArrival,
    ), // C1-Pro
    // AmpereOne AC04.
    erratum("AC04_CPU_23", cpus(0xc0, 0xac4), BarriersAroundHcr),
    // Broadcom Brahma-B53; Vulcan, and Cavium ThunderX2, which it became.
    erratum("843419", cpus(0x42, 0x100).revisions(0, 0), Linker),
    erratum("219", cpus(0x42, 0x516), SyncedTables),
    erratum("219", cpus(0x43, 0x0af), SyncedTables),
    // Qualcomm Falkor v1 and Kryo; Kryo 4xx Gold and Silver, which are a Cortex-A76 and an A55.
    erratum("E1009", cpus(0x51, 0x800).revisions(0, 0), RepeatTlbi),
    erratum("E1009", cpus(0x51, 0x200).family(), RepeatTlbi),
    erratum(
        "1286807",
        cpus(0x51, 0x804).revisions(0xce, 0xfe),
        RepeatTlbi,
    ),
    erratum("1530923", KRYO_4XX_SILVER.revisions(0xde, 0xde), EmptyRoot),
];

/// Returns the errata of the CPU with these `MIDR_EL1` and `REVIDR_EL1`.
pub fn of(midr: u64, revidr: u64) -> impl Iterator<Item = &'static Erratum> {
    TABLE
        .iter()
        .filter(move |erratum| erratum.cpus.has(midr, revidr))
}

/// The names of a CPU's errata, to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// `MIDR_EL1`.
    pub midr: u64,
    /// `REVIDR_EL1`.
    pub revidr: u64,
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for erratum in of(self.midr, self.revidr) {
            write!(f, "{separator}{}", erratum.name)?;
            separator = ", ";
        }
        match separator {
            "" => f.write_str("none"),
            _ => Ok(()),
        }
    }
}

/// The kinds of CPU that a machine was seen to have.
#[derive(Debug)]
pub struct Kinds([u64; 8]);

impl Kinds {
    /// None was seen yet.
    pub const fn new() -> Self {
        Self([0; 8])
    }

    /// Returns whether this is the first CPU with this `MIDR_EL1`. Beyond eight kinds, none is.
    pub fn is_new(&mut self, midr: u64) -> bool {
        // No CPU has a MIDR_EL1 of 0.
        match self.0.iter_mut().find(|kind| **kind == midr || **kind == 0) {
            Some(kind) if *kind == 0 => {
                *kind = midr;
                true
            }
            _ => false,
        }
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
