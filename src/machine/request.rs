// SPDX-License-Identifier: Apache-2.0
//! A request for the next kernel, and why it is refused.

use crate::memory::kexec_memory::LinearMap;
use baton_core::devicetree::next_map::NextMapError;
use baton_core::devicetree::next_tree::NextTreeError;
use baton_core::linux::image::PageSize;
use baton_core::linux::kexec_plan::{PlanError, Request};
use baton_core::linux::kimage::KimageError;
use baton_core::memory::guest_memory::GuestMemory;
use thiserror::Error;

/// Which way a kernel of Linux leaves for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By its kexec, in `kernel_kexec()`.
    Kexec,
    /// After a panic, in `__crash_kexec()`: the next kernel is in place already.
    Crash,
}

/// Which kernel is to be the next one, and where the request came from.
#[derive(Clone, Copy, Debug)]
pub enum KexecRequest {
    /// Linux at its call of `machine_kexec()`, with the kimage at this physical address.
    Hook {
        /// Physical address of the kimage.
        kimage: u64,
        /// Which call that is.
        way: Way,
        /// It has not come to that call: the monitor asks in its place, as the crash interrupt has come.
        by_interrupt: bool,
        /// The kernel's page size.
        page: PageSize,
        /// Where the kernel has its memory.
        linear: Option<LinearMap>,
    },
    /// A guest, by [`baton_abi::KEXEC`].
    Call {
        /// Physical address of the list.
        list: u64,
        /// Physical address of the next kernel's first instruction.
        entry: u64,
        /// Physical address of its device tree.
        device_tree: u64,
    },
}

/// Why a request is refused.
#[derive(Clone, Debug, Error)]
pub enum InvalidRequest {
    /// The monitor refuses every kimage (`hooks=refuse`), once it was checked.
    #[error("hooks=refuse")]
    ByOption,
    /// The kimage is none.
    #[error(transparent)]
    Kimage(#[from] KimageError),
    /// The list, a segment or the entry is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The next kernel's device tree would have it overwrite the monitor, or go around it.
    #[error(transparent)]
    Tree(#[from] NextTreeError),
    /// The next kernel's memory map would have it overwrite the monitor.
    #[error(transparent)]
    Map(#[from] NextMapError),
    /// There is no memory to look at the next kernel's device tree, or at its memory map.
    #[error("no memory to look at {0} bytes of the next kernel's device tree or memory map")]
    TreeSize(usize),
}

impl InvalidRequest {
    /// Returns whether the error is an address outside the guest's memory of the boot.
    pub const fn is_address(&self) -> bool {
        match self {
            Self::Kimage(error) => matches!(error, KimageError::Outside(_)),
            Self::Plan(error) => error.is_address(),
            Self::ByOption | Self::Tree(_) | Self::Map(_) | Self::TreeSize(_) => false,
        }
    }
}

impl KexecRequest {
    /// Returns where the kernel that asks has its memory, if it says so.
    pub fn linear_map(&self) -> Option<LinearMap> {
        match *self {
            Self::Hook { linear, .. } => linear,
            Self::Call { .. } => None,
        }
    }

    /// Checks what needs no look at memory, so that nobody has to be stopped for it.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`].
    pub fn check_addresses(&self, memory: &impl GuestMemory) -> Result<(), InvalidRequest> {
        match self.as_call() {
            Some(call) => Ok(call.check_addresses(memory)?),
            None => Ok(()),
        }
    }

    /// Returns what the plan of a call is for.
    pub fn as_call(&self) -> Option<Request<'static>> {
        match *self {
            Self::Hook { .. } => None,
            Self::Call {
                list,
                entry,
                device_tree,
            } => Some(Request::Call {
                list,
                entry,
                device_tree,
            }),
        }
    }

    /// Returns which way the kernel leaves, if that is Linux.
    pub fn way(&self) -> Option<Way> {
        match *self {
            Self::Hook { way, .. } => Some(way),
            Self::Call { .. } => None,
        }
    }

    /// Returns what the report calls it.
    pub fn source(&self) -> u64 {
        match *self {
            Self::Hook {
                by_interrupt: true, ..
            } => baton_abi::SOURCE_INTERRUPT,
            Self::Hook {
                way: Way::Kexec, ..
            } => baton_abi::SOURCE_HOOK,
            Self::Hook {
                way: Way::Crash, ..
            } => baton_abi::SOURCE_CRASH,
            Self::Call { .. } => baton_abi::SOURCE_CALL,
        }
    }
}
