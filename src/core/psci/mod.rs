// SPDX-License-Identifier: Apache-2.0
//! PSCI (DEN0022), as far as a call can be judged by its registers alone.

pub mod decode;
