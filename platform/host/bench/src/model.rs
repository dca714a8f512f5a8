// SPDX-License-Identifier: Apache-2.0
//! What a real machine would take: a model, from counted instructions and public figures.

use crate::column::Column;
use crate::raw::Raw;
use crate::stats::Summary;

/// Numbers of CPUs that the model is made for.
pub const SIZES: [u32; 4] = [80, 128, 192, 512];

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
    source: "assumed: a quarter of what an N1 can decode, as the code is cold",
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
    value: 2000.0,
    unit: "",
    source: "counted in the source for 960 SPIs, rounded up",
};
const MMIO: Assumption = Assumption {
    what: "an access to a device register",
    value: 200.0,
    unit: "ns",
    source: "assumed: a read across the mesh; writes are posted",
};
const MEMORY: Assumption = Assumption {
    what: "memory bandwidth, whatever the number of CPUs",
    value: 122.0,
    unit: "GB/s",
    source: "60 % of the peak of eight channels of DDR4-3200, 204 GB/s (AnandTech 16315)",
};
const TRAFFIC: Assumption = Assumption {
    what: "bytes over the memory bus for a byte copied",
    value: 3.0,
    unit: "",
    source: "assumed: read, read for ownership, written back by the clean",
};
const STOCK: Assumption = Assumption {
    what: "stock Linux, for each CPU taken down",
    value: 187.0,
    unit: "ms",
    source: "80 CPUs in about 15 s on `kexec -e`, on an 80-core N1 machine",
};

/// All of them.
pub const ASSUMPTIONS: [&Assumption; 12] = [
    &CLOCK,
    &IPC,
    &TRAP,
    &IPI,
    &TLBI,
    &LINE,
    &REDISTRIBUTOR,
    &DISTRIBUTOR,
    &MMIO,
    &MEMORY,
    &TRAFFIC,
    &STOCK,
];

/// What the instructions of a takeover are, as counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Instructions to check a page of the list.
    pub validate_page: f64,
    /// Instructions from the kick to the next kernel on the longest path, copy left out.
    pub path: f64,
    /// Instructions to copy a byte.
    pub copy_byte: f64,
    /// Bytes that a kexec of Linux copies.
    pub bytes: f64,
}

/// What a machine would take, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Modelled {
    /// The dry run over the list.
    pub validate: f64,
    /// Kick, exits, phases 1 to 3 without the copy.
    pub phases: f64,
    /// Device registers of the interrupt controller.
    pub devices: f64,
    /// The barriers.
    pub barriers: f64,
    /// The copy.
    pub copy: f64,
    /// Stock Linux taking its CPUs down.
    pub stock: f64,
}

impl Modelled {
    /// From the hook to the next kernel.
    pub fn total(&self) -> f64 {
        self.validate + self.phases + self.devices + self.barriers + self.copy
    }
}

/// Reads what was counted with `smp` vCPUs; `bytes` is what a kexec of Linux copies.
pub fn counted(raw: &Raw, smp: u32, bytes: f64) -> Option<Counted> {
    let column = Column::ProbeCount.name();
    let median = |metric| Some(Summary::of(raw.values(column, smp, metric))?.median);
    let pages = median("copied MiB")? * 256.0;
    Some(Counted {
        validate_page: median("validate instructions")? / pages.max(1.0),
        path: median("path instructions")?,
        copy_byte: median("copy instructions")? / median("copy bytes of one CPU")?.max(1.0),
        bytes,
    })
}

/// The model of a machine with `cpus` CPUs.
pub fn model(counted: &Counted, cpus: u32) -> Modelled {
    let cpus = f64::from(cpus);
    let cycles = |cycles: f64| cycles / (CLOCK.value * 1e3);
    let instructions = |count: f64| cycles(count / IPC.value);
    let pages = counted.bytes / 4096.0;
    // A leaf of the barrier has 16 CPUs; the release is read by all from one line.
    let barrier = 16.0 + (cpus / 16.0).ceil();
    let by_memory = counted.bytes * TRAFFIC.value / (MEMORY.value * 1e3);
    let by_cores = instructions(counted.bytes * counted.copy_byte / cpus);
    Modelled {
        validate: instructions(pages * counted.validate_page),
        phases: instructions(counted.path)
            + cycles(TRAP.value + IPI.value)
            + cpus * TLBI.value / 1e3,
        devices: (REDISTRIBUTOR.value + DISTRIBUTOR.value) * MMIO.value / 1e3,
        barriers: (2.0 * barrier + cpus / 16.0) * LINE.value / 1e3,
        copy: by_memory.max(by_cores),
        stock: (cpus - 1.0) * STOCK.value * 1e3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: Counted = Counted {
        validate_page: 250.0,
        path: 12_000.0,
        copy_byte: 0.25,
        bytes: 40e6,
    };

    #[test]
    fn few_cpus_copy_as_fast_as_they_can_and_many_as_memory_can() {
        let few = model(&COUNTED, 2);
        let many = model(&COUNTED, 80);
        assert!(
            few.copy > 1600.0,
            "2 CPUs: expected over 1600 us, seen {}",
            few.copy
        );
        let expected = 40e6 * 3.0 / 122e3;
        assert!(
            (many.copy - expected).abs() < 1.0,
            "expected {expected}, seen {}",
            many.copy
        );
        assert!(many.total() < few.total());
    }
}
