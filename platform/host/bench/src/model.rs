// SPDX-License-Identifier: Apache-2.0
//! What a real machine would take: a model, from counted instructions and public figures.

use crate::column::Column;
use crate::raw::Raw;
use crate::stats::Summary;

/// Numbers of CPUs that the model is made for.
pub const SIZES: [u32; 4] = [80, 128, 192, 512];

/// Bytes of the initrd that the model has beside Debian's kernel.
pub const INITRD: f64 = 128.0 * 1_048_576.0;

/// A figure that the model stands on, and where it is from.
pub struct Assumption {
    /// What it is.
    pub what: &'static str,
    /// Its value, in `unit`.
    pub value: f64,
    /// The unit.
    pub unit: &'static str,
    /// Its source, or that it is assumed.
    pub source: &'static str,
}

const CLOCK: Assumption = Assumption {
    what: "clock of a core",
    value: 3.0,
    unit: "GHz",
    source: "Ampere Altra Q80-30, Altra Max M128-30 (AnandTech 16315, 16979)",
};
const IPC: Assumption = Assumption {
    what: "instructions a cycle outside the copy",
    value: 1.0,
    unit: "",
    source: "assumed: a quarter of what an N1 can decode",
};
const CODE: Assumption = Assumption {
    what: "cache lines of code that the path fetches from memory, one after another",
    value: 800.0,
    unit: "",
    source: "what QEMU translates from a request of Linux on 80 vCPUs to the next kernel (`-d in_asm`), whichever \
             CPU executes it: 768 lines, rounded up",
};
const FETCH: Assumption = Assumption {
    what: "a line of code from memory",
    value: 120.0,
    unit: "ns",
    source: "assumed, with none fetched ahead",
};
const TRAP: Assumption = Assumption {
    what: "exit to EL2 and back",
    value: 376.0,
    unit: "cycles",
    source: "Dall et al., ARM Virtualization, ISCA 2016, table 2: hypercall of Xen on an X-Gene",
};
const IPI: Assumption = Assumption {
    what: "kick: an SGI to a sleeping CPU, upper bound",
    value: 5978.0,
    unit: "cycles",
    source: "the same table: a virtual IPI of Xen, two exits and the GIC's emulation included",
};
const TLBI: Assumption = Assumption {
    what: "broadcast TLB invalidation, for each CPU",
    value: 20.0,
    unit: "ns",
    source: "assumed: acknowledged by all CPUs over the mesh",
};
const LINE: Assumption = Assumption {
    what: "a contended cache line from core to core",
    value: 100.0,
    unit: "ns",
    source: "assumed, above what was measured within an Altra's socket (AnandTech 16315)",
};
const REDISTRIBUTOR: Assumption = Assumption {
    what: "accesses of a CPU to its redistributor",
    value: 60.0,
    unit: "",
    source: "counted in the source, rounded up",
};
const DISTRIBUTOR: Assumption = Assumption {
    what: "accesses of the boot CPU to the distributor",
    value: 40.0,
    unit: "",
    source: "counted in the source for 960 SPIs, rounded up: 30 registers that disable them, `GICD_CTLR`",
};
const SPIS: Assumption = Assumption {
    what: "SPIs",
    value: 960.0,
    unit: "",
    source: "the most that a distributor has, without extended ones",
};
const SPI_SHARE: Assumption = Assumption {
    what: "accesses to the registers of 32 SPIs, which one CPU resets",
    value: 56.0,
    unit: "",
    source: "counted in the source (`src/gic/v3/`)",
};
const MMIO: Assumption = Assumption {
    what: "an access to a device register",
    value: 200.0,
    unit: "ns",
    source: "assumed: a read across the mesh; writes are posted",
};
const PEAK: Assumption = Assumption {
    what: "peak of the memory's bandwidth",
    value: 204.8,
    unit: "GB/s",
    source: "eight channels of DDR4-3200 (AnandTech 16315)",
};
const MEMORY: Assumption = Assumption {
    what: "memory bandwidth, whatever the number of CPUs",
    value: 151.7,
    unit: "GB/s",
    source: "measured by Arm on 64 Neoverse N1 with such memory (Graviton2), as many bytes read as written \
             (Arm Learning Paths, \"Measure multi-core bandwidth\")",
};
const TRAFFIC: Assumption = Assumption {
    what: "bytes over the memory bus for a byte copied",
    value: 2.0 + 4.0 / 64.0,
    unit: "",
    source: "read once, written once; of each page of 64 lines 4 are read for ownership before the core \
             streams its writes (docs/hardware.md, \"The copy\")",
};
const STOCK: Assumption = Assumption {
    what: "stock Linux, for each CPU taken down",
    value: 187.0,
    unit: "ms",
    source: "80 CPUs in about 15 s on `kexec -e`, on an 80-core N1 machine",
};

/// All of them.
pub const ASSUMPTIONS: [&Assumption; 17] = [
    &CLOCK,
    &IPC,
    &CODE,
    &FETCH,
    &TRAP,
    &IPI,
    &TLBI,
    &LINE,
    &REDISTRIBUTOR,
    &DISTRIBUTOR,
    &SPIS,
    &SPI_SHARE,
    &MMIO,
    &PEAK,
    &MEMORY,
    &TRAFFIC,
    &STOCK,
];

/// What the instructions of a takeover are, as counted on as many CPUs: all that the model takes from
/// samples. What CPUs share among them is counted as the part of the CPU that has most.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Instructions on the path to check the list, whatever its length.
    pub check: f64,
    /// Instructions on the path to check a page of it.
    pub check_page: f64,
    /// Instructions from the kick to the next kernel on the longest path, check and copy left out.
    pub path: f64,
    /// Instructions of a CPU to copy a byte.
    pub copy_byte: f64,
    /// Instructions of the boot CPU while the others copy.
    pub prepare: f64,
}

/// What a machine would take, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Modelled {
    /// The check of the list.
    pub check: f64,
    /// Kick, exits, phases 1 to 3 without the copy, and their code, which no cache has.
    pub phases: f64,
    /// Device registers of the interrupt controller.
    pub devices: f64,
    /// The barriers.
    pub barriers: f64,
    /// The copy, by the cores or by the memory, or what the boot CPU does meanwhile: what takes longest.
    pub copy: f64,
    /// What the memory alone would take: each byte read once and written once, and nothing else.
    pub memory: f64,
    /// The same at the peak of its bandwidth.
    pub peak: f64,
    /// Stock Linux taking its CPUs down.
    pub stock: f64,
}

impl Modelled {
    /// From the hook to the next kernel.
    pub fn total(&self) -> f64 {
        self.check + self.phases + self.devices + self.barriers + self.copy
    }
}

/// Reads what was counted with `smp` vCPUs.
pub fn counted(raw: &Raw, smp: u32) -> Option<Counted> {
    let median =
        |column: Column, metric| Some(Summary::of(raw.values(column.name(), smp, metric))?.median);
    let list = |column| {
        let pages = median(column, "copied MiB")? * 256.0;
        Some((pages, median(column, "validate instructions")?))
    };
    let probe = list(Column::ProbeCount)?;
    let (check, check_page) = line(probe, list(Column::LongList));
    let column = Column::ProbeCount;
    Some(Counted {
        check,
        check_page,
        path: median(column, "path instructions")?,
        copy_byte: median(column, "copier instructions")?
            / median(column, "copier bytes")?.max(1.0),
        prepare: median(column, "prepare instructions")?,
    })
}

/// The line through two lists (pages, instructions): its start and its slope. With one list alone all of it
/// counts as growing with the list, which makes that of a longer one too high.
fn line(short: (f64, f64), long: Option<(f64, f64)>) -> (f64, f64) {
    let slope = long.map(|long| (long.1 - short.1) / (long.0 - short.0));
    let whole = short.1 / short.0.max(1.0);
    let slope = slope.filter(|slope| slope.is_finite()).unwrap_or(whole);
    let slope = slope.clamp(0.0, whole);
    (short.1 - slope * short.0, slope)
}

/// The model of a machine with `cpus` CPUs, which copies `bytes`.
pub fn model(counted: &Counted, cpus: u32, bytes: f64) -> Modelled {
    let cpus = f64::from(cpus);
    let cycles = |cycles: f64| cycles / (CLOCK.value * 1e3);
    let instructions = |count: f64| cycles(count / IPC.value);
    let pages = bytes / 4096.0;
    // A leaf of the barrier has 16 CPUs; the release is read by all from one line.
    let barrier = 16.0 + (cpus / 16.0).ceil();
    let over_bus = |traffic: f64, bandwidth: f64| bytes * traffic / (bandwidth * 1e3);
    let by_memory = over_bus(TRAFFIC.value, MEMORY.value);
    let by_cores = instructions(bytes * counted.copy_byte / cpus);
    let spis = SPI_SHARE.value * (SPIS.value / 32.0 / cpus).ceil();
    Modelled {
        check: instructions(counted.check + pages * counted.check_page),
        phases: instructions(counted.path)
            + CODE.value * FETCH.value / 1e3
            + cycles(TRAP.value + IPI.value)
            + cpus * TLBI.value / 1e3,
        devices: (REDISTRIBUTOR.value + DISTRIBUTOR.value + spis) * MMIO.value / 1e3,
        barriers: (2.0 * barrier + cpus / 16.0) * LINE.value / 1e3,
        copy: by_memory.max(by_cores).max(instructions(counted.prepare)),
        memory: over_bus(2.0, MEMORY.value),
        peak: over_bus(2.0, PEAK.value),
        stock: (cpus - 1.0) * STOCK.value * 1e3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: Counted = Counted {
        check: 1000.0,
        check_page: 250.0,
        path: 12_000.0,
        copy_byte: 0.25,
        prepare: 300_000.0,
    };
    const BYTES: f64 = 40e6;

    #[test]
    fn few_cpus_copy_as_fast_as_they_can_and_many_as_memory_can() {
        let few = model(&COUNTED, 2, BYTES);
        let many = model(&COUNTED, 80, BYTES);
        assert!(
            few.copy > 1600.0,
            "2 CPUs: expected over 1600 us, seen {}",
            few.copy
        );
        let expected = BYTES * 2.0625 / 151.7e3;
        assert!(
            (many.copy - expected).abs() < 1.0,
            "expected {expected}, seen {}",
            many.copy
        );
        assert!(many.total() < few.total());
        assert!(many.peak < many.memory && many.memory < many.copy);
    }

    #[test]
    fn a_short_copy_waits_for_the_boot_cpu() {
        let seen = model(&COUNTED, 80, 4e6).copy;
        assert!((seen - 100.0).abs() < 1e-6, "expected 100 us, seen {seen}");
    }

    #[test]
    fn spis_are_shared_by_32() {
        let devices = |cpus| model(&COUNTED, cpus, BYTES).devices;
        let all = (60.0 + 40.0 + 30.0 * 56.0) * 0.2;
        assert!((devices(1) - all).abs() < 1e-6, "seen {}", devices(1));
        let one = (60.0 + 40.0 + 56.0) * 0.2;
        assert!((devices(80) - one).abs() < 1e-6, "seen {}", devices(80));
    }

    #[test]
    fn code_comes_from_memory() {
        let path = 12_000.0 / 3e3;
        let rest = (376.0 + 5978.0) / 3e3 + 80.0 * 0.02;
        let expected = path + 800.0 * 0.12 + rest;
        let seen = model(&COUNTED, 80, BYTES).phases;
        assert!(
            (seen - expected).abs() < 1e-6,
            "expected {expected}, seen {seen}"
        );
    }

    #[test]
    fn two_lists_tell_what_grows() {
        assert_eq!(
            line((4000.0, 5000.0), Some((280_000.0, 281_000.0))),
            (1000.0, 1.0)
        );
        assert_eq!(line((4000.0, 8000.0), None), (0.0, 2.0));
        // A longer list that took less is noise.
        assert_eq!(
            line((4000.0, 8000.0), Some((8000.0, 7000.0))),
            (8000.0, 0.0)
        );
    }
}
