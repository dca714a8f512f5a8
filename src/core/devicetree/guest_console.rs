// SPDX-License-Identifier: Apache-2.0
//! Whether a kernel's console is the monitor's UART, as its device tree and its command line say it.
//!
//! A kernel may switch off the clock of a UART that it does not use, and whoever touches that then hangs
//! the bus. The tree may be a guest's: what is done is bounded by it.

use super::blob;
use super::console::{
    Console, Silent, address, alias, at_path, join, number, numbered, split_terminal, stdout,
};
use super::node::{Located, text};
use crate::words::split;
use dtoolkit::fdt::Fdt;

/// Bytes of a command line that arm64 Linux reads (`COMMAND_LINE_SIZE`).
const LINE: usize = 2048;

/// The monitor's UART, as the board's tree has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorUart {
    console: Console,
    /// The number of its terminal in Linux, if that is below 10.
    terminal: Option<u8>,
    /// Firmware's ACPI tables name it (SPCR), as `stdout-path` does in a tree.
    is_firmwares: bool,
}

/// How a kernel uses the monitor's UART.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// As its console, for as long as it runs.
    pub console: bool,
    /// From its first line on, before its drivers: `earlycon`.
    pub early: bool,
}

impl MonitorUart {
    /// Takes the UART of `console`, which is that of the board's tree `fdt`.
    pub fn new(fdt: Fdt<'_>, console: Console) -> Self {
        let tty = core::str::from_utf8(console.uart.tty()).unwrap_or_default();
        let leads_here = |digit: &u8| {
            let digit = [b'0' + digit];
            let terminal = join(tty, core::str::from_utf8(&digit).unwrap_or_default());
            numbered(fdt, terminal.as_bytes())
                .is_some_and(|found| found.registers.start() == console.registers.start())
        };
        Self {
            console,
            terminal: (0..10).find(leads_here),
            is_firmwares: false,
        }
    }

    /// Takes the UART of `console`, which is that of firmware's ACPI tables. Its terminal is the first of
    /// its kind, as Linux counts them there.
    pub fn of_firmware(console: Console) -> Self {
        Self {
            console,
            terminal: Some(0),
            is_firmwares: true,
        }
    }

    /// Returns how the kernel with the tree `tree` uses it: not at all, if that is none.
    ///
    /// A `console=` on the command line counts, and without any, `stdout-path`, as Linux has it
    /// (`of_console_check()`). What `earlycon` names is the console until another one is there.
    pub fn usage(&self, tree: &[u8]) -> Usage {
        let chosen = blob::open(tree)
            .ok()
            .and_then(|fdt| Some((fdt, Located::find(fdt, "/chosen")?.node)));
        let Some((fdt, chosen)) = chosen else {
            return Usage::default();
        };
        let is_stdout = match stdout(fdt, &chosen) {
            Ok(console) => self.is_at(&console),
            Err(why) => why == Silent::Unnamed && self.is_firmwares,
        };
        let line = text(&chosen, "bootargs").unwrap_or_default().as_bytes();
        let mut line = line.get(..LINE).unwrap_or(line);
        let (mut is_early, mut is_named, mut is_other_named) = (false, false, false);
        while !line.is_empty() {
            let word;
            (word, line) = split(line, b' ');
            let (key, value) = split(word, b'=');
            match key {
                b"earlycon" if value.is_empty() => is_early |= is_stdout,
                b"earlycon" => is_early |= self.is_named(fdt, value),
                b"console" if self.is_named(fdt, value) => is_named = true,
                b"console" => is_other_named = true,
                _ => {}
            }
        }
        Usage {
            console: is_named || !is_other_named && (is_stdout || is_early),
            early: is_early,
        }
    }

    /// Returns whether the value of a `console=` or `earlycon=` is this UART.
    fn is_named(&self, fdt: Fdt<'_>, value: &[u8]) -> bool {
        let (name, rest) = split(value, b',');
        match address(rest) {
            Some((digits, _)) => number(digits, 16) == Some(self.console.registers.start()),
            None => self.is_terminal(fdt, name).unwrap_or(false),
        }
    }

    /// Returns whether a terminal of Linux is this UART. Where no alias of the kernel's tree has its
    /// number, it is that of the board's: kernels that are told of their devices by ACPI have none.
    fn is_terminal(&self, fdt: Fdt<'_>, terminal: &[u8]) -> Option<bool> {
        let (tty, digits) = split_terminal(terminal)?;
        let index = number(digits.as_bytes(), 10)?;
        if tty != self.console.uart.tty() || digits.len() > 3 {
            return None;
        }
        Some(match alias(fdt, &join("serial", digits)) {
            Some(path) => at_path(fdt, path, false).is_ok_and(|console| self.is_at(&console)),
            None => self.terminal.map(u64::from) == Some(index),
        })
    }

    fn is_at(&self, other: &Console) -> bool {
        self.console.registers.start() == other.registers.start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::board;
    use crate::devicetree::sample::{Sample, wide};

    const PL011: &str = "/pl011@9000000";
    const OTHER: &str = "/pl011@a000000";
    const CONSOLE: Usage = Usage {
        console: true,
        early: false,
    };
    const BOTH: Usage = Usage {
        console: true,
        early: true,
    };
    const NOT: Usage = Usage {
        console: false,
        early: false,
    };
    const EARLY: Usage = Usage {
        console: false,
        early: true,
    };

    /// A board with two PL011s, the second one of which is not the monitor's.
    fn two() -> Sample {
        let mut tree = Sample::virt();
        tree.strings(OTHER, "compatible", &["arm,pl011", "arm,primecell"])
            .set(OTHER, "reg", wide(&[0xa00_0000, 0x1000]));
        tree
    }

    fn uart(board: &Sample) -> MonitorUart {
        let blob = board.blob();
        let fdt = blob::open(&blob).expect("the board's tree");
        MonitorUart::new(fdt, board::console(fdt).expect("the board's console"))
    }

    #[track_caller]
    fn assert_usage(tree: &mut Sample, board: &Sample, lines: &[(&str, Usage)]) {
        let uart = uart(board);
        for (line, expected) in lines {
            tree.set("/chosen", "bootargs", *line);
            assert_eq!(uart.usage(&tree.blob()), *expected, "{line:?}");
        }
    }

    #[test]
    fn consoles_of_the_line_come_before_stdout_path() {
        let board = two();
        assert_usage(
            &mut board.clone(),
            &board,
            &[
                ("", CONSOLE),
                ("quiet root=/dev/vda", CONSOLE),
                ("console=ttyAMA0", CONSOLE),
                ("console=ttyAMA0,115200n8 quiet", CONSOLE),
                ("console=tty0", NOT),
                ("console=ttyAMA1", NOT),
                ("console=ttyS0", NOT),
                ("console=", NOT),
                ("console=null", NOT),
                // Each is a console.
                ("console=ttyAMA0 console=tty0", CONSOLE),
                ("console=tty0 console=ttyAMA0", CONSOLE),
            ],
        );
    }

    #[test]
    fn earlycon_is_no_console_for_good() {
        let board = two();
        assert_usage(
            &mut board.clone(),
            &board,
            &[
                ("earlycon", BOTH),
                ("earlycon=pl011,0x9000000", BOTH),
                ("earlycon=pl011,mmio32,0x9000000,115200", BOTH),
                ("earlycon console=ttyAMA0", BOTH),
                ("earlycon console=tty0", EARLY),
                ("earlycon=pl011,0x9000000 console=ttyAMA1", EARLY),
                ("earlycon=pl011,0xa000000 console=ttyAMA0", CONSOLE),
                ("earlycon=pl011,0xa000000 console=tty0", NOT),
                ("console=pl011,0x9000000", CONSOLE),
            ],
        );
    }

    #[test]
    fn stdout_path_may_lead_elsewhere() {
        let board = two();
        for path in [OTHER, "/nowhere", "serial3"] {
            let mut tree = board.clone();
            tree.set("/chosen", "stdout-path", path);
            assert_usage(
                &mut tree,
                &board,
                &[("", NOT), ("earlycon", NOT), ("console=ttyAMA0", CONSOLE)],
            );
        }
    }

    #[test]
    fn an_alias_says_which_terminal_it_is() {
        let board = two();
        let mut tree = two();
        tree.set("/aliases", "serial0", OTHER)
            .set("/aliases", "serial4", PL011);
        let lines = [("console=ttyAMA0", NOT), ("console=ttyAMA4", CONSOLE)];
        assert_usage(&mut tree.clone(), &board, &lines);
        let lines = [lines[1], ("console=ttyAMA1", NOT)];
        assert_usage(&mut tree.clone(), &tree, &lines);
    }

    /// As kexec-tools make it where the kernel is told of its devices by ACPI.
    #[test]
    fn a_tree_without_devices_counts_terminals_as_the_board_does() {
        let mut tree = Sample::empty();
        assert_usage(
            &mut tree,
            &two(),
            &[
                ("console=ttyAMA0", CONSOLE),
                ("console=ttyAMA1", NOT),
                ("earlycon=pl011,0x9000000", BOTH),
                ("", NOT),
            ],
        );
    }

    #[test]
    fn firmware_names_the_console_where_no_tree_does() {
        let uart = MonitorUart::of_firmware(uart(&two()).console);
        for (line, expected) in [
            ("", CONSOLE),
            ("earlycon", BOTH),
            ("console=ttyAMA0", CONSOLE),
            ("console=tty0", NOT),
            ("console=ttyAMA1", NOT),
        ] {
            let mut tree = Sample::empty();
            tree.set("/chosen", "bootargs", line);
            assert_eq!(uart.usage(&tree.blob()), expected, "{line:?}");
        }
        let mut tree = two();
        tree.set("/chosen", "stdout-path", OTHER);
        assert_eq!(uart.usage(&tree.blob()), NOT, "a tree that names another");
    }

    #[test]
    fn what_is_no_tree_uses_nothing() {
        let board = two();
        let uart = uart(&board);
        assert_eq!(uart.usage(&[]), NOT);
        assert_eq!(uart.usage(&[0x42; 4096]), NOT);
        assert_eq!(uart.usage(&Sample::empty().blob()), NOT, "no /chosen");
    }

    #[test]
    fn long_lines_and_paths_are_cut_off() {
        let board = two();
        let mut tree = board.clone();
        let padding = "x".repeat(LINE);
        let line = alloc::format!("console=tty0 {padding} console=ttyAMA0");
        assert_usage(&mut tree, &board, &[(&line, NOT)]);
        let long = alloc::format!("serial0{}", "/".repeat(1000));
        tree.set("/aliases", "serial0", PL011)
            .set("/chosen", "stdout-path", long.as_str());
        assert_usage(&mut tree, &board, &[("", NOT)]);
    }
}
