// SPDX-License-Identifier: Apache-2.0
//! Configuration space in memory.

use crate::arch::probe;
use crate::arch::time::Deadline;
use baton_core::hw_error::HwError;
use baton_core::pci::stop::{self, Stopped, Stopping};
use baton_core::pci::{ABSENT, ConfigSpace, Ecam, Function};
use core::num::NonZero;
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

/// The functions of a segment, and how far they are stopped.
pub struct Segment {
    space: Space,
    stopping: Stopping,
}

impl Segment {
    /// Takes the configuration space of `ecam`, and looks for its buses until `deadline`.
    ///
    /// # Safety
    ///
    /// It is there, and mapped as device memory as long as the monitor lives.
    pub unsafe fn new(ecam: Ecam, deadline: &Deadline) -> Self {
        let space = Space(ecam);
        let stopping = Stopping::new(ecam, &space, || deadline.passed());
        Self { space, stopping }
    }

    /// As [`Dma::begin`](super::Dma::begin).
    pub fn begin(&self) {
        self.stopping.begin();
    }

    /// Takes bus mastering away from functions, as [`Dma::stop_functions`](super::Dma::stop_functions) does.
    /// `deadline` is `us` microseconds behind the beginning.
    pub fn stop_functions(&self, deadline: &Deadline, us: u64) -> (u64, Result<(), HwError>) {
        let late = || deadline.passed();
        let stopped = self
            .stopping
            .stop_functions(&self.space, late, |function| self.log(function));
        self.result(&stopped, us)
    }

    /// Takes bus mastering away from bridges, as [`Dma::stop_bridges`](super::Dma::stop_bridges) does.
    pub fn stop_bridges(&self) -> (u64, Result<(), HwError>) {
        let stopped = self
            .stopping
            .stop_bridges(&self.space, |bridge| self.log(bridge));
        self.result(&stopped, 0)
    }

    fn log(&self, function: Function) {
        let segment = self.space.0.segment;
        log::debug!("PCI {segment:04x}:{function}: bus mastering cleared");
    }

    fn result(&self, stopped: &Stopped, us: u64) -> (u64, Result<(), HwError>) {
        if let Some(function) = stopped.last_kept {
            let segment = self.space.0.segment;
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

/// The registers.
struct Space(Ecam);

impl ConfigSpace for Space {
    #[inline]
    fn read(&self, function: Function, register: u16) -> u32 {
        let address = self.0.address(function, register);
        // Some bridges abort a read of a function that is not there, and others answer with ones.
        // SAFETY: It is in the region that `new` was promised to be there, and is a multiple of 4. A load changes
        // nothing in configuration space.
        address.map_or(ABSENT, |address| unsafe { probe::word(address) })
    }

    fn write(&self, function: Function, register: u16, value: u32) {
        let address = self.0.address(function, register);
        let Some(address) = address.and_then(|address| NonZero::new(address as usize)) else {
            return;
        };
        let address = NonNull::<ReadPureWrite<u32>>::with_exposed_provenance(address);
        // SAFETY: It is in the region that `new` was promised to be there, and no reference leads into that. Two CPUs
        // may do this to the same function if a kernel has made one a virtual function of another: both write the same.
        let mut register = unsafe { UniqueMmioPointer::new(address) };
        register.write(value);
    }
}
