// SPDX-License-Identifier: Apache-2.0
//! Why a board is not read from ACPI.

use super::signature::Signature;
use crate::memory::region::RegionError;
use thiserror::Error;

/// Why the monitor cannot run on the board that ACPI describes. Addresses are physical; an MPIDR is
/// the value that the table has.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AcpiError {
    /// There is no RSDP where there should be one.
    #[error("no RSDP at {0:#x}")]
    NoRsdp(u64),
    /// The bytes of the RSDP do not add up to 0.
    #[error("RSDP at {address:#x}: its bytes add up to {sum:#x}, not to 0")]
    RsdpChecksum {
        /// Its address.
        address: u64,
        /// The sum of its bytes.
        sum: u8,
    },
    /// The RSDP says that it has fewer bytes than its revision needs, or very many.
    #[error("RSDP at {address:#x}: it cannot have {length} bytes")]
    RsdpLength {
        /// Its address.
        address: u64,
        /// Its length in bytes.
        length: u32,
    },
    /// A table is not in memory that can be read.
    #[error("{table} at {address:#x}: its {length} bytes cannot be read")]
    Unreadable {
        /// Which one.
        table: Signature,
        /// Its address.
        address: u64,
        /// Its length in bytes, or that of a header.
        length: u32,
    },
    /// Another table is where this one should be.
    #[error("no {table} at {address:#x}, but {found}")]
    OtherTable {
        /// Which one.
        table: Signature,
        /// The one that is there.
        found: Signature,
        /// The address.
        address: u64,
    },
    /// A table is shorter than its header, or longer than any.
    #[error("{table} at {address:#x}: it cannot have {length} bytes")]
    Length {
        /// Which one.
        table: Signature,
        /// Its address.
        address: u64,
        /// Its length in bytes.
        length: u32,
    },
    /// The bytes of a table do not add up to 0.
    #[error("{table} at {address:#x}: its bytes add up to {sum:#x}, not to 0")]
    Checksum {
        /// Which one.
        table: Signature,
        /// Its address.
        address: u64,
        /// The sum of its bytes.
        sum: u8,
    },
    /// XSDT or RSDT name more tables than any machine has.
    #[error("{table} names {count} tables")]
    TooMany {
        /// Which one.
        table: Signature,
        /// How many it names.
        count: usize,
    },
    /// There is no such table.
    #[error("no table {0}")]
    Missing(Signature),
    /// An entry of the MADT is shorter than its type, or goes beyond the table.
    #[error("MADT: entry of type {kind:#x} at {offset:#x} cannot have {length} bytes")]
    Entry {
        /// Its type.
        kind: u8,
        /// Where it is, in bytes from the beginning of the table.
        offset: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// There is no CPU that can be used.
    #[error("MADT: no GICC of a CPU that is enabled")]
    NoCpus,
    /// The MPIDR of a CPU has bits that are not of the affinity.
    #[error("MADT: MPIDR {mpidr:#x} is not the affinity of a CPU")]
    Mpidr {
        /// The value.
        mpidr: u64,
    },
    /// Two CPUs have the same MPIDR.
    #[error("MADT: two CPUs with the MPIDR {mpidr:#x}")]
    SecondCpu {
        /// Its affinity fields.
        mpidr: u64,
    },
    /// There is no distributor.
    #[error("MADT: no GICD")]
    NoDistributor,
    /// There are two distributors.
    #[error("MADT: two GICDs, at {first:#x} and {second:#x}")]
    SecondDistributor {
        /// Address of the first one.
        first: u64,
        /// Address of the second one.
        second: u64,
    },
    /// The interrupt controller is none that is known.
    #[error("MADT: GIC version {0}")]
    GicVersion(u8),
    /// A CPU of a GICv3 has no redistributor.
    #[error("MADT: no GICR, and none in the GICC of CPU {mpidr:#x}")]
    NoRedistributor {
        /// MPIDR of the CPU.
        mpidr: u64,
    },
    /// Two redistributors have addresses in common.
    #[error("MADT: the redistributors at {first:#x} and {second:#x} overlap")]
    Redistributors {
        /// Address of one.
        first: u64,
        /// Address of the other.
        second: u64,
    },
    /// A CPU of a GICv2 has no CPU interface, or not the one that the first CPU has.
    #[error(
        "MADT: CPU interface of CPU {mpidr:#x} at {address:#x}, that of the first CPU at {first:#x}"
    )]
    CpuInterface {
        /// MPIDR of the CPU.
        mpidr: u64,
        /// Its address.
        address: u64,
        /// Address of the one of the first CPU.
        first: u64,
    },
    /// A part of the interrupt controller is not at an address that can be.
    #[error("MADT: {0}")]
    Region(#[from] RegionError),
    /// The FADT is older than PSCI in it.
    #[error("FADT {major}.{minor} with {length} bytes is older than PSCI in it, 5.1")]
    Fadt {
        /// Its version.
        major: u8,
        /// Its minor version.
        minor: u8,
        /// Its length in bytes.
        length: usize,
    },
    /// Firmware has no PSCI.
    #[error("FADT: firmware has no PSCI")]
    NoPsci,
    /// Firmware has no PSCI, and CPUs wait in the parking protocol.
    #[error(
        "FADT: firmware has no PSCI, and CPU {mpidr:#x} waits in the parking protocol, which is not served"
    )]
    ParkingProtocol {
        /// MPIDR of the first such CPU.
        mpidr: u64,
    },
}
