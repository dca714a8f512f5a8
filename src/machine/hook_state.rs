// SPDX-License-Identifier: Apache-2.0
//! Which calls are patched into the kernel that runs.

use crate::memory::guest_ram::GuestRam;
use baton_abi::hooks::{HOOK1, HOOK2, hvc};
use baton_core::linux::image::PageSize;
use baton_core::linux::sites::{HookSites, Site};
use baton_core::sync::Lock;
use core::sync::atomic::AtomicU64;

/// The guest at the first call, before it is made.
#[derive(Clone, Copy)]
pub struct FirstCall {
    /// Virtual address of the call.
    pub address: u64,
    /// x0 to x30: the call's argument, if it has one, and what the code around it counts on.
    pub x: [u64; 31],
}

/// A kernel with both calls patched.
#[derive(Clone, Copy)]
pub struct Patched {
    /// Physical address of the kernel's Image.
    pub image: u64,
    /// Where the calls are, and the instructions that stood there.
    pub sites: HookSites,
    /// The kernel's page size.
    pub page: PageSize,
    /// The guest at HOOK1, once that was passed.
    pub hook1: Option<FirstCall>,
}

impl Patched {
    /// Returns whether the kernel in memory is still the one with the calls in it.
    pub fn is_in_place(&self, ram: &GuestRam) -> bool {
        let word = |site: Site| {
            ram.range(self.image + site.offset, 4)?
                .copy()
                .map(u32::from_le_bytes)
        };
        word(self.sites.shutdown) == Some(hvc(HOOK1)) && word(self.sites.kexec) == Some(hvc(HOOK2))
    }
}

/// The patches of the kernel that runs, and which kernel was looked at.
pub struct Patcher {
    /// The number of the kernel that was looked at last, plus one.
    pub looked_at: AtomicU64,
    /// The kernel with the calls in it, if there is one.
    pub patched: Lock<Option<Patched>>,
}

impl Patcher {
    /// Returns the state in which no kernel was looked at.
    pub const fn new() -> Self {
        Self {
            looked_at: AtomicU64::new(0),
            patched: Lock::new(None),
        }
    }
}

impl Default for Patcher {
    fn default() -> Self {
        Self::new()
    }
}
