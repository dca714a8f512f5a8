// SPDX-License-Identifier: Apache-2.0
//! Why a device tree is refused.

use super::blob::BlobError;
use super::node::RegError;
use alloc::string::String;
use alloc::vec::Vec;
use thiserror::Error;

/// Why the monitor cannot run on the board that a device tree describes. Nodes are named by their
/// full paths.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BoardError {
    /// The structure of the tree is broken.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The `reg` of a node that is needed cannot be used.
    #[error(transparent)]
    Reg(#[from] RegError),
    /// No node says where memory is.
    #[error("no memory: no available node below / has device_type \"memory\" and a size")]
    NoMemory,
    /// There is no CPU below `/cpus`.
    #[error("no CPU below /cpus")]
    NoCpus,
    /// The `reg` of a CPU is no MPIDR.
    #[error("{node}: reg {reg:02x?} is not the affinity of an MPIDR")]
    CpuReg {
        /// The node.
        node: String,
        /// First 16 bytes of the property.
        reg: Vec<u8>,
    },
    /// Two CPUs have the same MPIDR.
    #[error("{node}: a second CPU with the MPIDR {mpidr:#x}")]
    SecondCpu {
        /// The second node.
        node: String,
        /// Its affinity fields.
        mpidr: u64,
    },
    /// There is no GIC that the monitor knows.
    #[error("no interrupt controller: no available GICv3 or GICv2")]
    NoGic,
    /// There is no PSCI in a tree that U-Boot completes.
    #[error(
        "no PSCI in the tree of a board {board:?}: U-Boot adds it when it starts a kernel by booti or \
         bootm, if the firmware below it has PSCI"
    )]
    NoPsciYet {
        /// The board, by its `compatible`.
        board: &'static str,
    },
    /// The PSCI node does not say how to call it.
    #[error("{node}: PSCI method {method:?} is neither \"smc\" nor \"hvc\"")]
    PsciMethod {
        /// The node.
        node: String,
        /// Its method.
        method: Option<String>,
    },
    /// There is no kernel to run.
    #[error(
        "no kernel: no child of /chosen is compatible with \"multiboot,kernel\" \
         (U-Boot: `fdt resize` makes room for it)"
    )]
    NoKernel,
    /// There are two kernels.
    #[error("{second}: a second kernel, after {first}")]
    SecondKernel {
        /// The first one.
        first: String,
        /// The second one.
        second: String,
    },
    /// There are two ramdisks.
    #[error("{second}: a second ramdisk, after {first}")]
    SecondRamdisk {
        /// The first one.
        first: String,
        /// The second one.
        second: String,
    },
    /// The `reg` of a module is not one address and one size.
    #[error(
        "{node}: reg of {length} bytes is not one address and one size \
         (U-Boot: `fdt resize` makes room for it)"
    )]
    ModuleReg {
        /// The module.
        node: String,
        /// Length of the property in bytes.
        length: usize,
    },
    /// A module has no bytes.
    #[error("{node}: module at {start:#x} has size 0")]
    ModuleEmpty {
        /// The module.
        node: String,
        /// Its address.
        start: u64,
    },
    /// A module goes beyond the last 64-bit address.
    #[error("{node}: module of {size:#x} bytes at {start:#x} wraps around")]
    ModuleWraps {
        /// The module.
        node: String,
        /// Its address.
        start: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A property is not a string.
    #[error("{node}: {property} is not a NUL-terminated UTF-8 string")]
    Text {
        /// The node.
        node: String,
        /// The property.
        property: &'static str,
    },
}
