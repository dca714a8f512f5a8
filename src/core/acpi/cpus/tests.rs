// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::acpi::sample::{self, Madt};

/// Returns the MADT of CPUs with these flags and MPIDRs.
fn madt(cpus: &[(u32, u64)]) -> Vec<u8> {
    let mut madt = Madt::new(6);
    for &(flags, mpidr) in cpus {
        madt.gicc(&sample::Cpu {
            flags,
            ..sample::Cpu::new(mpidr)
        });
    }
    madt.gicd(0x800_0000, 3).table()
}

fn mpidrs(cpus: &[(u32, u64)]) -> Result<Vec<u64>, AcpiError> {
    read(&madt(cpus)).map(|cpus| cpus.iter().map(|cpu| cpu.mpidr).collect())
}

#[test]
fn keeps_the_order_of_the_madt() {
    let cpus = [(1, 0x100), (1, 0x12_0001_0000), (1 << 3, 0), (1, 0x1)];
    let expected = alloc::vec![0x100, 0x12_0001_0000, 0, 0x1];
    assert_eq!(mpidrs(&cpus), Ok(expected));
    let all = read(&madt(&cpus)).expect("CPUs");
    let is_psci = |cpu: &Cpu| cpu.enable_method == EnableMethod::Psci;
    assert!(all.iter().all(is_psci), "{all:?}");
}

#[test]
fn leaves_out_what_is_neither_there_nor_can_come() {
    let cpus = [(1, 0), (0, 1), (0, 0), (1, 2), (0, 1 << 63)];
    assert_eq!(mpidrs(&cpus), Ok(alloc::vec![0, 2]));
}

#[test]
fn refuses_bad_cpus() {
    assert_eq!(mpidrs(&[]), Err(AcpiError::NoCpus));
    assert_eq!(mpidrs(&[(0, 0)]), Err(AcpiError::NoCpus));
    let twice = [(1, 0x300), (1, 1), (1 << 3, 0x300)];
    assert_eq!(mpidrs(&twice), Err(AcpiError::SecondCpu { mpidr: 0x300 }));
    let mpidr = 0x8000_0001;
    assert_eq!(mpidrs(&[(1, mpidr)]), Err(AcpiError::Mpidr { mpidr }));
    let mut broken = madt(&[(1, 0)]);
    broken.extend([0x0b, 0]);
    let entry = AcpiError::Entry {
        kind: 0x0b,
        offset: 148,
        length: 0,
    };
    assert_eq!(read(&broken), Err(entry));
}

#[test]
fn names_the_cpu_in_the_parking_protocol() {
    let mut madt = Madt::new(3);
    madt.gicc(&sample::Cpu::new(0));
    assert_eq!(without_psci(&madt.table()), AcpiError::NoPsci);
    madt.gicc(&sample::Cpu {
        parked: 0x8000_1000,
        ..sample::Cpu::new(1)
    });
    let expected = AcpiError::ParkingProtocol { mpidr: 1 };
    assert_eq!(without_psci(&madt.table()), expected);
}
