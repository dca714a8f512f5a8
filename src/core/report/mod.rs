// SPDX-License-Identifier: Apache-2.0
//! The report of a takeover as text: on the console, in the next kernel's device tree, and in ACPI.
#![forbid(unsafe_code)]

pub mod acpi;
pub mod property;
pub mod table;
pub mod times;

use baton_abi::{ReportHeader, SOURCE_CRASH, SOURCE_HOOK, SOURCE_INTERRUPT};

/// Returns the name of the request source.
fn source(header: &ReportHeader) -> &'static str {
    match header.source {
        SOURCE_HOOK => "kernel_kexec()",
        SOURCE_CRASH => "__crash_kexec()",
        SOURCE_INTERRUPT => "the crash interrupt",
        _ => "the KEXEC call",
    }
}
