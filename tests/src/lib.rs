//! Tests that boot Baton in QEMU: what they share.
//!
//! Everything here panics with what was expected, what was seen, and the console, as a test should.

mod boot;
mod loader;
mod scratch;

pub use boot::{Boot, boot, boot_modules, boot_u_boot, machine};
pub use loader::{Blob, boot_by_hand, tree};
pub use scratch::Scratch;
