// SPDX-License-Identifier: Apache-2.0

use super::fake::Pci;
use crate::arch::fake::mmio;
use baton_core::hw_error::HwError;

#[test]
fn all_functions_are_stopped_and_counted() {
    let pci = Pci::empty();
    let commands = [3, 30].map(|device| pci.add(device));
    let dma = pci.dma();
    assert_eq!(dma.stop_pci(), Ok(()));
    for command in commands {
        assert_eq!(mmio::peek(command), 3, "Command");
    }
    assert_eq!(dma.stopped(), 2);
    assert_eq!(dma.stop_pci(), Ok(()));
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
    assert_eq!(dma.stop_pci(), expected);
    assert_eq!(mmio::peek(commands[1]), 3, "Command of the other");
    assert_eq!(dma.stopped(), 1);
}

#[test]
fn nothing_is_read_beyond_the_last_bus() {
    let pci = Pci::empty();
    let bridge = pci.add(1) - 4;
    // It says that it leads to bus 1.
    mmio::poke(bridge + 0xc, 1 << 16);
    mmio::poke(bridge + 0x18, 1 << 8);
    let dma = pci.dma();
    assert_eq!(dma.stop_pci(), Ok(()));
    assert_eq!(dma.stopped(), 1);
}
