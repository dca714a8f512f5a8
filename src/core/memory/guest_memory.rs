// SPDX-License-Identifier: Apache-2.0
//! The guest's memory, as parsers and checks see it.

/// RAM of the guest, by physical address. The monitor's memory is never part of it.
pub trait GuestMemory {
    /// Returns the number at `address`, a multiple of 8; `None` if that is not RAM of the guest.
    fn read_u64(&self, address: u64) -> Option<u64>;

    /// Returns the two numbers at `address`, a multiple of 16; `None` if they are not RAM of the guest.
    #[inline]
    fn read_pair(&self, address: u64) -> Option<[u64; 2]> {
        Some([self.read_u64(address)?, self.read_u64(address + 8)?])
    }

    /// Returns `count` pairs of numbers from `address` on, a multiple of 16, if one look says that all of them are RAM
    /// of the guest; otherwise [`GuestMemory::read_pair`] says what is.
    #[inline]
    fn read_pairs(&self, address: u64, count: u64) -> Option<impl Iterator<Item = [u64; 2]>> {
        let read = |address| self.read_u64(address).unwrap_or_default();
        let pair = move |at| [read(at), read(at + 8)];
        self.contains(address, 16 * count)
            .then(|| (0..count).map(move |number| pair(address + 16 * number)))
    }

    /// Returns the numbers from `address` on, `count` of them, but none from the first one on that is not RAM of
    /// the guest.
    #[inline]
    fn read_words(&self, address: u64, count: u64) -> impl Iterator<Item = u64> {
        (0..count).map_while(move |number| self.read_u64(address + 8 * number))
    }

    /// Returns whether all of the `size` bytes from `start` on are RAM of the guest; false if they
    /// wrap around.
    fn contains(&self, start: u64, size: u64) -> bool;
}
