// SPDX-License-Identifier: Apache-2.0
//! Physical memory: the monitor's own, the guest's, and the translation tables that separate them.

pub mod guest_ram;
pub mod heap;
pub mod hotplug;
pub mod kexec_memory;
pub mod stage1;
pub mod stage2;
