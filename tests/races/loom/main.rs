//! The places where CPUs meet, in every order in which they can act and with every value that they
//! can then read (loom). The code is the monitor's; memory, waiting and hardware are a model's.

mod explore;
mod mutants;
mod pieces;
mod takeovers;
