// SPDX-License-Identifier: Apache-2.0
//! Physical memory: the monitor's own, the guest's, and the tables that tell them apart.

pub mod guest_ram;
pub mod heap;
pub mod layout;
pub mod stage1;
pub mod stage2;
