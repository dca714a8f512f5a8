//! The monitor's image.
#![no_std]
#![no_main]
