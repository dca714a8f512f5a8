// SPDX-License-Identifier: Apache-2.0
//! Variables of the environment, which `make` passes on.

use crate::Error;
use std::env;
use std::str::FromStr;

/// A variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value of a variable, which must be what `expected` says; `default` if it is not set.
///
/// # Errors
/// [`Error::Variable`] if it is anything else.
pub fn value<T: FromStr>(
    name: &'static str,
    default: T,
    expected: &'static str,
) -> Result<T, Error> {
    let Some(value) = variable(name) else {
        return Ok(default);
    };
    value.parse().map_err(|_| Error::Variable {
        name,
        value,
        expected,
    })
}
