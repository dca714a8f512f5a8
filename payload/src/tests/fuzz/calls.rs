// SPDX-License-Identifier: Apache-2.0
//! Calls with any id and any arguments.

use super::field::Field;
use super::numbers::Numbers;
use crate::call::{self, Conduit};
use crate::cpu::Cpu;
use crate::outcome::{Outcome, ensure};
use baton_abi as abi;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Calls that were refused, on all CPUs.
pub fn refused() -> u64 {
    REFUSED.load(Relaxed)
}

/// An id in a range that PSCI, SMCCC or the monitor has.
pub fn known_id(numbers: &Numbers) -> u32 {
    let number = numbers.below(0x20) as u32;
    match numbers.below(12) {
        0..3 => 0x8400_0000 + number,
        3..5 => 0xc400_0000 + number,
        5 => 0xc600_0000 + number % 4,
        6 => 0x8600_ff00 + number % 4,
        7 => 0x8000_0000 + number % 4,
        8 => 0x8400_0050 + number,
        9 => 0x8400_0130 + number,
        10 => numbers
            .of(&[
                0x8000_8000,
                0x8000_7fff,
                0x8200_ff01,
                0x3200_0004,
                0xb200_0004,
                0x8400_0060,
            ])
            .unwrap_or(0),
        // The same with hints and reserved bits.
        _ => 0x8400_0000 | number | 1 << (16 + number % 8),
    }
}

/// Ids of calls that could end the machine, this CPU or the generation, or the test.
fn ends_something(id: u32) -> bool {
    let psci = id & 0x3f00_0000 == 0x0400_0000 && id & 0xffe0 == 0;
    // CPU_SUSPEND, CPU_OFF, CPU_ON, SYSTEM_OFF, SYSTEM_RESET, CPU_FREEZE, CPU_DEFAULT_SUSPEND,
    // SYSTEM_SUSPEND, SYSTEM_RESET2, SYSTEM_OFF2.
    let number = id & 0x1f;
    (psci && matches!(number, 0x1..=0x3 | 0x8 | 0x9 | 0xb..=0xe | 0x12 | 0x15)) || id == abi::KEXEC
        // It would write to anybody's memory.
        || id == abi::LOG
}

/// Makes the call `id` with any arguments, unless it would end something.
pub fn some(id: u32, numbers: &Numbers) -> Outcome {
    if ends_something(id & !(1 << 16)) {
        return Ok(());
    }
    let mut arguments = [0; 17];
    for argument in &mut arguments {
        *argument = numbers.argument();
    }
    let conduit = match numbers.below(2) {
        0 => Conduit::Hvc,
        _ => Conduit::Smc,
    };
    make(conduit, id, arguments, numbers.field).map(|_| ())
}

/// Makes a call. No register that it changes may hold an address of the monitor's memory.
pub fn make(conduit: Conduit, id: u32, arguments: [u64; 17], field: &Field) -> Outcome<i64> {
    let results = call::all(conduit, id, arguments);
    let (start, end) = field.monitor;
    let id64 = id.into();
    let given = core::iter::once(&id64).chain(&arguments);
    for (n, (seen, given)) in results.iter().zip(given).enumerate() {
        ensure!(
            seen == given || !(start..end).contains(seen),
            "{conduit:?} {id:#x}: expected no address of the monitor in x{n}, seen {seen:#x}"
        );
    }
    let code = results[0] as i64;
    REFUSED.fetch_add(u64::from(code < 0 || results[0] >> 31 == 1), Relaxed);
    Ok(code)
}

/// REPORT to buffers in and outside guest memory.
pub fn report(this: &Cpu, numbers: &Numbers) -> Outcome {
    let mut arguments = [0; 17];
    // A buffer that is accepted is this CPU's own.
    let buffer = match numbers.below(2) {
        0 => numbers.in_monitor() - numbers.below(2) * 8,
        _ => numbers
            .of(&[
                0,
                numbers.field.monitor.0 - 8,
                1 << 47,
                u64::MAX - 7,
                numbers.field.page(this, 0) + 4,
            ])
            .unwrap_or(0),
    };
    let size = numbers
        .of(&[0, 8, 1 << 20, u64::MAX, u64::MAX - 7])
        .unwrap_or(0);
    arguments[..2].copy_from_slice(&[buffer, size]);
    let seen = make(Conduit::Hvc, abi::REPORT, arguments, numbers.field)?;
    ensure!(
        size < 1 << 20 || seen < 0,
        "REPORT to {size:#x} bytes at {buffer:#x}: expected an error, seen {seen}"
    );
    Ok(())
}

/// LOG to buffers in and outside guest memory.
pub fn log(this: &Cpu, numbers: &Numbers) -> Outcome {
    let own = numbers.field.page(this, 0) + 4;
    let sizes = [8, 1 << 16, u64::MAX, u64::MAX - 7];
    let (buffer, size) = match numbers.below(2) {
        0 => (own, 8),
        _ => (numbers.in_monitor(), numbers.of(&sizes).unwrap_or(8)),
    };
    let mut arguments = [0; 17];
    arguments[..3].copy_from_slice(&[buffer, size, numbers.argument()]);
    let seen = make(Conduit::Hvc, abi::LOG, arguments, numbers.field)?;
    ensure!(
        (buffer == own && (0..=8).contains(&seen)) || (buffer != own && seen < 0),
        "LOG to {size:#x} bytes at {buffer:#x}: seen {seen}"
    );
    Ok(())
}
