// SPDX-License-Identifier: Apache-2.0
//! Reads firmware's PSCI from its node (binding `arm/psci.yaml`).

use super::error::BoardError;
use super::node::{Located, cell, first_compatible, is_available, text};
use alloc::string::ToString;
use dtoolkit::fdt::Fdt;

/// Firmware's PSCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Psci {
    /// The instruction that calls it.
    pub conduit: Conduit,
    /// Its version, as far as the tree tells it.
    pub version: PsciVersion,
}

/// The instruction that calls firmware (`method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `SMC #0`.
    Smc,
    /// `HVC #0`: another hypervisor answers at EL2, and the monitor cannot run there.
    Hvc,
}

/// The version of PSCI that the tree names. From 0.2 on, the call `PSCI_VERSION` returns the exact
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciVersion {
    /// `arm,psci`: the function ids are the board's own.
    V0_1(FunctionIds),
    /// `arm,psci-0.2`.
    V0_2,
    /// `arm,psci-1.0`, which later versions are compatible with.
    V1_0,
}

/// Function ids of PSCI 0.1; `None` for a function that firmware does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionIds {
    /// `CPU_ON`.
    pub cpu_on: Option<u32>,
    /// `CPU_OFF`.
    pub cpu_off: Option<u32>,
    /// `CPU_SUSPEND`.
    pub cpu_suspend: Option<u32>,
}

const COMPATIBLE: [&str; 3] = ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];

/// Boards whose trees have no PSCI before U-Boot starts a kernel with them (U-Boot's
/// `arch/arm/cpu/armv8/fsl-layerscape/` and `arch/arm/lib/bootm-fdt.c`).
const COMPLETED: [&str; 3] = ["fsl,ls1028a", "fsl,ls1043a", "fsl,ls1046a"];

/// Reads the first available PSCI node; `None` if there is none.
pub(super) fn read(fdt: Fdt<'_>) -> Result<Option<Psci>, BoardError> {
    let compatible = |node: &_| first_compatible(node, &COMPATIBLE);
    let found = Located::search(fdt, |node| compatible(node).is_some() && is_available(node));
    let Some(found) = found else { return Ok(None) };
    let conduit = match text(&found.node, "method") {
        Some("smc") => Conduit::Smc,
        Some("hvc") => Conduit::Hvc,
        other => {
            let method = other.map(ToString::to_string);
            return Err(BoardError::PsciMethod {
                node: found.path(),
                method,
            });
        }
    };
    let version = match compatible(&found.node) {
        Some("arm,psci-1.0") => PsciVersion::V1_0,
        Some("arm,psci-0.2") => PsciVersion::V0_2,
        _ => PsciVersion::V0_1(function_ids(&found)),
    };
    Ok(Some(Psci { conduit, version }))
}

/// Returns the board, by its `compatible`, if it has PSCI of which its tree says nothing before U-Boot
/// has completed that.
pub(super) fn is_added_later(fdt: Fdt<'_>) -> Option<&'static str> {
    first_compatible(&fdt.root(), &COMPLETED)
}

fn function_ids(psci: &Located<'_>) -> FunctionIds {
    let id = |name| cell(&psci.node, name).and_then(|id| u32::try_from(id).ok());
    FunctionIds {
        cpu_on: id("cpu_on"),
        cpu_off: id("cpu_off"),
        cpu_suspend: id("cpu_suspend"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::Sample;

    #[test]
    fn takes_the_latest_version_named() {
        let ids = FunctionIds {
            cpu_on: Some(0x95c1_ba60),
            cpu_off: Some(7),
            cpu_suspend: None,
        };
        let cases: [(&[&str], _); 4] = [
            (&["arm,psci"], PsciVersion::V0_1(ids)),
            (&["arm,psci-0.2"], PsciVersion::V0_2),
            (&["arm,psci-0.2", "arm,psci"], PsciVersion::V0_2),
            (
                &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"],
                PsciVersion::V1_0,
            ),
        ];
        let mut tree = Sample::virt();
        tree.set("/psci", "cpu_on", 0x95c1_ba60u32)
            .set("/psci", "cpu_off", 7u32);
        for (compatible, version) in cases {
            tree.strings("/psci", "compatible", compatible);
            let expected = Psci {
                conduit: Conduit::Smc,
                version,
            };
            assert_eq!(tree.read(read), Ok(Some(expected)), "{compatible:?}");
        }
    }

    #[test]
    fn reads_the_method() {
        let mut tree = Sample::virt();
        tree.set("/psci", "method", "hvc");
        let expected = Psci {
            conduit: Conduit::Hvc,
            version: PsciVersion::V1_0,
        };
        assert_eq!(tree.read(read), Ok(Some(expected)));
        let error = |method: Option<&str>| BoardError::PsciMethod {
            node: "/psci".into(),
            method: method.map(Into::into),
        };
        tree.set("/psci", "method", "svc");
        assert_eq!(tree.read(read), Err(error(Some("svc"))));
        tree.unset("/psci", "method");
        assert_eq!(tree.read(read), Err(error(None)));
    }

    #[test]
    fn finds_none_or_another() {
        let mut tree = Sample::virt();
        tree.set("/psci", "status", "disabled");
        assert_eq!(tree.read(read), Ok(None), "a node that is not available");
        tree.set("/firmware/psci", "compatible", "arm,psci-0.2")
            .set("/firmware/psci", "method", "smc");
        let expected = Psci {
            conduit: Conduit::Smc,
            version: PsciVersion::V0_2,
        };
        assert_eq!(tree.read(read), Ok(Some(expected)));
    }
}
