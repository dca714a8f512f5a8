// SPDX-License-Identifier: Apache-2.0
//! Registers of devices that are not there: memory, in which tests give accesses an effect.
//!
//! Each thread has its own effects. [`peek`] and [`poke`] are the test's own accesses, without any.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;
use safe_mmio::{MmioOps, set_mmio_ops};

/// Called with the address and the value; what it returns is stored, or read.
type Effect = Box<dyn FnMut(usize, u64) -> u64>;

/// The effects, each taken out while it runs, and what was written.
#[derive(Default)]
struct Bus {
    on_write: Vec<(Range<usize>, Option<Effect>)>,
    on_read: Vec<(Range<usize>, Option<Effect>)>,
    writes: Vec<(usize, u64)>,
}

std::thread_local! {
    static BUS: RefCell<Bus> = RefCell::default();
}

/// Forgets this thread's effects and writes.
pub fn reset() {
    BUS.take();
}

/// Has `effect` see each value that is written to an address in `range`; what it returns is stored.
/// Of several, the last one counts.
pub fn on_write(range: Range<usize>, effect: impl FnMut(usize, u64) -> u64 + 'static) {
    BUS.with_borrow_mut(|bus| bus.on_write.push((range, Some(Box::new(effect)))));
}

/// Has `effect` see each value that is read from an address in `range`; what it returns is read.
/// Of several, the last one counts.
pub fn on_read(range: Range<usize>, effect: impl FnMut(usize, u64) -> u64 + 'static) {
    BUS.with_borrow_mut(|bus| bus.on_read.push((range, Some(Box::new(effect)))));
}

/// Fixes the bits of `mask` of the 32-bit register at `address` to one.
pub fn stick(address: usize, mask: u32) {
    on_read(address..address + 4, move |_, value| {
        value | u64::from(mask)
    });
}

/// Makes two blocks of `bytes` of registers show the same bits, of which a one that is written sets a
/// bit in the block at `set`, and clears it in the block at `clear`.
pub fn set_and_clear(set: usize, clear: usize, bytes: usize) {
    on_write(set..set + bytes, move |address, ones| {
        let now = peek(address) | ones as u32;
        poke(address - set + clear, now);
        now.into()
    });
    on_write(clear..clear + bytes, move |address, ones| {
        let now = peek(address) & !ones as u32;
        poke(address - clear + set, now);
        now.into()
    });
}

/// Returns the addresses that this thread's code wrote to, and the values, in order.
pub fn writes() -> Vec<(usize, u64)> {
    BUS.with_borrow(|bus| bus.writes.clone())
}

/// Returns what is in the 32-bit register at `address`.
pub fn peek(address: usize) -> u32 {
    // SAFETY: Tests name registers in a `Memory` of their own.
    unsafe { core::ptr::with_exposed_provenance::<u32>(address).read_volatile() }
}

/// Puts `value` in the 32-bit register at `address`.
pub fn poke(address: usize, value: u32) {
    // SAFETY: Tests name registers in a `Memory` of their own.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(value) }
}

/// Returns what is in the 64-bit register at `address`.
pub fn peek64(address: usize) -> u64 {
    u64::from(peek(address)) | u64::from(peek(address + 4)) << 32
}

/// Puts `value` in the 64-bit register at `address`.
pub fn poke64(address: usize, value: u64) {
    poke(address, value as u32);
    poke(address + 4, (value >> 32) as u32);
}

/// Zeroed memory in place of a device, on a block of 64 KiB.
pub struct Memory {
    pointer: *mut u8,
    layout: Layout,
}

impl Memory {
    /// Returns `size` bytes.
    pub fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 64 << 10).expect("a size that is not huge");
        // SAFETY: No test asks for no memory.
        let pointer = unsafe { alloc_zeroed(layout) };
        assert!(!pointer.is_null());
        Self { pointer, layout }
    }

    /// Returns its first address.
    pub fn base(&self) -> usize {
        self.pointer.expose_provenance()
    }

    /// Fills the registers at `offsets` with ones.
    pub fn fill(&self, offsets: Range<usize>) {
        for offset in offsets.step_by(4) {
            poke(self.base() + offset, u32::MAX);
        }
    }

    /// Compares the registers at `offsets` with `expected`.
    #[track_caller]
    pub fn expect(&self, register: &str, offsets: Range<usize>, expected: u32) {
        for offset in offsets.step_by(4) {
            let seen = peek(self.base() + offset);
            assert_eq!(
                seen, expected,
                "{register} at {offset:#x}: seen {seen:#x}, expected {expected:#x}"
            );
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: It was allocated so.
        unsafe { dealloc(self.pointer, self.layout) }
    }
}

fn read(address: usize, mut value: u64) -> u64 {
    let found = BUS.with_borrow_mut(|bus| take(&mut bus.on_read, address));
    if let Some((place, mut effect)) = found {
        value = effect(address, value);
        BUS.with_borrow_mut(|bus| bus.on_read[place].1 = Some(effect));
    }
    value
}

fn write(address: usize, mut value: u64) -> u64 {
    let found = BUS.with_borrow_mut(|bus| {
        bus.writes.push((address, value));
        take(&mut bus.on_write, address)
    });
    if let Some((place, mut effect)) = found {
        value = effect(address, value);
        BUS.with_borrow_mut(|bus| bus.on_write[place].1 = Some(effect));
    }
    value
}

fn take(effects: &mut [(Range<usize>, Option<Effect>)], address: usize) -> Option<(usize, Effect)> {
    let place = effects
        .iter()
        .rposition(|(range, _)| range.contains(&address))?;
    Some((place, effects[place].1.take()?))
}

struct Ops;

macro_rules! ops {
    ($($read:ident $write:ident $size:ty),+) => {
        impl MmioOps for Ops {
            $(unsafe fn $read(source: *const $size) -> $size {
                // SAFETY: The caller's promise.
                let value = unsafe { source.read_volatile() };
                read(source.expose_provenance(), value.into()) as $size
            }

            unsafe fn $write(destination: *mut $size, value: $size) {
                let value = write(destination.expose_provenance(), value.into()) as $size;
                // SAFETY: The caller's promise.
                unsafe { destination.write_volatile(value) }
            })+
        }
    };
}

ops!(read_u8 write_u8 u8, read_u16 write_u16 u16, read_u32 write_u32 u32, read_u64 write_u64 u64);

set_mmio_ops!(Ops);
