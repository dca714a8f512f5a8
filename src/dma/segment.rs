// SPDX-License-Identifier: Apache-2.0
//! Configuration space in memory.

use crate::arch::probe;
use crate::arch::time::Deadline;
use baton_core::hw_error::HwError;
use baton_core::pci::stop::{self, Buses};
use baton_core::pci::{ABSENT, ConfigSpace, Ecam, Function};
use core::num::NonZero;
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

/// The functions of a segment, and the buses from which they are found.
pub struct Segment {
    ecam: Ecam,
    roots: Buses,
}

impl Segment {
    /// Takes the configuration space of `ecam`, and looks for its roots until `deadline`.
    ///
    /// # Safety
    ///
    /// It is there, and mapped as device memory as long as the monitor lives.
    pub unsafe fn new(ecam: Ecam, deadline: &Deadline) -> Self {
        let mut segment = Self {
            ecam,
            roots: Buses::default(),
        };
        segment.roots = stop::roots(&ecam, &segment, || deadline.passed());
        segment
    }

    /// Takes bus mastering away from all functions, as [`Dma::stop_pci`](super::Dma::stop_pci) does, and returns
    /// from how many. `deadline` is `us` microseconds behind the beginning.
    pub fn stop(&self, deadline: &Deadline, us: u64) -> (u64, Result<(), HwError>) {
        let segment = self.ecam.segment;
        let each = |function: Function| {
            log::debug!("PCI {segment:04x}:{function}: bus mastering cleared");
        };
        let stopped = stop::stop(&self.ecam, self.roots, self, || deadline.passed(), each);
        if let Some(function) = stopped.last_kept {
            log::warn!("PCI {segment:04x}:{function}: it stays a master of its bus");
        }
        let result = if stopped.is_late {
            Err(HwError::Timeout {
                register: "PCI Vendor ID",
                found: stopped.functions,
                waited_us: us,
            })
        } else if stopped.last_kept.is_some() {
            Err(HwError::Sticky {
                register: "PCI Command",
                wanted: 0,
                found: stop::BUS_MASTER.into(),
            })
        } else {
            Ok(())
        };
        (stopped.cleared, result)
    }
}

impl ConfigSpace for Segment {
    #[inline]
    fn read(&self, function: Function, register: u16) -> u32 {
        let address = self.ecam.address(function, register);
        // Some bridges abort a read of a function that is not there, and others answer with ones.
        // SAFETY: It is in the region that `new` was promised to be there, and is a multiple of 4. A load changes
        // nothing in configuration space.
        address.map_or(ABSENT, |address| unsafe { probe::word(address) })
    }

    fn write(&self, function: Function, register: u16, value: u32) {
        let address = self.ecam.address(function, register);
        let Some(address) = address.and_then(|address| NonZero::new(address as usize)) else {
            return;
        };
        let address = NonNull::<ReadPureWrite<u32>>::with_exposed_provenance(address);
        // SAFETY: It is in the region that `new` was promised to be there, and only one CPU uses that at a time:
        // the boot CPU, at boot and in phase 2.
        let mut register = unsafe { UniqueMmioPointer::new(address) };
        register.write(value);
    }
}
