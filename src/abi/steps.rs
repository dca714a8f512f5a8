// SPDX-License-Identifier: Apache-2.0
//! The names of the steps of the teardown: `skip-steps=` takes them, the report prints those that
//! failed, and each row of the probe's audit has the name of the step that clears it.

/// The timers.
pub const TIMERS: &str = "timers";
/// The performance counters of the CPU.
pub const PMU: &str = "pmu";
/// The performance counters of the CPU's cluster.
pub const CLUSTER_PMU: &str = "cluster-pmu";
/// Statistical profiling, trace and branch records.
pub const TRACE: &str = "trace";
/// Breakpoints, watchpoints and single step.
pub const DEBUG: &str = "debug";
/// Floating point, vectors and matrices.
pub const VECTORS: &str = "vectors";
/// The keys of pointer authentication.
pub const PAUTH: &str = "pauth";
/// All other registers of EL1 and EL0.
pub const EL1_REGISTERS: &str = "el1-registers";
/// Shared interrupts that are routed to a CPU that leaves before the others.
pub const INTERRUPT_ROUTES: &str = "interrupt-routes";
/// The CPU interface of the interrupt controller.
pub const CPU_INTERFACE: &str = "cpu-interface";
/// SGIs and PPIs.
pub const REDISTRIBUTOR: &str = "redistributor";
/// The LPIs of the CPU, and their tables.
pub const LPIS: &str = "lpis";
/// What the CPU has cached of the old kernel's translations.
pub const TRANSLATIONS: &str = "translations";
/// What functions of PCI may write to memory.
pub const PCI_DMA: &str = "pci-dma";
/// What bridges of PCI let through, and may write.
pub const PCI_BRIDGES: &str = "pci-bridges";
/// What SMMUs let through.
pub const SMMU: &str = "smmu";
/// The distributor's groups, and the enables of SPIs.
pub const DISTRIBUTOR: &str = "distributor";
/// The redistributors of CPUs that the old kernel never turned on.
pub const ABSENT_CPUS: &str = "absent-cpus";
/// The ITS, its tables and its command queue.
pub const ITS: &str = "its";
/// LPIs that are disabled one by one where they cannot be switched off.
pub const KEPT_LPIS: &str = "kept-lpis";
/// The list of memory that is reserved for tables of LPIs, where there is UEFI.
pub const MEMORY_RESERVE: &str = "memory-reserve";
/// The CPU's share of the SPIs.
pub const SPIS: &str = "spis";
/// What the redistributor has cached of the LPIs.
pub const LPI_CACHE: &str = "lpi-cache";
/// SGIs that came after the redistributor was cleared.
pub const SGIS: &str = "sgis";
/// The CPU's share of the copy of the next kernel.
pub const COPY: &str = "copy";

/// All steps, in the order of the monitor's table.
pub const ALL: [&str; 25] = [
    TIMERS,
    PMU,
    CLUSTER_PMU,
    TRACE,
    DEBUG,
    VECTORS,
    PAUTH,
    EL1_REGISTERS,
    INTERRUPT_ROUTES,
    CPU_INTERFACE,
    REDISTRIBUTOR,
    LPIS,
    TRANSLATIONS,
    PCI_DMA,
    PCI_BRIDGES,
    SMMU,
    DISTRIBUTOR,
    ABSENT_CPUS,
    ITS,
    KEPT_LPIS,
    MEMORY_RESERVE,
    SPIS,
    LPI_CACHE,
    SGIS,
    COPY,
];

/// The audit's name for the state that a CPU is entered in, which no step of the teardown clears.
pub const ENTRY: &str = "entry";

/// What rows of the audit can be named after, in the order in which it prints them: what each CPU has
/// first. The other steps leave nothing that a kernel could read.
pub const AUDITED: [&str; 18] = [
    ENTRY,
    TIMERS,
    PMU,
    TRACE,
    DEBUG,
    VECTORS,
    PAUTH,
    EL1_REGISTERS,
    CPU_INTERFACE,
    REDISTRIBUTOR,
    LPIS,
    SGIS,
    PCI_DMA,
    PCI_BRIDGES,
    SMMU,
    DISTRIBUTOR,
    SPIS,
    ITS,
];

/// Whether two names are the same, where constants are made.
pub const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_told_apart_in_a_list() {
        for (place, name) in ALL.iter().enumerate() {
            assert!(!name.contains([',', ' ']), "{name:?} cannot be in a list");
            let same = ALL.iter().position(|other| is_same(other, name));
            assert_eq!(same, Some(place), "place of the first {name:?}");
        }
    }

    #[test]
    fn audited_steps_are_steps() {
        for name in AUDITED.iter().filter(|name| **name != ENTRY) {
            assert!(ALL.contains(name), "{name:?} is no step");
        }
    }

    #[test]
    fn compares_whole_names() {
        for (a, b) in [("lpis", "lpi"), ("lpi", "lpis"), ("its", "itt"), ("", "a")] {
            assert!(!is_same(a, b), "{a:?} and {b:?}");
        }
        assert!(is_same("lpis", "lpis") && is_same("", ""));
    }
}
