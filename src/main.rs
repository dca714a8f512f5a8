//! The monitor's image: `baton::boot` has its first instruction.
#![no_std]
#![no_main]

use baton as _;
use baton::memory::heap::Global;

#[global_allocator]
static GLOBAL: Global = Global;
