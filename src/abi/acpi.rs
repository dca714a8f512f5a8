// SPDX-License-Identifier: Apache-2.0
//! The report in ACPI: a table of Baton's own, on a machine whose firmware lets one be installed. Linux
//! shows it as `/sys/firmware/acpi/tables/BATN`, without a driver.
//!
//! It is there before the first kernel runs. Each takeover writes it anew, in place; the log is written whenever
//! the monitor says something. Numbers are little-endian (ACPI 6.5, 5.2.6):
//!
//! | offset | bytes | what                                                                     |
//! |--------|-------|--------------------------------------------------------------------------|
//! | 0      | 4     | [`SIGNATURE`]                                                            |
//! | 4      | 4     | the length of the table, [`size`]                                        |
//! | 8      | 1     | [`REVISION`]                                                             |
//! | 9      | 1     | checksum: all bytes of the table add up to 0                             |
//! | 10     | 6     | [`OEM_ID`]                                                               |
//! | 16     | 8     | [`OEM_TABLE_ID`]                                                         |
//! | 24     | 4     | OEM revision: [`REVISION`]                                               |
//! | 28     | 4     | creator: [`SIGNATURE`]                                                   |
//! | 32     | 4     | creator revision: [`REVISION`]                                           |
//! | 36     | 4096  | the report as text of ASCII, the first line `Baton report v1`; then NULs |
//! | 4132   |       | [`ReportHeader`](crate::ReportHeader), and a [`ReportRow`](crate::ReportRow) for each CPU |
//! | [`log()`] | 65536 | the log: [`log`](crate::log); its bytes add up to 0 (since revision 2) |
//!
//! Before the first takeover the text says `no reboot yet`, and the header's generation is 0. Its `entered` is
//! when the table was written, just before the next kernel was entered; what comes later, as `online` of a row, is
//! 0. The device tree's properties `report` and `times` of `/baton` are the same text, and the same header and
//! rows; a tree that has nothing but `/chosen` has the node below that. The tree's text ends with the last lines of the
//! log, that of the table, since revision 2, without any.

/// The table's signature, which is its name.
pub const SIGNATURE: [u8; 4] = *b"BATN";
/// Raised by changes of the layout.
pub const REVISION: u8 = 2;
/// Whose table it is.
pub const OEM_ID: [u8; 6] = *b"BATON ";
/// Which of their tables.
pub const OEM_TABLE_ID: [u8; 8] = *b"REPORT  ";
/// Offset of the checksum.
pub const CHECKSUM: usize = 9;
/// Offset of the text: the length of the header.
pub const TEXT: usize = 36;
/// Bytes of the text.
pub const TEXT_SIZE: usize = 4096;
/// Offset of the header and the rows.
pub const TIMES: usize = TEXT + TEXT_SIZE;

/// Returns the offset of the log in the table of a machine with so many CPUs.
pub const fn log(cpus: usize) -> usize {
    TIMES + crate::report_size(cpus)
}

/// Returns how many bytes the table of a machine with so many CPUs has.
pub const fn size(cpus: usize) -> usize {
    log(cpus) + crate::log::SIZE
}
