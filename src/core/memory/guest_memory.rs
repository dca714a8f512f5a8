// SPDX-License-Identifier: Apache-2.0
//! The guest's memory, as what reads it sees it.

/// Memory of the guest, by physical address. The monitor's own is never part of it.
pub trait GuestMemory {
    /// The number at `address`, a multiple of 8; `None` if it is not RAM of the guest.
    fn read_u64(&self, address: u64) -> Option<u64>;

    /// Whether all of the `size` bytes from `start` on are RAM of the guest; false if they wrap
    /// around.
    fn contains(&self, start: u64, size: u64) -> bool;
}
