// SPDX-License-Identifier: Apache-2.0
//! The report for the administrator of the next kernel: in its device tree, or in ACPI.
//!
//! The guest's tree has a node `/baton` with a property `report` of a fixed size; a tree that has
//! nothing but `/chosen` has it below that. kexec-tools copies the tree for the next kernel, and the
//! monitor overwrites the property where it finds it. Linux shows it as
//! `/proc/device-tree/baton/report`, and the whole tree as `/sys/firmware/fdt`, without a driver. Behind
//! the times it has the last lines of the log.

use super::source;
use crate::devicetree::blob;
use crate::log_ring::Part;
use baton_abi::ReportHeader;

/// Size of the property in bytes.
pub const SIZE: usize = 4096;
/// The first line of the property, by which it is found in a tree.
const TITLE: &[u8; 16] = b"Baton report v1\n";
/// The line before those of the log.
const LOG: &[u8] = b"log:\n";
/// Where the value of a line ends; its name begins at the left.
const COLUMNS: usize = 48;

/// A line of the property: a name and a value.
struct Line {
    name: &'static str,
    value: fn(&ReportHeader) -> u64,
    kind: Kind,
}

/// The unit of a value.
#[derive(Clone, Copy)]
enum Kind {
    /// A number without a unit.
    Count,
    /// Bytes, shown as KiB.
    Size,
    /// A time in ticks, shown as microseconds since the request. Without a line if it is 0: the
    /// takeover did not get so far.
    Time,
}

/// What is told of Baton itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The options that it was given.
    pub options: &'a str,
}

/// Bytes of the options that are told.
const OPTIONS_MAX: usize = 256;

const LINES: [Line; 12] = [
    Line::new("reboot", Kind::Count, |header| header.generation),
    Line::new("CPUs", Kind::Count, |header| header.rows),
    Line::new("CPUs missing", Kind::Count, |header| header.missing),
    Line::new("PCI functions stopped", Kind::Count, |header| {
        header.pci_stopped
    }),
    Line::new("SMMUs shut", Kind::Count, |header| header.smmus_shut),
    Line::new("memory taken away, CPUs kicked", Kind::Time, |header| {
        header.kicked
    }),
    Line::new("all CPUs gathered", Kind::Time, |header| header.gathered),
    Line::new("list validated", Kind::Time, |header| header.validated),
    Line::new("phase 1 done on all CPUs", Kind::Time, |header| {
        header.phase1_end
    }),
    Line::new("phase 2 done", Kind::Time, |header| header.phase2_end),
    Line::new(LATE, Kind::Time, |header| header.phase3_end),
    Line::new("copied or zeroed", Kind::Size, |header| header.copied),
];

impl Line {
    const fn new(name: &'static str, kind: Kind, value: fn(&ReportHeader) -> u64) -> Self {
        Self { name, value, kind }
    }
}

/// Returns the property before the first takeover.
pub fn empty(about: &About<'_>) -> [u8; SIZE] {
    property(None, about, no_lines)
}

/// For [`property`] without lines of the log.
pub fn no_lines(_: u64) -> Part<'static> {
    Part {
        start: 0,
        pieces: [&[]; 2],
    }
}

/// Returns the property for the takeover of `header`, `None` before the first one; `last_lines` returns lines
/// of the log that have so many bytes at most.
///
/// The guest stands still meanwhile, and code that runs for the first time is what takes longest:
/// so this neither formats by `core::fmt` nor divides 128 bits, as the table on the console does.
pub fn property<'a>(
    header: Option<&ReportHeader>,
    about: &About<'_>,
    last_lines: impl FnOnce(u64) -> Part<'a>,
) -> [u8; SIZE] {
    let mut property = [0; SIZE];
    fill(&mut property, header, about, last_lines);
    property
}

/// As [`property`], in place: a CPU's stack has no room for many of them.
pub fn fill<'a>(
    property: &mut [u8; SIZE],
    header: Option<&ReportHeader>,
    about: &About<'_>,
    last_lines: impl FnOnce(u64) -> Part<'a>,
) {
    property.fill(0);
    let mut text = Text::begin(property);
    text.line(b"version", env!("CARGO_PKG_VERSION").as_bytes(), b"");
    let options = about.options.as_bytes();
    text.line(
        b"options",
        options.get(..OPTIONS_MAX).unwrap_or(options),
        b"",
    );
    match header {
        Some(header) => text.takeover(header),
        None => text.push(b"no reboot yet\n"),
    }
    text.push(LOG);
    for piece in last_lines(text.left.len() as u64).pieces {
        text.push(piece);
    }
}

/// The name of the line that is known at the end alone.
const LATE: &str = "phase 3 done on all CPUs";
/// Bytes of that line: a value, and its unit.
pub const LATE_SIZE: usize = COLUMNS + b" us\n".len();

/// Returns the offset in `property` of the line of which [`late_line`] returns what it is at the end.
pub fn late_place(property: &[u8; SIZE]) -> Option<usize> {
    let name = LATE.as_bytes();
    let mut lines = property.split_inclusive(|&byte| byte == b'\n');
    let mut at = 0;
    let line = lines.find(|line| {
        at += line.len();
        line.starts_with(name)
    })?;
    (line.len() == LATE_SIZE).then_some(at - LATE_SIZE)
}

/// Returns the line of a takeover that is known at its end alone: when phase 3 was done.
pub fn late_line(header: &ReportHeader) -> [u8; LATE_SIZE] {
    let mut line = [0; LATE_SIZE];
    let mut text = Text { left: &mut line };
    text.time(LATE.as_bytes(), header.phase3_end, header);
    line
}

/// Returns the offset of the property in `tree`, if all of it is there.
///
/// The tree is not parsed, as that takes the longer the more CPUs there are, and the guest stands
/// still meanwhile. The monitor makes its node the last one, and kexec-tools keeps the order: so
/// the search runs backwards.
pub fn find(tree: &[u8]) -> Option<usize> {
    let (cells, _) = blob::structure(tree).unwrap_or(tree).as_chunks::<4>();
    let first = [TITLE[0], TITLE[1], TITLE[2], TITLE[3]];
    cells
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, cell)| **cell == first)
        .map(|(number, _)| number * 4)
        .find(|&at| {
            tree.get(at..at + SIZE)
                .is_some_and(|property| property.starts_with(TITLE))
        })
}

/// A decimal number, written from its last digit on.
struct Digits {
    /// Room for the 20 digits of a 64-bit number, and a point.
    bytes: [u8; 21],
    start: usize,
}

impl Digits {
    /// Returns a whole number.
    fn new(number: u64) -> Self {
        let mut digits = Self {
            bytes: [0; 21],
            start: 21,
        };
        digits.put(number);
        digits
    }

    /// Returns a number of tenths as a decimal fraction.
    fn with_tenths(tenths: u64) -> Self {
        let mut digits = Self {
            bytes: [0; 21],
            start: 19,
        };
        digits.bytes[19] = b'.';
        digits.bytes[20] = b'0' + (tenths % 10) as u8;
        digits.put(tenths / 10);
        digits
    }

    /// Writes a number before what is there.
    fn put(&mut self, mut number: u64) {
        while let Some(at) = self.start.checked_sub(1) {
            self.bytes[at] = b'0' + (number % 10) as u8;
            self.start = at;
            number /= 10;
            if number == 0 {
                break;
            }
        }
    }

    fn as_bytes(&mut self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// The rest of a property that is being written. A text that is longer is cut off.
struct Text<'a> {
    left: &'a mut [u8],
}

impl<'a> Text<'a> {
    /// Begins the text with the title.
    fn begin(property: &'a mut [u8; SIZE]) -> Self {
        let mut text = Self {
            // A property that is text ends with a NUL.
            left: &mut property[..SIZE - 1],
        };
        text.push(TITLE);
        text
    }

    /// Writes the lines of a takeover.
    fn takeover(&mut self, header: &ReportHeader) {
        self.line(b"asked for by", source(header).as_bytes(), b"");
        for Line { name, value, kind } in &LINES {
            let value = value(header);
            let (mut digits, unit): (_, &[u8]) = match kind {
                Kind::Count => (Digits::new(value), b""),
                Kind::Size => (Digits::new(value >> 10), b" KiB"),
                Kind::Time if value == 0 => continue,
                Kind::Time => {
                    self.time(name.as_bytes(), value, header);
                    continue;
                }
            };
            self.line(name.as_bytes(), digits.as_bytes(), unit);
        }
    }

    /// Writes the line of a time.
    fn time(&mut self, name: &[u8], time: u64, header: &ReportHeader) {
        let ticks = time.saturating_sub(header.requested);
        let tenths = ticks.saturating_mul(10_000_000) / header.frequency.max(1);
        self.line(name, Digits::with_tenths(tenths).as_bytes(), b" us");
    }

    /// Writes a line.
    fn line(&mut self, name: &[u8], value: &[u8], unit: &[u8]) {
        const SPACES: [u8; COLUMNS] = [b' '; COLUMNS];
        self.push(name);
        self.push(&SPACES[..COLUMNS.saturating_sub(name.len() + value.len()).max(1)]);
        self.push(value);
        self.push(unit);
        self.push(b"\n");
    }

    /// Writes `bytes`.
    fn push(&mut self, bytes: &[u8]) {
        let left = core::mem::take(&mut self.left);
        let (filled, left) = left.split_at_mut(bytes.len().min(left.len()));
        filled.copy_from_slice(&bytes[..filled.len()]);
        self.left = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_ring::LogRing;
    use baton_abi::SOURCE_HOOK;

    fn text(property: &[u8]) -> &str {
        let end = property
            .iter()
            .position(|&byte| byte == 0)
            .expect("a NUL at the end");
        str::from_utf8(&property[..end]).expect("text")
    }

    #[test]
    fn says_that_there_was_no_takeover() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text(&empty(&About::default())),
            format!(
                "Baton report v1\nversion{version:>41}\noptions{:41}\nno reboot yet\nlog:\n",
                ""
            )
        );
    }

    #[test]
    fn tells_of_a_takeover_and_fits() {
        let header = ReportHeader {
            generation: u64::MAX,
            rows: 1024,
            missing: 1023,
            pci_stopped: u64::MAX,
            smmus_shut: u64::MAX,
            frequency: 1,
            source: SOURCE_HOOK,
            phase1_end: u64::MAX / 2,
            phase3_end: u64::MAX,
            copied: u64::MAX,
            ..Default::default()
        };
        let property = property(Some(&header), &About::default(), no_lines);
        let text = text(&property);
        assert!(text.contains("\nphase 1 done"), "seen: {text}");
        assert!(text.ends_with(" KiB\nlog:\n"), "cut off: {text}");
        assert!(text.len() < 1024, "seen {} bytes without a log", text.len());
    }

    #[test]
    fn long_options_are_cut_off() {
        let options = "x".repeat(5000);
        let text = text(&empty(&About { options: &options })).to_owned();
        assert!(
            text.contains(&format!("options {}\n", "x".repeat(256))),
            "{text}"
        );
        assert!(text.ends_with("\nno reboot yet\nlog:\n"), "{text}");
    }

    #[test]
    fn ends_with_the_lines_of_the_log_that_fit() {
        let header = ReportHeader {
            frequency: 1,
            ..Default::default()
        };
        let mut log = LogRing::<8192>::new();
        for line in 0..300 {
            log.push("", format_args!("line {line} of the log"));
        }
        let property = property(Some(&header), &About::default(), |most| {
            log.last_lines(most)
        });
        let text = text(&property);
        assert!(text.ends_with("\nline 298 of the log\nline 299 of the log\n"));
        let lines = text.split_once("\nlog:\n").expect("a log").1;
        assert!(lines.starts_with("line "), "cut off: {lines}");
        let left = SIZE - 1 - text.len();
        assert!(left < 20, "another line would fit: {left} bytes are left");
    }

    #[test]
    fn values_end_in_a_column() {
        let header = ReportHeader {
            generation: 3,
            rows: 80,
            pci_stopped: 2,
            smmus_shut: 1,
            frequency: 62_500_000,
            source: SOURCE_HOOK,
            requested: 1_000,
            validated: 1_000 + 125,
            copied: 34 << 20,
            ..Default::default()
        };
        assert_eq!(
            text(&property(
                Some(&header),
                &About { options: "wait=20" },
                no_lines
            ))
            .replace(env!("CARGO_PKG_VERSION"), "X.Y.Z"),
            "Baton report v1\n\
             version                                    X.Y.Z\n\
             options                                  wait=20\n\
             asked for by                      kernel_kexec()\n\
             reboot                                         3\n\
             CPUs                                          80\n\
             CPUs missing                                   0\n\
             PCI functions stopped                          2\n\
             SMMUs shut                                     1\n\
             list validated                               2.0 us\n\
             copied or zeroed                           34816 KiB\n\
             log:\n"
        );
    }

    #[test]
    fn what_is_known_late_is_a_line_of_one_size() {
        let header = |phase3_end| ReportHeader {
            frequency: 62_500_000,
            source: SOURCE_HOOK,
            requested: 1_000,
            phase3_end,
            ..Default::default()
        };
        let about = About {
            options: "phase 3 done on all CPUs",
        };
        for phase3_end in [1_000, 1_125, 99_000_000_000, u64::MAX] {
            let early = property(Some(&header(1_000)), &about, no_lines);
            let at = late_place(&early).expect("the line is there");
            let mut late = early;
            late[at..at + LATE_SIZE].copy_from_slice(&late_line(&header(phase3_end)));
            let whole = property(Some(&header(phase3_end)), &about, no_lines);
            assert_eq!(text(&late), text(&whole), "phase 3 done at {phase3_end}");
        }
        assert_eq!(
            late_place(&empty(&about)),
            None,
            "before the first takeover"
        );
    }

    #[test]
    fn is_found_in_a_tree_wherever_it_is() {
        for at in [0, 4, 400, 3 * SIZE] {
            let mut tree = vec![0x42; 4 * SIZE];
            tree[at..at + SIZE].copy_from_slice(&empty(&About::default()));
            assert_eq!(find(&tree), Some(at));
        }
    }

    #[test]
    fn is_not_found_where_it_is_not_whole() {
        let mut tree = vec![0; 2 * SIZE];
        assert_eq!(find(&tree), None);
        let at = SIZE + 4;
        tree[at..at + TITLE.len()].copy_from_slice(TITLE);
        assert_eq!(find(&tree), None, "all but 4 bytes of it are there");
        tree[2..18].copy_from_slice(TITLE);
        assert_eq!(find(&tree), None, "a value is aligned to 4 bytes");
    }
}
