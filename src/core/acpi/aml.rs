// SPDX-License-Identifier: Apache-2.0
//! Devices of the CPUs, from the AML of DSDT and SSDTs (5.2.11).
//!
//! AML is not run here, so that whether a device is enabled (`_STA`) is not known: the registers of a cluster's
//! PMU are the guest's, but stay as they are from kernel to kernel (one that drives it clears it when it
//! begins), and whether firmware opened those of a trace unit is not known. Nor is where a device's registers are
//! (`_CRS`), which a method may make: those of external debug (`ARMHC503`) are not kept from the guest.

use crate::devicetree::cpus::Devices;

/// `_HID` of a cluster's PMU (Arm DEN0093), and of an L2 cache's with registers of its own
/// (qcom_l2_pmu.c).
const DSU_PMU: &[u8] = b"ARMHD500\0";
const L2_PMU: &[u8] = b"QCOM8130\0";

/// Adds what a table of AML names to `devices`. A `_HID` is a string there.
pub fn find_devices(table: &[u8], devices: &mut Devices) {
    let names = |id: &[u8]| table.windows(id.len()).any(|bytes| bytes == id);
    devices.dsu_pmu |= names(DSU_PMU);
    devices.implementer |= names(L2_PMU);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// `Name (_HID, "…")`: NameOp, StringPrefix.
    fn device(hid: &str) -> Vec<u8> {
        [b"\x08_HID\x0d", hid.as_bytes(), b"\0\x08_UID\0"].concat()
    }

    #[test]
    fn a_hid_is_found_wherever_it_is() {
        for (hid, dsu_pmu, implementer) in [
            ("ARMHD500", true, false),
            ("QCOM8130", false, true),
            ("ARMHD501", false, false),
            ("ARMHC500", false, false),
        ] {
            let mut devices = Devices::default();
            find_devices(&device(hid), &mut devices);
            let expected = Devices {
                dsu_pmu,
                implementer,
                ..Devices::default()
            };
            assert_eq!(devices, expected, "{hid}");
        }
    }

    #[test]
    fn each_table_adds_to_those_before() {
        let mut devices = Devices::default();
        for hid in ["ARMHD500", "ACPI0007", "QCOM8130"] {
            find_devices(&device(hid), &mut devices);
        }
        find_devices(b"", &mut devices);
        assert!(devices.dsu_pmu && devices.implementer && !devices.dsu_pmu_is_open);
    }
}
