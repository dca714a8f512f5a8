//! Physical memory: who owns which part of it.

pub mod region;
