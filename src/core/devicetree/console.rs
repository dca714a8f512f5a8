// SPDX-License-Identifier: Apache-2.0
//! The UART of the console.
//!
//! It is the one that `/chosen/stdout-path` names; where that names none that can be used, the one of
//! the guest's command line, as Linux reads it; else `serial0`. The last is a guess: it has to be one
//! that nothing else hangs on.

use super::node::{Located, big_endian, bytes, cell, text};
use crate::memory::region::Region;
use crate::uart::{Spread, Uart};
use crate::words::{has, split};
use alloc::string::String;
use dtoolkit::Node;
use dtoolkit::fdt::{Fdt, FdtNode};
use thiserror::Error;

/// The UART of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// What it is.
    pub uart: Uart,
    /// Its registers; physical, beginning with the first one, and with all that `uart` has.
    pub registers: Region,
}

/// Why there is no console.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Silent {
    /// Nothing names a UART.
    #[error("nothing names a UART")]
    Unnamed,
    /// A name leads to no node.
    #[error("the UART that is named has no node")]
    NoNode,
    /// It, or a bus above it, is not available.
    #[error("the UART that is named is disabled")]
    Disabled,
    /// It is none that is known.
    #[error("the UART that is named is none that is known")]
    Unknown,
    /// It is `serial0`, and leads to another device.
    #[error("serial0 leads to another device of the board")]
    Occupied,
    /// Its `reg` is no use, or has fewer registers than its kind.
    #[error("the registers of the UART that is named are not known")]
    Registers,
}

/// Part number of a PL011 in the `arm,primecell-periphid` of an `arm,primecell`.
const PL011_PART: u64 = 0x011;
/// Bytes of a path that is followed; those of real trees have less than 100.
const MAX_PATH: usize = 512;
/// Bytes of registers of a UART that a command line alone tells of.
const PAGE: u64 = 0x1000;
/// NVIDIA's HSP (Xavier TRM, "Hardware Synchronization Primitives"; Linux's tegra-hsp.c): where the
/// shared mailboxes begin, and the way from one to the next.
const MAILBOXES: u64 = 0x1_0000;
const MAILBOX: u64 = 0x8000;

/// Finds the console.
///
/// # Errors
///
/// [`Silent`]: why the one that `stdout-path` or, without it, `serial0` names is none.
pub(super) fn find(fdt: Fdt<'_>) -> Result<Console, Silent> {
    let chosen = Located::find(fdt, "/chosen").map(|chosen| chosen.node);
    let named = chosen
        .as_ref()
        .map_or(Err(Silent::Unnamed), |chosen| stdout(fdt, chosen));
    named.or_else(|why| {
        if let Some(console) = chosen.and_then(|chosen| of_line(fdt, line(&chosen))) {
            return Ok(console);
        }
        let serial0 = alias(fdt, "serial0").ok_or(Silent::Unnamed);
        serial0
            .and_then(|path| at_path(fdt, path, true))
            .map_err(|other| match why {
                Silent::Unnamed => other,
                why => why,
            })
    })
}

/// The guest's command line: a module's or, as the guest may come behind the monitor, of both.
fn line<'a>(chosen: &FdtNode<'a>) -> &'a str {
    let module = child_with(chosen, "bootargs");
    text(module.as_ref().unwrap_or(chosen), "bootargs").unwrap_or_default()
}

#[inline(never)]
fn child_with<'a>(node: &FdtNode<'a>, property: &str) -> Option<FdtNode<'a>> {
    node.children()
        .find(|child| child.property(property).is_some())
}

/// What `stdout-path` names. What stands behind its colon, as in `115200n8`, firmware has set up.
pub(super) fn stdout(fdt: Fdt<'_>, chosen: &FdtNode<'_>) -> Result<Console, Silent> {
    let stdout = text(chosen, "stdout-path")
        .or_else(|| text(chosen, "linux,stdout-path"))
        .ok_or(Silent::Unnamed)?;
    let (path, _) = split(stdout.as_bytes(), b':');
    let path = stdout.get(..path.len()).unwrap_or_default();
    if path.starts_with('/') {
        return at_path(fdt, path, false);
    }
    // The tree may be a guest's: what is copied of it is short.
    if path.len() > MAX_PATH {
        return Err(Silent::NoNode);
    }
    let (name, _) = split(path.as_bytes(), b'/');
    let (name, below) = path.split_at_checked(name.len()).unwrap_or_default();
    let path = alias(fdt, name)
        .filter(|path| path.len() <= MAX_PATH)
        .ok_or(Silent::NoNode)?;
    at_path(fdt, &join(path, below), false)
}

#[inline(never)]
pub(super) fn join(first: &str, second: &str) -> String {
    let mut both = String::from(first);
    both.push_str(second);
    both
}

pub(super) fn alias<'a>(fdt: Fdt<'a>, name: &str) -> Option<&'a str> {
    text(&Located::find(fdt, "/aliases")?.node, name)
}

/// The UART of a path; if it is a guess, unless something else hangs on it: a node below it is what is
/// at its other end.
#[inline(never)]
pub(super) fn at_path(fdt: Fdt<'_>, path: &str, is_guess: bool) -> Result<Console, Silent> {
    let uart = Located::find(fdt, path).ok_or(Silent::NoNode)?;
    if is_guess && child_with(&uart.node, "compatible").is_some() {
        return Err(Silent::Occupied);
    }
    console(fdt, &uart)
}

/// The console of the last word of a command line that names one (Linux's
/// `admin-guide/kernel-parameters`, `console=` and `earlycon=`).
fn of_line(fdt: Fdt<'_>, line: &str) -> Option<Console> {
    let mut found = None;
    let mut line = line.as_bytes();
    while !line.is_empty() {
        let word;
        (word, line) = split(line, b' ');
        if let Some(console) = of_word(fdt, word) {
            found = Some(console);
        }
    }
    found
}

fn of_word(fdt: Fdt<'_>, word: &[u8]) -> Option<Console> {
    let (key, value) = split(word, b'=');
    if key != b"console" && key != b"earlycon" {
        return None;
    }
    let (name, rest) = split(value, b',');
    match address(rest) {
        Some((digits, spread)) => at(fdt, name, number(digits, 16)?, spread),
        None => numbered(fdt, name),
    }
}

/// Of the words behind the name of a console, the digits of its address, and how its registers lie.
pub(super) fn address(mut words: &[u8]) -> Option<(&[u8], Spread)> {
    let mut spread = Spread::default();
    while !words.is_empty() {
        let word;
        (word, words) = split(words, b',');
        if word == b"mmio32" {
            (spread.shift, spread.width) = (Some(2), Some(4));
        } else if let Some(digits) = word.strip_prefix(b"0x") {
            return Some((digits, spread));
        }
    }
    None
}

/// A number of at most 16 digits, so that it fits.
#[inline(never)]
pub(super) fn number(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut number = 0u64;
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix)?;
        number = number.wrapping_mul(radix.into()).wrapping_add(digit.into());
    }
    Some(number)
}

/// The UART at an address: one of the tree, else what its name and `spread` say.
fn at(fdt: Fdt<'_>, name: &[u8], address: u64, spread: Spread) -> Option<Console> {
    in_tree(fdt, Some(address), name, 0).or_else(|| {
        let registers = Region::new(address, PAGE).ok()?;
        let uart = Uart::find(name, spread)?;
        uart.layout()
            .fits(&registers)
            .then_some(Console { uart, registers })
    })
}

/// The UART of a terminal of Linux: `serial2` is `ttyS2`, if it is a 16550. Where the tree has no such
/// alias, Linux counts them as they come.
pub(super) fn numbered(fdt: Fdt<'_>, terminal: &[u8]) -> Option<Console> {
    let (tty, digits) = split_terminal(terminal)?;
    let index = number(digits.as_bytes(), 10)?;
    match alias(fdt, &join("serial", digits)) {
        Some(path) => at_path(fdt, path, false)
            .ok()
            .filter(|console| console.uart.tty() == tty),
        None => in_tree(fdt, None, tty, index),
    }
}

/// Splits the name of a terminal before its number.
pub(super) fn split_terminal(terminal: &[u8]) -> Option<(&[u8], &str)> {
    let mut length = 0;
    for byte in terminal {
        if byte.is_ascii_digit() {
            break;
        }
        length += 1;
    }
    let (tty, digits) = terminal.split_at_checked(length)?;
    Some((tty, core::str::from_utf8(digits).ok()?))
}

/// Of the UARTs of the tree that can be used, in its order, the one at `address`; without that, the one
/// that is `left` behind the first one whose terminals are called `tty`.
#[inline(never)]
fn in_tree(fdt: Fdt<'_>, address: Option<u64>, tty: &[u8], mut left: u64) -> Option<Console> {
    let mut index = 0u64;
    loop {
        let mut before = index;
        index += 1;
        let uart = Located::search(fdt, |node| {
            if kind(node).is_none() {
                return false;
            }
            before = before.wrapping_sub(1);
            before == u64::MAX
        })?;
        let Ok(console) = console(fdt, &uart) else {
            continue;
        };
        let is_one = match address {
            Some(address) => console.registers.start() == address,
            None => console.uart.tty() == tty,
        };
        if is_one && left == 0 {
            return Some(console);
        }
        left = left.saturating_sub(is_one.into());
    }
}

/// The console on a UART that is named.
fn console(fdt: Fdt<'_>, node: &Located<'_>) -> Result<Console, Silent> {
    if !node.is_available() {
        return Err(Silent::Disabled);
    }
    let uart = kind(&node.node).ok_or(Silent::Unknown)?;
    let registers = registers(node)
        .or_else(|| mailbox(fdt, bytes(&node.node, "mboxes")))
        .filter(|registers| uart.layout().fits(registers))
        .ok_or(Silent::Registers)?;
    Ok(Console { uart, registers })
}

/// The registers from the first one on.
fn registers(node: &Located<'_>) -> Option<Region> {
    let registers = node.reg(0).ok()?;
    let offset = cell(&node.node, "reg-offset").unwrap_or(0);
    Region::from_bounds(registers.start().checked_add(offset)?, registers.end()).ok()
}

/// The second of two mailboxes, to which is sent; each is a controller, a type and a number
/// (`nvidia,tegra194-tcu.yaml`, `nvidia,tegra186-hsp.yaml`).
fn mailbox(fdt: Fdt<'_>, mailboxes: &[u8]) -> Option<Region> {
    let controller = big_endian(mailboxes.get(12..16)?);
    let number = big_endian(mailboxes.get(20..24)?)? & 0xff_ffff;
    let controller = Located::search(fdt, |node| cell(node, "phandle") == controller)?;
    let controller = controller.reg(0).ok()?;
    let start = controller
        .start()
        .checked_add(MAILBOXES + number * MAILBOX)?;
    let registers = Region::new(start, PAGE).ok()?;
    controller.encloses(&registers).then_some(registers)
}

/// What a node is, if it is a UART that is known.
fn kind(node: &FdtNode<'_>) -> Option<Uart> {
    let mut called = bytes(node, "compatible");
    if has(called, 0, b"arm,primecell")
        && cell(node, "arm,primecell-periphid").is_some_and(|id| id & 0xfff == PL011_PART)
    {
        called = b"arm,pl011";
    }
    let spread = Spread {
        shift: cell(node, "reg-shift"),
        width: cell(node, "reg-io-width"),
    };
    let says = |name| node.property(name).is_some();
    Some(Uart::find(called, spread)?.with_order(says("big-endian"), says("little-endian")))
}

#[cfg(test)]
mod tests;
