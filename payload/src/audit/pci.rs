// SPDX-License-Identifier: Apache-2.0
//! What functions of PCI may do (PCI Express Base Specification 6.0, 7.5.1.1.3).

use super::sheet::{Index, Page};
use crate::pci::{BUS_MASTER, Pci};
use baton_abi::steps;

/// Makes every function of the first bus a master of it.
pub fn dirty(pci: Pci) {
    pci.functions()
        .for_each(|(_, function)| function.make_master());
}

/// Adds the Command of each: none may be a master.
pub fn audit(page: &mut Page, pci: Pci, place: usize) {
    for (number, function) in pci.functions() {
        let step = if function.is_bridge() {
            steps::PCI_BRIDGES
        } else {
            steps::PCI_DMA
        };
        page.add(
            (step, "PCI Command<n>", Index::At(number)),
            place,
            0,
            BUS_MASTER.into(),
            function.command().into(),
        );
    }
}
