// SPDX-License-Identifier: Apache-2.0
//! OP-TEE below the guest: its calls (`optee_smc.h` of OP-TEE and Linux) and its messages
//! (`optee_msg.h`), with every address in them checked to be the guest's.
//!
//! OP-TEE believes the addresses that it is told. They stand in guest memory, where other CPUs can change
//! them after a check: so OP-TEE never reads a message, or a list of pages, from there. It is given copies
//! in the monitor's memory, made word by word before they are checked, and what it answers is copied
//! back.
#![forbid(unsafe_code)]

pub mod call;
pub mod mediator;
pub mod message;
