// SPDX-License-Identifier: Apache-2.0
//! `test=debug-registers`: in each generation the CPUs' debug registers in memory are disabled in the tree, and
//! are not there; what lies beside them is.

use super::kexec::go_on;
use crate::console::say;
use crate::context::Context;
use crate::exception::{EC_DATA_ABORT, attempt};
use crate::mmio::{read8, read32, read64, write32};
use crate::options::Caller;
use crate::outcome::{Failure, Outcome, ensure, expect, fail};
use crate::states::Wanted;
use core::arch::asm;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// What the component identification registers of PrimeCells read as, behind their part's (Arm DDI 0183, 3.3.14).
const CELL_ID: u64 = 0xff0;
const CELL: u32 = 0x0d;
/// The clock of QEMU's virt board, in the next page but one.
const BESIDE: u64 = 0x901_0000;

/// Tries them, then reboots.
pub fn run(context: &Context) -> Outcome {
    let registers = registers(context)?;
    expect("the PrimeCell beside", CELL, read32(BESIDE + CELL_ID))?;
    expect("a word", 0, read32(registers + CELL_ID))?;
    expect("a byte", 0, read8(registers + CELL_ID))?;
    expect("two words", 0, read64(registers + CELL_ID))?;
    write32(registers + CELL_ID, u32::MAX);
    // A load of two registers, of which no syndrome tells.
    // SAFETY: a guarded access, which ends in an abort.
    let pair = attempt(|| unsafe {
        asm!("ldp {}, {}, [{}]", out(reg) _, out(reg) _, in(reg) registers, options(nostack, readonly));
    });
    match pair {
        Err(fault) if fault.class() == EC_DATA_ABORT && fault.far == registers => {}
        seen => fail!("a load of a pair at {registers:#x}: expected an abort, seen {seen:x?}"),
    }
    say!("debug registers at {registers:#x} are disabled, and read zero");
    go_on(context, Wanted::Mix, Caller::Boot)
}

/// Returns where the first registers are, all of which must be disabled.
fn registers(context: &Context) -> Outcome<u64> {
    let Ok(fdt) = Fdt::new(context.machine.fdt) else {
        fail!("expected a device tree, seen none")
    };
    let of_cpus = |node: &FdtNode<'static>| {
        node.is_compatible("arm,coresight-cpu-debug") || node.property("cpu").is_some()
    };
    let root = fdt.root();
    let mut nodes = root.children().filter(of_cpus).peekable();
    let first = nodes.peek().copied();
    for node in nodes {
        let status = node.property("status");
        ensure!(
            status.is_some_and(|status| status.value() == b"disabled\0"),
            "expected {} to be disabled, seen another status",
            node.name()
        );
    }
    let mut reg = first
        .and_then(|node| node.reg().ok().flatten())
        .into_iter()
        .flatten();
    let address = reg.next().and_then(|reg| reg.address().ok());
    address.ok_or_else(|| {
        Failure::new(format_args!(
            "expected debug registers in the tree, seen none"
        ))
    })
}
