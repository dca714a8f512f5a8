// SPDX-License-Identifier: Apache-2.0
//! Which calls are patched into the kernel that runs.

use crate::arch::translate::translate;
use crate::machine::request::Way;
use crate::memory::guest_ram::GuestRam;
use baton_abi::hooks::{CRASH_HOOK1, CRASH_HOOK2, HOOK1, HOOK2, hvc};
use baton_core::linux::image::PageSize;
use baton_core::linux::sites::crash::CrashSites;
use baton_core::linux::sites::{HookSites, Site};
use baton_core::memory::guest_walk::Stage1;
use baton_core::sync::Lock;
use core::sync::atomic::AtomicU64;

/// The guest at the first call of a pair, before it is made.
#[derive(Clone, Copy)]
pub struct FirstCall {
    /// Virtual address of the call.
    pub address: u64,
    /// x0 to x30: the call's argument, if it has one, and what the code around it counts on.
    pub x: [u64; 31],
}

/// A kernel with at least one pair of calls patched.
#[derive(Clone, Copy)]
pub struct Patched {
    /// Physical address of the kernel's Image.
    pub image: u64,
    /// Where the calls of its kexec are, and the instructions that stood there.
    pub kexec: Option<HookSites>,
    /// The same of those by which it leaves after a panic.
    pub crash: Option<CrashSites>,
    /// The kernel's page size.
    pub page: PageSize,
    /// The kernel's own stage 1, at its first call.
    pub stage1: Stage1,
    /// The guest at HOOK1, once that was passed.
    pub kexec_first: Option<FirstCall>,
    /// The guest at CRASH_HOOK1, once that was passed.
    pub crash_first: Option<FirstCall>,
}

impl Patched {
    /// Returns each call that is patched for `way`, and the immediate of the instruction that is there instead.
    pub fn sites(&self, way: Way) -> impl Iterator<Item = (Site, u16)> {
        let kexec = self.kexec.iter().filter(move |_| way == Way::Kexec);
        let crash = self.crash.iter().filter(move |_| way == Way::Crash);
        let pairs = kexec.chain(crash.flat_map(CrashSites::copies));
        let (first, second) = match way {
            Way::Kexec => (HOOK1, HOOK2),
            Way::Crash => (CRASH_HOOK1, CRASH_HOOK2),
        };
        pairs.flat_map(move |pair| [(pair.shutdown, first), (pair.kexec, second)])
    }

    /// Returns the physical address of the kernel's virtual `address`, if it has one: by what the CPU that runs this
    /// has in use, or by the kernel's own tables, where it has others, as in user space.
    pub fn translate(&self, ram: &GuestRam, address: u64) -> Option<u64> {
        translate(address).or_else(|| self.stage1.translate(ram, address))
    }

    /// Returns where the guest was at the first call of `way`, once that was passed.
    pub fn first(&mut self, way: Way) -> &mut Option<FirstCall> {
        match way {
            Way::Kexec => &mut self.kexec_first,
            Way::Crash => &mut self.crash_first,
        }
    }

    /// Returns whether the kernel in memory is still the one with the calls in it.
    pub fn is_in_place(&self, ram: &GuestRam) -> bool {
        let word = |site: Site| {
            ram.range(self.image + site.offset, 4)?
                .copy()
                .map(u32::from_le_bytes)
        };
        let mut sites = self.sites(Way::Kexec).chain(self.sites(Way::Crash));
        sites.all(|(site, hook)| word(site) == Some(hvc(hook)))
    }

    /// Forgets the calls of `way`; returns whether others are left.
    pub fn forget(&mut self, way: Way) -> bool {
        match way {
            Way::Kexec => self.kexec = None,
            Way::Crash => self.crash = None,
        }
        self.kexec.is_some() || self.crash.is_some()
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
