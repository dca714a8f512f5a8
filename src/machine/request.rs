// SPDX-License-Identifier: Apache-2.0
//! A request for the next kernel, and why it is refused.

use crate::memory::kexec_memory::LinearMap;
use baton_core::devicetree::next_map::NextMapError;
use baton_core::devicetree::next_tree::NextTreeError;
use baton_core::linux::image::PageSize;
use baton_core::linux::kexec_plan::PlanError;
use baton_core::linux::kimage::KimageError;
use thiserror::Error;

/// Which kernel is to be the next one, and where the request came from.
#[derive(Clone, Copy, Debug)]
pub enum KexecRequest {
    /// Linux at its call of `machine_kexec()`, by the kimage at this physical address.
    Hook {
        /// Physical address of the kimage.
        kimage: u64,
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

impl KexecRequest {
    /// Returns what the report calls it.
    pub fn source(&self) -> u64 {
        match self {
            Self::Hook { .. } => baton_abi::SOURCE_HOOK,
            Self::Call { .. } => baton_abi::SOURCE_CALL,
        }
    }
}
