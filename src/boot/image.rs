// SPDX-License-Identifier: Apache-2.0
//! The monitor's image, as the linker script lays it out.

use baton_core::memory::region::Region;

macro_rules! symbol {
    ($(#[$doc:meta])* $name:ident, $symbol:ident) => {
        $(#[$doc])*
        fn $name() -> u64 {
            unsafe extern "C" {
                static $symbol: u8;
            }
            &raw const $symbol as u64
        }
    };
}

symbol!(start, __image_start);
symbol!(text_end, __text_end);
symbol!(rodata_end, __rodata_end);
symbol!(
    /// End of what a loader copies: .bss is behind it.
    data_end, __data_end
);
symbol!(boot_stack_guard, __boot_stack_guard);
symbol!(end, __image_end);

/// The page below the boot CPU's first stack, which is not mapped.
const GUARD: u64 = 4096;

fn between(start: u64, end: u64) -> Region {
    Region::from_bounds(start, end).expect("linker/baton.ld leaves no section empty")
}

/// Returns the guest kernel that was put behind the image before a loader put both at `start`
/// (`platform/host/u-boot/append.sh`).
pub fn appended(start: u64) -> Option<Region> {
    unsafe extern "C" {
        static APPENDED: [u64; 2];
    }
    // SAFETY: `head.S` has two words there, which are as the image's file has them.
    let [distance, size] = unsafe { (&raw const APPENDED).read_volatile() };
    match distance {
        0 => None,
        _ => Region::new(start.checked_add(distance)?, size).ok(),
    }
}

/// Returns all of the image, with .bss.
pub fn region() -> Region {
    between(start(), end())
}

/// Returns what of the image comes from a file.
pub fn loaded() -> Region {
    between(start(), data_end())
}

/// Returns the instructions.
pub fn text() -> Region {
    between(start(), text_end())
}

/// Returns the constants.
pub fn rodata() -> Region {
    between(text_end(), rodata_end())
}

/// Returns what the monitor writes: all but the page below the boot CPU's first stack.
pub fn data() -> [Region; 2] {
    let guard = boot_stack_guard();
    [between(rodata_end(), guard), between(guard + GUARD, end())]
}
