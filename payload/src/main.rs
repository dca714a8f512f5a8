// SPDX-License-Identifier: Apache-2.0
//! The probe: a bare-metal guest at EL1 that tries the monitor.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
use probe as _;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the probe runs as a guest, not on a host");
}
