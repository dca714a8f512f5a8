// SPDX-License-Identifier: Apache-2.0
//! The next kernel's device tree, as the boot CPU writes it.

use alloc::vec::Vec;
use baton_core::devicetree::guest_console::Usage;
use core::ops::Range;

/// A tree that has been looked at, and where it goes.
pub struct NextTree {
    /// Its bytes; where [`NextTree::is_whole`], those behind it up to the end of its last page too.
    pub bytes: Vec<u8>,
    /// Physical address that it goes to.
    pub start: u64,
    /// The word of its header that says its size as the kernel before has made it; `None` if the tree was
    /// changed.
    pub size: Option<[u8; 4]>,
    /// It is there already.
    pub is_in_place: bool,
    /// How its kernel uses the monitor's UART, once that was looked up.
    pub usage: Option<Usage>,
    /// Where the report is in it.
    pub report: [Range<usize>; 2],
    /// Nobody else writes its pages: they are whole ones.
    pub is_whole: bool,
}
