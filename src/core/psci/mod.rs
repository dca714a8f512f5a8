//! PSCI (DEN0022), as far as it is read from registers alone.

pub mod decode;
