// SPDX-License-Identifier: Apache-2.0
mod qemu;
mod servers;

use super::sample::{self, Madt, RSDP, Sample, fadt, spcr};
use super::*;
use crate::devicetree::cpus::Devices;
use crate::devicetree::gic::Gic;
use crate::devicetree::psci::{Conduit, Psci, PsciVersion};
use alloc::vec::Vec;

/// Returns the tables of a machine with two CPUs, a GICv3, and an SPCR.
fn virt(boot_arch: u16, parked: u64) -> Sample {
    Sample::xsdt(&virt_tables(boot_arch, parked))
}

fn virt_tables(boot_arch: u16, parked: u64) -> Vec<Vec<u8>> {
    let mut madt = Madt::new(4);
    madt.gicd(0x800_0000, 3);
    for mpidr in 0..2 {
        madt.gicc(&sample::Cpu {
            parked: parked * mpidr,
            ..sample::Cpu::new(mpidr)
        });
    }
    madt.gicr(0, 0x80a_0000, 0xf6_0000).its(0, 0x808_0000);
    let spcr = spcr(3, &sample::Address::words(0x900_0000));
    Vec::from([fadt(6, 0, boot_arch), madt.table(), spcr])
}

fn read(sample: &Sample) -> Result<Hardware, AcpiError> {
    hardware(&Tables::find(sample, RSDP)?)
}

#[test]
fn reads_a_machine() {
    let seen = read(&virt(1, 0)).expect("a machine");
    let psci = Psci {
        conduit: Conduit::Smc,
        version: PsciVersion::V0_2,
    };
    assert_eq!((seen.cpus.len(), seen.psci), (2, Some(psci)));
    assert!(matches!(seen.gic, Gic::V3(_)));
    assert_eq!(seen.devices, Devices::default());
    assert!(seen.console.is_some());
}

#[test]
fn devices_of_cpus_are_found_in_aml() {
    let mut tables = virt_tables(1, 0);
    for hid in [b"ARMHD500", b"QCOM8130"] {
        let body = [b"\x08_HID\x0d".as_slice(), hid, b"\0"].concat();
        tables.push(sample::table(b"SSDT", 2, &body));
    }
    let seen = read(&Sample::xsdt(&tables)).expect("a machine").devices;
    assert!(seen.dsu_pmu && seen.implementer, "{seen:?}");
    let broken = tables.last_mut().expect("a table");
    broken[40] ^= 1;
    let seen = read(&Sample::xsdt(&tables)).expect("a machine").devices;
    assert!(seen.dsu_pmu && !seen.implementer, "{seen:?}");
}

#[test]
fn says_which_cpu_is_parked_where_there_is_no_psci() {
    assert_eq!(read(&virt(0, 0)), Err(AcpiError::NoPsci));
    let parked = AcpiError::ParkingProtocol { mpidr: 1 };
    assert_eq!(read(&virt(0, 0x8000_1000)), Err(parked));
    let both = read(&virt(1, 0x8000_1000));
    assert!(both.is_ok(), "PSCI starts them all the same: {both:?}");
}
