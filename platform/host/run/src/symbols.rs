// SPDX-License-Identifier: Apache-2.0
//! The symbols of a program.

use std::path::Path;
use std::process::Command;

/// The address of the symbol `name`, a path for one of Rust's, in an ELF file.
///
/// # Errors
/// If the file has no such symbol, or cannot be read by `llvm-nm`.
pub fn address(elf: &Path, name: &str) -> Result<u64, String> {
    let output = Command::new("llvm-nm").arg("-C").arg(elf).output();
    let output = output.map_err(|error| format!("llvm-nm: {error}"))?;
    find(&String::from_utf8_lossy(&output.stdout), name)
        .ok_or_else(|| format!("expected a symbol {name} in {}, seen none", elf.display()))
}

/// Looks for a symbol in lines of address, kind and name.
fn find(symbols: &str, name: &str) -> Option<u64> {
    symbols.lines().find_map(|line| {
        let mut fields = line.splitn(3, ' ');
        let address = u64::from_str_radix(fields.next()?, 16).ok()?;
        (fields.nth(1)? == name).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole() {
        let symbols = "                 U absent\n\
                       0000000000001c54 t baton::exit::smccc::dispatch\n\
                       0000000000002000 t <baton::A as baton::B<u8>>::dispatch\n\
                       0000000000003000 T dispatch";
        for (name, expected) in [
            ("dispatch", Some(0x3000)),
            ("baton::exit::smccc::dispatch", Some(0x1c54)),
            ("<baton::A as baton::B<u8>>::dispatch", Some(0x2000)),
            ("smccc::dispatch", None),
            ("absent", None),
        ] {
            assert_eq!(find(symbols, name), expected, "{name}");
        }
    }
}
