// SPDX-License-Identifier: Apache-2.0
//! What the tree says of the system counter (Linux, `arm,arch_timer.yaml`).

use super::node::{Located, cell};
use dtoolkit::fdt::Fdt;

/// Returns how many ticks a second the counter has (`clock-frequency`), which Linux believes rather than
/// `CNTFRQ_EL0` (`arch_timer_of_configure_rate()`). `None` where the tree leaves it to that register.
pub fn frequency(fdt: Fdt<'_>) -> Option<u64> {
    let timer = Located::search(fdt, |node| {
        let mut names = node.compatible().into_iter().flatten();
        names.any(|name| matches!(name, "arm,armv7-timer" | "arm,armv8-timer"))
    })?;
    cell(&timer.node, "clock-frequency").filter(|hertz| *hertz != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, wide};

    fn seen(tree: &Sample) -> Option<u64> {
        let blob = tree.blob();
        frequency(crate::devicetree::blob::open(&blob).expect("a tree"))
    }

    #[test]
    fn it_is_what_firmware_set_unless_the_tree_says_otherwise() {
        let mut tree = Sample::virt();
        tree.set("/timer", "compatible", "arm,armv8-timer");
        assert_eq!(seen(&tree), None, "no clock-frequency");
        tree.set("/timer", "clock-frequency", 24_000_000u32);
        assert_eq!(seen(&tree), Some(24_000_000));
        tree.set("/timer", "clock-frequency", wide(&[25_000_000]));
        assert_eq!(seen(&tree), Some(25_000_000), "two cells");
    }

    #[test]
    fn a_frequency_of_nothing_is_none() {
        let mut tree = Sample::virt();
        tree.set("/timer", "compatible", "arm,armv8-timer");
        tree.set("/timer", "clock-frequency", 0u32);
        assert_eq!(seen(&tree), None);
        tree.set("/timer", "clock-frequency", alloc::vec![1, 2, 3]);
        assert_eq!(seen(&tree), None, "three bytes");
    }

    #[test]
    fn the_frequency_of_another_clock_is_none_of_the_counters() {
        let mut tree = Sample::virt();
        tree.set("/timer", "compatible", "arm,armv7-timer-mem");
        tree.set("/timer", "clock-frequency", 24_000_000u32);
        assert_eq!(seen(&tree), None);
    }
}
