// SPDX-License-Identifier: Apache-2.0
//! `/chosen`: what the loader tells the kernel (Devicetree Specification v0.4, 3.6).

use super::error::BoardError;
use super::node::{Located, bytes, text};
use alloc::string::{String, ToString};
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;

/// Returns `/chosen/bootargs`; an empty line if there is none.
///
/// # Errors
///
/// Returns [`BoardError::Text`] if it is not a string.
pub(crate) fn bootargs(fdt: Fdt<'_>) -> Result<String, BoardError> {
    let Some(chosen) = Located::find(fdt, "/chosen") else {
        return Ok(String::new());
    };
    match (
        chosen.node.property("bootargs"),
        text(&chosen.node, "bootargs"),
    ) {
        (None, _) => Ok(String::new()),
        // U-Boot and Linux take a property without any byte for an empty string.
        (Some(_), None) if bytes(&chosen.node, "bootargs").is_empty() => Ok(String::new()),
        (Some(_), None) => Err(BoardError::Text {
            node: chosen.path(),
            property: "bootargs",
        }),
        (Some(_), Some(line)) => Ok(line.to_string()),
    }
}
