// SPDX-License-Identifier: Apache-2.0
//! Started at a level other than EL2: the end, with the reason.

use super::loader_tree::tree;
use crate::arch::barrier::halt;
use crate::console;
use crate::memory::heap::HEAP;
use baton_core::devicetree::blob;
use baton_core::devicetree::board::{self, Board};
use baton_core::devicetree::psci::Conduit;
use core::arch::asm;
use log::LevelFilter;
use smccc::{Hvc, Smc, psci};

/// Started at EL1 or EL3, with the MMU off. Called by `head.S`.
#[unsafe(no_mangle)]
extern "C" fn started_elsewhere(fdt: u64) -> ! {
    HEAP.init_early();
    console::start(LevelFilter::Info);
    let level: u64;
    // SAFETY: CurrentEL can be read at any level above EL0.
    unsafe { asm!("mrs {level}, CurrentEL", level = out(reg) level, options(nomem, nostack)) };
    let tree = tree(fdt);
    let blob = blob::open(tree).ok();
    if let Some(console) = blob.and_then(|blob| board::console(blob).ok()) {
        // SAFETY: The MMU is off, so that the UART is where it is, as a device.
        unsafe { console::open(&console) };
    }
    log::error!(
        "started at EL{}, and needs EL2: give the machine its virtualization extensions \
         (QEMU: -M virt,virtualization=on), or take a boot loader that stays at EL2; powering off",
        level >> 2 & 3
    );
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
