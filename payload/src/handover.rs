// SPDX-License-Identifier: Apache-2.0
//! What a generation passes to the next: a page of the image, filled in the copy that the next one
//! runs.
//!
//! A loader leaves it zero, which says generation 0. The number of the generation is a part of the
//! memory that a reboot copies, so it proves that the copy was made.

use crate::arena::PAGE;
use core::cell::UnsafeCell;

/// The contents of the page.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Handover {
    /// Number of the generation that reads it.
    pub generation: u64,
    /// The arena's address.
    pub arena: u64,
    /// Seed of the patterns.
    pub seed: u64,
    /// Bytes moved beside the image and the device tree.
    pub moved: u64,
    /// Bytes that the list copies in all.
    pub copied: u64,
    /// Checksum of the constant part of the image.
    pub checksum: u64,
    /// The affinity fields of the CPU that asked for the reboot.
    pub boot_mpidr: u64,
    /// Checksum of what generation 0 wrote once and for all; 0 if it wrote nothing.
    pub sentinel: u64,
    /// HVCs of the monitor's hooks that were made where it has patched none.
    pub hooks: u64,
    /// `CNTPCT_EL0` right before the call.
    pub asked_at: u64,
    /// Calls that all CPUs had made, the last one included; 0 if some were still making calls.
    pub calls: u64,
}

#[repr(C, align(4096))]
struct HandoverPage(UnsafeCell<[u8; PAGE as usize]>);
// SAFETY: the running image only reads it.
unsafe impl Sync for HandoverPage {}

#[unsafe(link_section = ".handover")]
static PAGE_OF_IMAGE: HandoverPage = HandoverPage(UnsafeCell::new([0; PAGE as usize]));

impl Handover {
    /// What the former generation left.
    pub fn read() -> Self {
        // SAFETY: the page is larger than a Handover, aligned, and all bits are valid.
        unsafe { PAGE_OF_IMAGE.0.get().cast::<Self>().read_volatile() }
    }

    /// Writes it into a copy of the page.
    ///
    /// # Safety
    /// `page` is the address of a page of RAM that nothing else uses.
    pub unsafe fn write(&self, page: u64) {
        // SAFETY: as the caller vouches.
        unsafe { (page as *mut Self).write_volatile(*self) }
    }

    /// Address of the page in the running image.
    pub fn address() -> u64 {
        PAGE_OF_IMAGE.0.get() as u64
    }
}
