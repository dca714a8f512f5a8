// SPDX-License-Identifier: Apache-2.0
//! PSCI (DEN0022), as far as it is read from registers alone.

pub mod decode;
