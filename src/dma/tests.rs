// SPDX-License-Identifier: Apache-2.0

use super::Dma;
use super::fake::Pci;
use crate::arch::fake::mmio;
use baton_core::hw_error::HwError;

/// All of a takeover, by one CPU.
fn stop(dma: &Dma) -> Result<(), HwError> {
    dma.begin();
    dma.stop_functions().and(dma.stop_bridges())
}

#[test]
fn all_functions_are_stopped_and_counted() {
    let pci = Pci::empty();
    let commands = [3, 30].map(|device| pci.add(device));
    let dma = pci.dma();
    assert_eq!(stop(&dma), Ok(()));
    for command in commands {
        assert_eq!(mmio::peek(command), 3, "Command");
    }
    assert_eq!(dma.stopped(), 2);
    assert_eq!(stop(&dma), Ok(()));
    assert_eq!(dma.stopped(), 0, "the second time");
}

#[test]
fn one_that_stays_a_master_is_an_error_and_the_others_are_stopped() {
    let pci = Pci::empty();
    let commands = [3, 30].map(|device| pci.add(device));
    mmio::stick(commands[0], 4);
    let dma = pci.dma();
    let expected = Err(HwError::Sticky {
        register: "PCI Command",
        wanted: 0,
        found: 4,
    });
    assert_eq!(stop(&dma), expected);
    assert_eq!(mmio::peek(commands[1]), 3, "Command of the other");
    assert_eq!(dma.stopped(), 1);
}

#[test]
fn nothing_is_read_beyond_the_last_bus() {
    let pci = Pci::empty();
    let command = pci.add_bridge(1);
    // It says that it leads to bus 1.
    mmio::poke(command + 0x14, 1 << 8);
    let dma = pci.dma();
    assert_eq!(stop(&dma), Ok(()));
    assert_eq!(dma.stopped(), 1);
}
