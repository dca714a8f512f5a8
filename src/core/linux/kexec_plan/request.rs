// SPDX-License-Identifier: Apache-2.0
//! What a kexec asks for, but for its list.

use super::Plan;
use super::next_kernel::NextKernel;
use super::segments::SegmentError;
use crate::devicetree::blob::{self, header};
use crate::linux::image::PageSize;
use crate::linux::kexec_list::{ListError, ListStart, Walker};
use crate::linux::kimage::{Kimage, Segment};
use crate::linux::ranges::{Range, Ranges};
use crate::memory::guest_memory::GuestMemory;
use thiserror::Error;

/// A request for the next kernel, by its source.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// From Linux's own kexec: its `kimage`.
    Kimage(&'a Kimage),
    /// From the call [`baton_abi::KEXEC`].
    Call {
        /// Physical address of the first page of the list.
        list: u64,
        /// Physical address of the next kernel's first instruction.
        entry: u64,
        /// Physical address of its device tree.
        device_tree: u64,
    },
}

impl Request<'_> {
    /// Checks the addresses of a call, which are in registers: nobody has to be stopped for that.
    ///
    /// # Errors
    ///
    /// Returns [`PlanError`] if one is not in guest memory, or not aligned.
    pub fn check_addresses(&self, memory: &impl GuestMemory) -> Result<(), PlanError> {
        let Self::Call {
            list,
            entry,
            device_tree,
        } = *self
        else {
            return Ok(());
        };
        check_tree(memory, device_tree)?;
        check_entry(memory, entry)?;
        let page = PageSize::Size4K.bytes();
        Walker::start(memory, page, ListStart::Page(list), &Ranges::new())?;
        Ok(())
    }
}

fn check_tree(memory: &impl GuestMemory, device_tree: u64) -> Result<(), PlanError> {
    match memory.contains(device_tree, header::SIZE as u64) {
        true => Ok(()),
        false => Err(PlanError::DeviceTree(device_tree)),
    }
}

fn check_entry(memory: &impl GuestMemory, entry: u64) -> Result<(), PlanError> {
    match memory.contains(entry, 4) && entry.is_multiple_of(4) {
        true => Ok(()),
        false => Err(PlanError::Entry(entry)),
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// An entry of the list is wrong.
    #[error("kexec list: {0}")]
    List(#[from] ListError),
    /// A segment is wrong.
    #[error("kexec segment {0}")]
    Segment(#[from] SegmentError),
    /// The next kernel's entry is not in guest memory, or not aligned to 4 bytes.
    #[error("kexec entry {0:#x} is not in guest memory")]
    Entry(u64),
    /// The next kernel's device tree is not in guest memory.
    #[error("kexec device tree {0:#x} is not in guest memory")]
    DeviceTree(u64),
    /// The kernel at this address is entered without a purgatory, and there is not exactly one
    /// device tree for it.
    #[error("no single device tree for the kernel at {0:#x}")]
    NoDeviceTree(u64),
}

impl PlanError {
    /// Returns whether the error is an address outside guest memory, rather than a request that
    /// makes no sense.
    pub const fn is_address(&self) -> bool {
        match self {
            Self::List(error) => error.fault.is_address(),
            Self::Segment(error) => error.is_address(),
            Self::Entry(_) | Self::DeviceTree(_) => true,
            Self::NoDeviceTree(_) => false,
        }
    }
}

impl Plan {
    /// Takes in what a request says of itself: all but its list.
    pub(super) fn take_in(
        &mut self,
        memory: &impl GuestMemory,
        request: Request<'_>,
    ) -> Result<(), PlanError> {
        self.segments.clear();
        self.zeroes = Range::default();
        self.in_place = 0;
        self.device_tree = None;
        let (entry, x0) = match request {
            Request::Kimage(kimage) => {
                self.start = ListStart::Head {
                    at: kimage.address(),
                    value: kimage.head(),
                };
                self.segments.set(memory, self.page, kimage.segments())?;
                (kimage.start(), 0)
            }
            Request::Call {
                list,
                entry,
                device_tree,
            } => {
                check_tree(memory, device_tree)?;
                self.start = ListStart::Page(list);
                let tree = Segment {
                    start: device_tree,
                    size: blob::MAX_SIZE,
                    file_size: blob::MAX_SIZE,
                };
                self.device_tree = Some((tree, None));
                (entry, device_tree)
            }
        };
        check_entry(memory, entry)?;
        self.next_kernel = NextKernel { entry, x0 };
        Ok(())
    }
}
