// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::acpi::sample::{Cpu, Madt};
use crate::memory::region::RegionError;

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test region")
}

/// Returns a MADT with a distributor of a version, and CPUs.
fn madt(version: u8, cpus: impl IntoIterator<Item = Cpu>) -> Madt {
    let mut madt = Madt::new(7);
    madt.gicd(0x800_0000, version);
    for cpu in cpus {
        madt.gicc(&cpu);
    }
    madt
}

/// A CPU that names its redistributor.
fn with_redistributor(mpidr: u64, redistributor: u64) -> Cpu {
    Cpu {
        redistributor,
        ..Cpu::new(mpidr)
    }
}

/// A CPU of a GICv2.
fn v2_cpu(mpidr: u64, cpu_interface: u64) -> Cpu {
    Cpu {
        cpu_interface,
        ..Cpu::new(mpidr)
    }
}

fn v3_of(madt: &Madt) -> GicV3 {
    match read(&madt.table()) {
        Ok(Gic::V3(gic)) => gic,
        other => panic!("expected a GICv3, saw {other:?}"),
    }
}

fn error(madt: &Madt) -> AcpiError {
    read(&madt.table()).expect_err("an error")
}

#[test]
fn reads_redistributors_in_ranges() {
    let mut madt = madt(3, [Cpu::new(0), Cpu::new(1)]);
    madt.gicr(0, 0x80a_0000, 0xf6_0000)
        .gicr(0, 0x40_0000_0000, 0x400_0000)
        .its(0, 0x808_0000)
        .its(0, 0x1_0808_0000);
    let expected = GicV3 {
        distributor: region(0x800_0000, 0x1_0000),
        redistributors: alloc::vec![
            region(0x80a_0000, 0xf6_0000),
            region(0x40_0000_0000, 0x400_0000)
        ],
        redistributor_stride: None,
        its: alloc::vec![
            region(0x808_0000, 0x2_0000),
            region(0x1_0808_0000, 0x2_0000)
        ],
        mbi_ranges: Vec::new(),
        coherent: true,
    };
    assert_eq!(v3_of(&madt), expected);
    madt.gicc(&with_redistributor(2, 0x2000_0000));
    assert_eq!(v3_of(&madt), expected, "ranges have all of them");
}

#[test]
fn a_redistributor_of_a_cpu_is_a_region() {
    for (distance, size) in [
        (0x2_0000, 0x2_0000),
        (0x3_0000, 0x3_0000),
        (0x4_0000, 0x4_0000),
        (0x100_0000, 0x4_0000),
    ] {
        let base = 0x1_0000_0000;
        // Not in the order of their addresses, and one a long way off.
        let cpus = [
            with_redistributor(0, base + distance),
            with_redistributor(1, base),
            with_redistributor(2, base + 0x1000_0000),
        ];
        let gic = v3_of(&madt(4, cpus));
        let expected = [
            region(base, size),
            region(base + distance, size),
            region(base + 0x1000_0000, size),
        ];
        assert_eq!(gic.redistributors, expected, "{distance:#x} apart");
        assert_eq!(gic.redistributor_stride, Some(0x4_0000), "one in each");
    }
    let gic = v3_of(&madt(3, [with_redistributor(0, 0x100_0000)]));
    assert_eq!(gic.redistributors, [region(0x100_0000, 0x4_0000)]);
}

#[test]
fn passes_over_the_redistributor_of_a_cpu_that_is_not_there() {
    let mut cpus = [0, 1, 2].map(|mpidr| with_redistributor(mpidr, (mpidr + 1) << 24));
    cpus[1].flags = 0;
    cpus[2].flags = 1 << 3;
    let gic = v3_of(&madt(3, cpus));
    assert_eq!(gic.redistributors, [region(0x100_0000, 0x4_0000)]);
}

#[test]
fn the_hardware_says_which_version_it_is() {
    let mut ranges = madt(0, [Cpu::new(0)]);
    ranges.gicr(0, 0x80a_0000, 0x2_0000);
    v3_of(&ranges);
    v3_of(&madt(0, [with_redistributor(0, 0x100_0000)]));
    let v2 = madt(0, [v2_cpu(0, 0x801_0000)]);
    assert!(matches!(read(&v2.table()), Ok(Gic::V2(_))));
}

#[test]
fn reads_gicv2() {
    let mut cpu = v2_cpu(0, 0x801_0000);
    let mut expected = GicV2 {
        distributor: region(0x800_0000, 0x1000),
        cpu_interface: region(0x801_0000, 0x2000),
        hypervisor: None,
        virtual_cpu: None,
    };
    let gic = read(&madt(2, [cpu, v2_cpu(1, 0x801_0000)]).table());
    assert_eq!(gic, Ok(Gic::V2(expected.clone())));
    cpu.virtual_cpu = [0x804_0000, 0x803_0000];
    expected.virtual_cpu = Some(region(0x804_0000, 0x2000));
    expected.hypervisor = Some(region(0x803_0000, 0x1000));
    assert_eq!(read(&madt(2, [cpu]).table()), Ok(Gic::V2(expected)));
}

#[test]
fn each_part_can_be_incoherent() {
    let cpu = with_redistributor(0, 0x100_0000);
    assert!(v3_of(&madt(3, [cpu])).coherent);
    let incoherent = Cpu {
        flags: 1 | 1 << 4,
        ..cpu
    };
    assert!(!v3_of(&madt(3, [incoherent])).coherent, "a GICC");
    assert!(!v3_of(madt(3, [cpu]).its(1, 0x808_0000)).coherent, "an ITS");
    let mut range = madt(3, [incoherent]);
    range.gicr(0, 0x80a_0000, 0x2_0000);
    assert!(v3_of(&range).coherent, "the range has it, not the GICC");
    range.gicr(1, 0x90a_0000, 0x2_0000);
    assert!(!v3_of(&range).coherent, "a GICR");
}

#[test]
fn refuses_a_distributor_that_is_missing_double_or_unknown() {
    let mut none = Madt::new(4);
    none.gicc(&Cpu::new(0));
    assert_eq!(error(&none), AcpiError::NoDistributor);
    let mut two = madt(3, [Cpu::new(0)]);
    two.gicd(0x900_0000, 3);
    let second = AcpiError::SecondDistributor {
        first: 0x800_0000,
        second: 0x900_0000,
    };
    assert_eq!(error(&two), second);
    for version in [1, 5, 0xff] {
        let seen = error(&madt(version, [Cpu::new(0)]));
        assert_eq!(seen, AcpiError::GicVersion(version));
    }
    let mut high = Madt::new(4);
    high.gicd(u64::MAX - 0xfffe, 3).gicr(0, 0, 1);
    let wraps = RegionError::Wraps {
        start: u64::MAX - 0xfffe,
        size: 0x1_0000,
    };
    assert_eq!(error(&high), AcpiError::Region(wraps));
}

#[test]
fn refuses_redistributors_that_are_missing_or_overlap() {
    let missing = AcpiError::NoRedistributor { mpidr: 1 };
    let cpus = [with_redistributor(0, 0x100_0000), Cpu::new(1)];
    assert_eq!(error(&madt(3, cpus)), missing);
    let overlap = |second| AcpiError::Redistributors {
        first: 0x100_0000,
        second,
    };
    for second in [0x100_0000, 0x101_0000, 0x101_ffff] {
        let cpus = [
            with_redistributor(0, 0x100_0000),
            with_redistributor(1, second),
        ];
        assert_eq!(error(&madt(3, cpus)), overlap(second));
    }
    let mut empty = madt(3, [Cpu::new(0)]);
    empty.gicr(0, 0x80a_0000, 0);
    let empty = error(&empty);
    assert_eq!(empty, AcpiError::Region(RegionError::Empty(0x80a_0000)));
}

#[test]
fn refuses_cpu_interfaces_that_are_missing_or_apart() {
    let bad = |mpidr, address, first| AcpiError::CpuInterface {
        mpidr,
        address,
        first,
    };
    assert_eq!(error(&madt(2, [])), AcpiError::NoCpus);
    assert_eq!(error(&madt(2, [Cpu::new(7)])), bad(7, 0, 0));
    let cpus = [v2_cpu(0, 0x801_0000), v2_cpu(1, 0x802_0000)];
    assert_eq!(error(&madt(2, cpus)), bad(1, 0x802_0000, 0x801_0000));
}
