// SPDX-License-Identifier: Apache-2.0
//! States that a CPU can be in when the machine is taken from under it.

mod faulty;
mod mix;
mod power;
mod running;
mod sleeping;
mod table;

pub use mix::{Wanted, spread};
pub use power::{POWER_DOWN, STANDBY, off};
pub use running::{check_witness, clear_since, store};
pub use table::{STATES, State};
