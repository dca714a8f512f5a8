// SPDX-License-Identifier: Apache-2.0
//! The calls by which a guest asks Baton by name, and the report they return.
//!
//! All of them are SMCCC fast calls over `HVC` (DEN0028 section 6, owning entity 6: vendor specific
//! hypervisor service). Arguments and results are 64 bits wide; addresses are guest physical
//! addresses in bytes, times are ticks of `CNTPCT_EL0`.
//!
//! | function           | id           | arguments                   | result                          |
//! |--------------------|--------------|-----------------------------|---------------------------------|
//! | [`UID`]            | `0x8600FF01` |                             | w0–w3: [`UID_WORDS`]            |
//! | [`REVISION`]       | `0x8600FF03` |                             | w0: major, w1: minor            |
//! | [`FEATURES`]       | `0xC6000000` |                             | x0: bit n is set if there is a function n |
//! | [`KEXEC`]          | `0xC6000001` | x1: list, x2: entry, x3: device tree | x0: an error; none on success |
//! | [`REPORT`]         | `0xC6000002` | x1: buffer, x2: its size    | x0: size of the report in bytes, or an error |
//! | [`LOG`]            | `0xC6000003` | x1: buffer, x2: its size, x3: offset | x0: bytes written, or an error; x1: the next offset |
//! | [`REGISTERS`]      | `0xC6000004` | x1: buffer, x2: its size, x3: CPU | x0: bytes written, or an error |
//!
//! # KEXEC
//!
//! Takes over all CPUs for the next kernel. x1 is the physical address of the first page of an
//! indirection list like that of Linux's `kimage`: 64-bit entries, each an address with a flag in
//! its low bits ([`IND_DESTINATION`], [`IND_INDIRECTION`], [`IND_SOURCE`], [`IND_DONE`]). Pages
//! have 4 KiB. A source must not be in the destination of another source. The next kernel is
//! entered at x2 with x0 = x3, MMU and caches off, on the calling CPU; all other CPUs are `OFF`.
//!
//! x3 is where the device tree will be. Its pages follow each other on the list, or it is in place and
//! none of them is on the list. It must keep the next kernel off the monitor's memory; where it does
//! not, an entry is added to its memory reservation block, for which 16 bytes of its `totalsize` must be
//! free behind its blocks. It must not have CPUs start around the monitor.
//!
//! The call returns only if it is refused: the other CPUs have stood still meanwhile, and go on where they were.
//!
//! | x0                   | meaning                                                     |
//! |----------------------|-------------------------------------------------------------|
//! | `INVALID_ADDRESS`    | the list, the entry or the device tree is not in guest memory |
//! | `INVALID_PARAMETERS` | the list has no end, an unknown flag, or an overlap; or what x3 names is no such device tree |
//! | `DENIED`             | a takeover is under way already                             |
//!
//! # REPORT
//!
//! Writes a [`ReportHeader`] and then [`ReportHeader::rows`] times a [`ReportRow`], and returns the
//! size of all that in bytes. Writes nothing if x2 is smaller than that; x1 = x2 = 0 asks for the
//! size. x1 must be a multiple of 8. Returns `NOT_PRESENT` before the first takeover.
//!
//! # LOG
//!
//! Writes the monitor's log from offset x3 on, counted in bytes from its first line, to the buffer, and
//! returns how many bytes it wrote in x0 and where to go on in x1: 0 bytes are the end, up to now. The
//! log is lines of text, each with a newline at its end. Its last [`LOG_SIZE`](log::LOG_SIZE) bytes are kept: where
//! those at x3 are gone, it begins with the oldest whole line; x1 - x0 says where that is. Returns
//! `INVALID_ADDRESS` if not all of the buffer is in guest memory.
//!
//! # REGISTERS
//!
//! Writes a [`StoppedCpu`]: the registers that the last panic found in the CPU with the number x3, counted from 0 in
//! the order of [`ReportRow`]s, as they went into its note of the dump. They are there until the next panic. x1 must be
//! a multiple of 8.
//!
//! | x0                   | meaning                                                     |
//! |----------------------|-------------------------------------------------------------|
//! | `INVALID_ADDRESS`    | not all of the buffer is in guest memory                    |
//! | `INVALID_PARAMETERS` | there is no such CPU, or x1 is no multiple of 8, or x2 is less than a [`StoppedCpu`] has |
//! | `NOT_PRESENT`        | no panic was carried so far                                 |
#![no_std]
#![forbid(unsafe_code)]

pub mod acpi;
pub mod hooks;
pub mod log;
pub mod steps;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Function id of the call that returns [`UID_WORDS`] (SMCCC 1.1, section 6.2).
pub const UID: u32 = 0x8600_ff01;
/// Function id of the call that returns [`REVISION_MAJOR`] and [`REVISION_MINOR`].
pub const REVISION: u32 = 0x8600_ff03;
/// Function id of the call that returns [`FEATURE_BITS`].
pub const FEATURES: u32 = 0xc600_0000;
/// Function id of the call that takes all CPUs over to another kernel.
pub const KEXEC: u32 = 0xc600_0001;
/// Function id of the call that returns the report of the last takeover.
pub const REPORT: u32 = 0xc600_0002;
/// Function id of the call that reads the log.
pub const LOG: u32 = 0xc600_0003;
/// Function id of the call that returns the registers of a CPU that a panic has stopped.
pub const REGISTERS: u32 = 0xc600_0004;

/// Baton's UUID, 5c1c4a9e-6f0b-4d0e-9d52-2b4e3a6c8f17, as w0–w3 (SMCCC: each word little-endian).
pub const UID_WORDS: [u32; 4] = [0x9e4a_1c5c, 0x0e4d_0b6f, 0x4e2b_529d, 0x178f_6c3a];
/// Major revision: raised by changes that callers of an older one cannot take.
pub const REVISION_MAJOR: u32 = 1;
/// Minor revision: raised by additions.
pub const REVISION_MINOR: u32 = 3;
/// The result of [`FEATURES`]: a bit for each function, numbered by the low 16 bits of its id.
pub const FEATURE_BITS: u64 = 1 << (FEATURES & 0xffff)
    | 1 << (KEXEC & 0xffff)
    | 1 << (REPORT & 0xffff)
    | 1 << (LOG & 0xffff)
    | 1 << (REGISTERS & 0xffff);

/// Flag of an entry that is the destination of the next source (Linux `include/linux/kexec.h`).
pub const IND_DESTINATION: u64 = 1;
/// Flag of an entry that is the address of the list's next page.
pub const IND_INDIRECTION: u64 = 2;
/// Flag of the entry that ends the list.
pub const IND_DONE: u64 = 4;
/// Flag of an entry that is a page to copy. After it the destination is a page further.
pub const IND_SOURCE: u64 = 8;

/// `"BATONRPT"`, the first eight bytes of a report.
pub const REPORT_MAGIC: u64 = u64::from_le_bytes(*b"BATONRPT");
/// Version of the layout of [`ReportHeader`] and [`ReportRow`].
pub const REPORT_VERSION: u64 = 5;

/// [`ReportHeader::source`]: the request came from Linux's own kexec, by the patched calls in
/// `kernel_kexec()`.
pub const SOURCE_HOOK: u64 = 1;
/// [`ReportHeader::source`]: the request came from the call [`KEXEC`].
pub const SOURCE_CALL: u64 = 2;
/// [`ReportHeader::source`]: the kernel had panicked, and left for its crash kernel by the patched calls in
/// `__crash_kexec()`.
pub const SOURCE_CRASH: u64 = 3;
/// [`ReportHeader::source`]: the interrupt for that has come (`crash-irq=`), and the monitor has ended the kernel for
/// its crash kernel.
pub const SOURCE_INTERRUPT: u64 = 4;

/// Returns whether a [`ReportHeader::source`] leads to a crash kernel.
pub const fn is_crash(source: u64) -> bool {
    matches!(source, SOURCE_CRASH | SOURCE_INTERRUPT)
}

/// [`ReportRow::flags`]: the CPU took part in the takeover.
pub const ROW_TOOK_PART: u64 = 1;
/// [`ReportRow::flags`]: the CPU did not arrive in time, and was given up.
pub const ROW_MISSING: u64 = 2;
/// [`ReportRow::flags`]: the CPU made the request, and boots the next kernel.
pub const ROW_BOOT_CPU: u64 = 4;

/// [`ReportRow::dump`]: there was no panic, or the registers are those of a panic before.
pub const DUMP_NONE: u64 = 0;
/// [`ReportRow::dump`]: the CPU's registers are in its note of the dump.
pub const DUMP_REGISTERS: u64 = 1;
/// [`ReportRow::dump`]: the kernel has written the CPU's note itself, with what it says there.
pub const DUMP_KERNELS: u64 = 2;
/// [`ReportRow::dump`]: the CPU was off. Its note has no registers, but for those that the kernel wrote itself.
pub const DUMP_OFF: u64 = 3;
/// [`ReportRow::dump`]: the CPU did not arrive in time, and its note has no registers.
pub const DUMP_MISSING: u64 = 4;
/// [`ReportRow::dump`]: it is not known which note is the CPU's; its registers are in none.
pub const DUMP_NO_NOTE: u64 = 5;

/// The last takeover as a whole. Times are ticks of `CNTPCT_EL0`, and 0 for what did not happen.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ReportHeader {
    /// [`REPORT_MAGIC`].
    pub magic: u64,
    /// [`REPORT_VERSION`].
    pub version: u64,
    /// Size of this header in bytes.
    pub header_size: u64,
    /// Size of a row in bytes.
    pub row_size: u64,
    /// Number of rows: one for each CPU of the machine, in the order of the device tree.
    pub rows: u64,
    /// Generation of the kernel that the takeover started; that of the first kernel is 0.
    pub generation: u64,
    /// Ticks per second (`CNTFRQ_EL0`).
    pub frequency: u64,
    /// [`SOURCE_HOOK`], [`SOURCE_CALL`], [`SOURCE_CRASH`] or [`SOURCE_INTERRUPT`].
    pub source: u64,
    /// When the request reached the monitor.
    pub requested: u64,
    /// When the request had been found valid, by all CPUs and with nothing of theirs changed.
    pub validated: u64,
    /// When the old kernel had lost its memory, and all CPUs had been kicked.
    pub kicked: u64,
    /// When the last CPU had finished phase 1 (ONLINE to TEARDOWN_CPU).
    pub phase1_end: u64,
    /// When the boot CPU had finished phase 2 (shared state).
    pub phase2_end: u64,
    /// When the last CPU had finished phase 3 (TEARDOWN_CPU to IDLE_DEAD).
    pub phase3_end: u64,
    /// When the next kernel was entered.
    pub entered: u64,
    /// How many bytes were copied.
    pub copied: u64,
    /// How many bytes behind the file of a segment were zeroed.
    pub zeroed: u64,
    /// How many CPUs did not arrive in time.
    pub missing: u64,
    /// How many teardown steps failed, on all CPUs together.
    pub failed_steps: u64,
    /// How often the old kernel exited for PSCI and SMCCC calls.
    pub exits_call: u64,
    /// How often the old kernel exited for the patched calls.
    pub exits_hook: u64,
    /// How often the old kernel exited for stage 2 faults, before the takeover.
    pub exits_fault: u64,
    /// How often the old kernel exited for any other cause: mostly stores to the registers that
    /// tell the interrupt controller its tables and commands.
    pub exits_other: u64,
    /// When all CPUs were in the monitor (since version 3, in which they gather before the request is
    /// validated).
    pub gathered: u64,
    /// How many ticks of the validation the boot CPU worked alone.
    pub checked_alone: u64,
    /// How many ticks of these it looked at the next kernel's device tree.
    pub checked_tree: u64,
    /// How many functions of PCI lost their bus mastering (since version 4).
    pub pci_stopped: u64,
    /// How many SMMUs were shut, until a driver sets them up (since version 4).
    pub smmus_shut: u64,
}

impl ReportHeader {
    /// Returns that of a machine with so many CPUs, of which nothing is known yet.
    pub fn of_cpus(cpus: usize) -> Self {
        Self {
            magic: REPORT_MAGIC,
            version: REPORT_VERSION,
            header_size: size_of::<Self>() as u64,
            row_size: size_of::<ReportRow>() as u64,
            rows: cpus as u64,
            ..Default::default()
        }
    }
}

/// Returns how many bytes the report of so many CPUs has: a header and its rows.
pub const fn report_size(cpus: usize) -> usize {
    size_of::<ReportHeader>() + cpus * size_of::<ReportRow>()
}

/// One CPU in the last takeover. Times are ticks of `CNTPCT_EL0`, and 0 for what did not happen.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ReportRow {
    /// The affinity fields of the CPU's `MPIDR_EL1`.
    pub mpidr: u64,
    /// [`ROW_TOOK_PART`], [`ROW_MISSING`], [`ROW_BOOT_CPU`].
    pub flags: u64,
    /// When the CPU had arrived in the monitor.
    pub arrived: u64,
    /// When it had finished phase 1.
    pub phase1_end: u64,
    /// When it began to copy.
    pub copy_start: u64,
    /// When it had copied its share.
    pub copy_end: u64,
    /// When it had finished phase 3.
    pub phase3_end: u64,
    /// When it entered the next kernel.
    pub online: u64,
    /// How many bytes it copied and zeroed.
    pub copied: u64,
    /// When it began phase 3 (since version 2).
    pub phase3_start: u64,
    /// When it began to check its part of the request (since version 3).
    pub check_start: u64,
    /// When it had checked it.
    pub check_end: u64,
    /// How many ticks between both it checked, and did not wait for others.
    pub checked: u64,
    /// When it began phase 1.
    pub phase1_start: u64,
    /// What a panic has put of the CPU into the dump (since version 5): [`DUMP_REGISTERS`] and others.
    pub dump: u64,
    /// Where the CPU was stopped by a panic, if its registers are known (since version 5, as the following).
    pub pc: u64,
    /// Its stack pointer then.
    pub sp: u64,
    /// Its link register, x30.
    pub lr: u64,
    /// Its PSTATE, in the format of SPSR_EL2.
    pub pstate: u64,
}

/// A CPU that a panic has stopped.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StoppedCpu {
    /// The affinity fields of the CPU's `MPIDR_EL1`.
    pub mpidr: u64,
    /// As [`ReportRow::dump`]. With [`DUMP_REGISTERS`] and [`DUMP_NO_NOTE`] the registers follow; else they are 0.
    pub dump: u64,
    /// x0 to x30.
    pub x: [u64; 31],
    /// The stack pointer that was in use.
    pub sp: u64,
    /// Where the CPU would have gone on.
    pub pc: u64,
    /// PSTATE in the format of SPSR_EL2.
    pub pstate: u64,
}
