//! Taking the CPUs from one kernel for the next, in three parallel phases.

pub mod error;
