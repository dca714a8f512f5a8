// SPDX-License-Identifier: Apache-2.0
//! The monitor's log, as Linux shows it while it runs: a [`LogHeader`], and the ring behind it.
//!
//! | offset | bytes         | what                                                              |
//! |--------|---------------|-------------------------------------------------------------------|
//! | 0      | 8             | [`MAGIC`]; 0 as long as there is no line                          |
//! | 8      | 4             | [`VERSION`]                                                       |
//! | 12     | 1             | what all bytes of the ring add up to                              |
//! | 13     | 1             | checksum: all bytes of header and ring add up to 0                |
//! | 14     | 2             | 0                                                                 |
//! | 16     | 8             | how many bytes the ring has: [`LOG_SIZE`]                         |
//! | 24     | 8             | how many bytes were written since the first line                  |
//! | 32     | [`LOG_SIZE`]  | the ring: the byte with the number n is at n modulo its size      |
//!
//! It is lines of text, each with a newline at its end; where it has gone round, the oldest one is not whole. It
//! changes whenever the monitor says something: who reads it reads it until two times in a row are the same.
//!
//! On a machine of a device tree it is the monitor's own memory, which the guest may read. A node of the root is
//! [`COMPATIBLE`] with it, and with memory that Linux shows as a file for root, without a module:
//! `/sys/bus/platform/devices/ADDRESS.baton-log/ADDRESS.sram`. With ACPI it is a part of the table
//! ([`acpi`](crate::acpi)); where Baton came too late for one, a kernel has the log itself among the memory of ACPI's
//! tables, which root may read in `/proc/kcore`, and [`PROPERTY`] of `/chosen/baton` says where.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `"BATONLOG"`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"BATONLOG");
/// Raised by changes of the layout.
pub const VERSION: u32 = 1;
/// Name of the node in the device tree, without its address.
pub const NODE: &str = "baton-log";
/// What the node is compatible with (Linux, Documentation/devicetree/bindings/sram/sram.yaml).
pub const COMPATIBLE: &str = "baton,log\0mmio-sram\0";
/// Name of the property with its physical address and its size in bytes, two numbers of 64 bits.
pub const PROPERTY: &str = "log";
/// Bytes of header and ring.
pub const SIZE: usize = 64 << 10;
/// Bytes of the ring: so much of the log is kept.
pub const LOG_SIZE: usize = SIZE - size_of::<LogHeader>();

/// What is before the ring. All zero is a log without any line.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct LogHeader {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// What all bytes of the ring add up to.
    pub sum: u8,
    /// Makes all bytes of header and ring add up to 0.
    pub checksum: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// Bytes of the ring.
    pub size: u64,
    /// Bytes that were written since the first line: the offset of the next one.
    pub end: u64,
}

impl LogHeader {
    /// Returns that of a log without any line.
    pub const fn new() -> Self {
        Self {
            magic: 0,
            version: 0,
            sum: 0,
            checksum: 0,
            reserved: [0; 2],
            size: 0,
            end: 0,
        }
    }
}
