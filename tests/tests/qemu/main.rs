// SPDX-License-Identifier: Apache-2.0
//! Everything that boots QEMU, in one program, so that two machines run at any time.

mod audit;
mod bad_hardware;
mod bad_input;
mod boards;
mod command;
mod dma;
mod door;
mod e2h;
mod el3;
mod el3_features;
mod enable_method;
mod errata;
mod external_debug;
mod fault_injection;
mod faults;
mod firmware;
mod gicv2;
mod hostile;
mod installed;
mod installed_board;
mod its;
mod kernels;
mod linux;
mod log;
mod memory;
mod next_tree;
mod probe;
mod secure_boot;
mod soak;
mod u_boot;
mod uefi;
mod uefi_faults;
mod uefi_machines;
mod uefi_probe;
mod uefi_services;
