// SPDX-License-Identifier: Apache-2.0
//! The UART that `/chosen/stdout-path` names.

use super::node::{Located, RegError, cell, first_compatible, text};
use crate::memory::region::Region;
use alloc::string::{String, ToString};
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;

/// The UART of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// How it is programmed.
    pub kind: UartKind,
    /// Physical addresses of its registers, from the first register of `kind` on.
    pub registers: Region,
    /// What is behind the colon of `stdout-path`, such as `115200n8`. Firmware has set the UART up
    /// so.
    pub settings: Option<String>,
}

/// How a UART is programmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UartKind {
    /// Arm's PL011, or SBSA's generic UART, which is a subset of it.
    Pl011,
    /// A 16550.
    Ns16550 {
        /// By how many bits a register's number is shifted left to get its offset in bytes.
        reg_shift: u32,
        /// Size of an access in bytes: 1, 2 or 4.
        io_width: u32,
    },
    /// Cadence's, as in Xilinx's Zynq.
    Cadence,
    /// NXP's, of the i.MX.
    Imx,
    /// Any other UART, with the first string of its `compatible`.
    Unknown(String),
}

const PL011: [&str; 3] = ["arm,pl011", "arm,pl011-axi", "arm,sbsa-uart"];
const NS16550: [&str; 5] = [
    "ns16550a",
    "ns16550",
    "ns16750",
    "ns16850",
    "snps,dw-apb-uart",
];
const CADENCE: [&str; 3] = ["cdns,uart-r1p12", "cdns,uart-r1p8", "xlnx,xuartps"];
const IMX: [&str; 2] = ["fsl,imx6q-uart", "fsl,imx21-uart"];
const BCM2835_AUX: &str = "brcm,bcm2835-aux-uart";
/// Part number of a PL011 in the `arm,primecell-periphid` of an `arm,primecell`.
const PL011_PART: u64 = 0x011;

/// Reads the console; `None` if `stdout-path` is absent or names no node.
pub(super) fn read(fdt: Fdt<'_>) -> Result<Option<Console>, RegError> {
    let Some((uart, settings)) = find(fdt) else {
        return Ok(None);
    };
    let registers = uart.reg(0)?;
    let offset = cell(&uart.node, "reg-offset").unwrap_or(0);
    let end = registers.end();
    let registers = registers
        .start()
        .checked_add(offset)
        .and_then(|start| Region::from_bounds(start, end).ok())
        .ok_or_else(|| RegError::Missing {
            node: uart.path(),
            index: 0,
        })?;
    Ok(Some(Console {
        kind: kind(&uart.node),
        registers,
        settings: settings.map(String::from),
    }))
}

/// Finds the node that `stdout-path` names, directly or by an alias, and the settings behind it.
fn find<'a>(fdt: Fdt<'a>) -> Option<(Located<'a>, Option<&'a str>)> {
    let chosen = Located::find(fdt, "/chosen")?;
    let stdout =
        text(&chosen.node, "stdout-path").or_else(|| text(&chosen.node, "linux,stdout-path"))?;
    let (path, settings) = match stdout.split_once(':') {
        Some((path, settings)) => (path, Some(settings)),
        None => (stdout, None),
    };
    if path.starts_with('/') {
        return Some((Located::find(fdt, path)?, settings));
    }
    let (alias, below) = path.split_at(path.find('/').unwrap_or(path.len()));
    let aliases = Located::find(fdt, "/aliases")?;
    let mut full = text(&aliases.node, alias)?.to_string();
    full.push_str(below);
    Some((Located::find(fdt, &full)?, settings))
}

fn kind(uart: &FdtNode<'_>) -> UartKind {
    let small = |name, default| {
        cell(uart, name)
            .and_then(|n| n.try_into().ok())
            .unwrap_or(default)
    };
    let is_primecell_pl011 = uart.is_compatible("arm,primecell")
        && cell(uart, "arm,primecell-periphid").is_some_and(|id| id & 0xfff == PL011_PART);
    if first_compatible(uart, &PL011).is_some() || is_primecell_pl011 {
        UartKind::Pl011
    } else if first_compatible(uart, &NS16550).is_some() {
        UartKind::Ns16550 {
            reg_shift: small("reg-shift", 0),
            io_width: small("reg-io-width", 1),
        }
    } else if uart.is_compatible(BCM2835_AUX) {
        // The binding has no properties for it: its registers are 32-bit words.
        UartKind::Ns16550 {
            reg_shift: 2,
            io_width: 4,
        }
    } else if first_compatible(uart, &CADENCE).is_some() {
        UartKind::Cadence
    } else if first_compatible(uart, &IMX).is_some() {
        UartKind::Imx
    } else {
        UartKind::Unknown(text(uart, "compatible").unwrap_or_default().to_string())
    }
}

#[cfg(test)]
mod tests;
