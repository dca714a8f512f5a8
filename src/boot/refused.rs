// SPDX-License-Identifier: Apache-2.0
//! Started at a level other than EL2, or on a CPU without `HCR_EL2.E2H` = 0: the end, with the reason.
//!
//! The MMU is off, so that all memory is Device memory, where exclusives need not work (Arm ARM,
//! "Load-Exclusive and Store-Exclusive instruction usage restrictions"):
//! there is no lock here, and no log.

use super::loader_tree::tree;
use crate::arch::barrier::halt;
use crate::console;
use crate::memory::heap::HEAP;
use baton_core::devicetree::blob;
use baton_core::devicetree::board::{self, Board};
use baton_core::devicetree::psci::Conduit;
use core::arch::asm;
use core::fmt::{self, Display, Formatter};
use smccc::{Hvc, Smc, psci};

/// Why the monitor does not run.
enum Refusal {
    /// The exception level that it was started at.
    Level(u64),
    /// The CPU keeps `HCR_EL2.E2H`; its `ID_AA64MMFR4_EL1`.
    E2h(u64),
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Level(level) => write!(
                f,
                "started at EL{level}, and needs EL2: give the machine its virtualization extensions \
                 (QEMU: -M virt,virtualization=on), or take a boot loader that stays at EL2"
            ),
            Self::E2h(mmfr4) => write!(
                f,
                "this CPU cannot clear HCR_EL2.E2H (ID_AA64MMFR4_EL1 {mmfr4:#x}), without which Baton does \
                 not run"
            ),
        }
    }
}

/// Says why, and powers the machine off. Called by `head.S` at any level, with the MMU off, with the physical
/// address of the device tree, or of something else.
#[unsafe(no_mangle)]
extern "C" fn boot_refused(fdt: u64) -> ! {
    HEAP.init_without_mmu();
    let level: u64;
    let mmfr4: u64;
    // SAFETY: Both can be read at any level above EL0; where ID_AA64MMFR4_EL1 is not known it is zero.
    unsafe {
        asm!(
            "mrs {level}, CurrentEL",
            "mrs {mmfr4}, S3_0_C0_C7_4",
            level = out(reg) level,
            mmfr4 = out(reg) mmfr4,
            options(nomem, nostack)
        );
    }
    let refusal = match level >> 2 & 3 {
        2 => Refusal::E2h(mmfr4),
        level => Refusal::Level(level),
    };
    let blob = blob::open(tree(fdt)).ok();
    if let Some(console) = blob.and_then(|blob| board::console(blob).ok()) {
        // SAFETY: The MMU is off, and nothing else runs.
        unsafe { console::line_without_mmu(&console, format_args!("{refusal}; powering off")) };
    }
    match blob
        .and_then(|blob| Board::read_with(blob, None).ok())
        .and_then(|board| board.hardware.psci)
        .map(|psci| psci.conduit)
    {
        Some(Conduit::Hvc) => drop(psci::system_off::<Hvc>()),
        // Below EL2 an SMC may have nobody to answer it: without PSCI nothing is called.
        Some(Conduit::Smc) => drop(psci::system_off::<Smc>()),
        None => {}
    }
    halt()
}
