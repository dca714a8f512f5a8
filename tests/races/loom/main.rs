// SPDX-License-Identifier: Apache-2.0
//! The places where CPUs meet, in the orders in which they can act and with the values that they can
//! then read (loom): all of them for the pieces, for whole takeovers all with a few preemptions. The
//! code is the monitor's; memory, waiting and hardware are a model's.

mod explore;
mod mutants;
mod pieces;
mod takeovers;
