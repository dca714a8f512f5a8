// SPDX-License-Identifier: Apache-2.0
//! One cell of the tables, and its samples.

use crate::column::Column;
use crate::raw::Raw;

/// One cell of the tables: a column on so many vCPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The column.
    pub column: Column,
    /// vCPUs.
    pub smp: u32,
    /// Samples wanted.
    pub samples: u32,
}

impl Cell {
    /// Adds a sample.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&self, raw: &mut Raw, metrics: &[(String, String)]) -> Result<(), String> {
        raw.add(self.column.name(), self.smp, metrics)
            .map_err(|error| format!("the samples cannot be written: {error}"))
    }
}
