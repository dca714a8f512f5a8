// SPDX-License-Identifier: Apache-2.0
//! What Baton shows of itself: in a table of ACPI, or in the device tree.

use crate::Error;
use crate::live_log::{self, Log};
use crate::root::Root;
use baton_abi::acpi::{SIGNATURE, TEXT, TEXT_SIZE};
use baton_abi::{REPORT_MAGIC, REPORT_VERSION, ReportHeader, ReportRow};
use baton_core::acpi::sum;
use baton_core::report::{property, times};
use zerocopy::FromBytes;

/// Where ACPI has it.
const TABLE: &str = "/sys/firmware/acpi/tables/BATN";
/// Where a device tree has it.
const TREE: &str = "/proc/device-tree/baton/report";
const TREE_ROOT: &str = "/proc/device-tree";
const TREE_TIMES: &str = "/proc/device-tree/baton/times";
/// The whole tree: one that has nothing but `/chosen` is not shown as folders.
const BLOB: &str = "/sys/firmware/fdt";
/// Before the lines of the log.
const LOG: &str = "\nlog:\n";

/// What Baton shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Where it is.
    pub place: &'static str,
    /// The report as text, without the log.
    pub text: String,
    /// The log.
    pub log: Log,
    /// The times of the last reboot; `None` before the first one.
    pub times: Option<Times>,
}

/// The times of a reboot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// Of the takeover as a whole.
    pub header: ReportHeader,
    /// Of each CPU.
    pub rows: Vec<ReportRow>,
}

impl Evidence {
    /// Looks for Baton; `None` if the kernel runs without it.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] if it is there and broken, [`Error::NotRoot`] if it must not be read.
    pub fn find(root: &Root) -> Result<Option<Self>, Error> {
        if root.exists(TABLE) {
            let table = root.bytes_at_rest(TABLE).ok_or(Error::NotRoot)?;
            return Self::of_table(&table).map(Some);
        }
        if let Some(text) = root.bytes(TREE) {
            let times = root.bytes(TREE_TIMES).unwrap_or_default();
            return Ok(Some(Self::new(
                TREE,
                &text,
                &times,
                live_log::in_tree(root),
            )));
        }
        let Some(blob) = root.bytes(BLOB) else {
            // Root alone reads it, and a tree that is shown as folders would have shown the report.
            return match root.exists(BLOB) && !root.exists(TREE_ROOT) {
                true => Err(Error::NotRoot),
                false => Ok(None),
            };
        };
        Ok(property::find(&blob).map(|at| {
            let times = times::find_any(&blob, |_| true);
            let times = times.map_or(&[][..], |(at, _)| &blob[at..]);
            let text = &blob[at..at + property::SIZE];
            Self::new(BLOB, text, times, live_log::in_memory(root, &blob))
        }))
    }

    /// Reads the table of ACPI.
    fn of_table(table: &[u8]) -> Result<Self, Error> {
        let broken = |reason: String| Error::Unreadable {
            place: TABLE,
            reason,
        };
        if !table.starts_with(&SIGNATURE) || table.len() < TEXT + TEXT_SIZE {
            return Err(broken(format!(
                "expected a table BATN of at least {} bytes, seen {} bytes",
                TEXT + TEXT_SIZE,
                table.len()
            )));
        }
        match sum(table) {
            0 => {
                let (text, times) = table[TEXT..].split_at(TEXT_SIZE);
                Ok(Self::new(TABLE, text, times, live_log::in_table(times)))
            }
            sum => Err(broken(format!("its bytes add up to {sum:#x}, not to 0"))),
        }
    }

    /// Takes what is shown; `live` is the log as it is now, or the reason why there is none.
    fn new(
        place: &'static str,
        text: &[u8],
        times: &[u8],
        live: Result<String, &'static str>,
    ) -> Self {
        let end = text
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(text.len());
        let text = String::from_utf8_lossy(&text[..end]);
        let (text, log) = text.split_once(LOG).unwrap_or((&text, ""));
        Self {
            place,
            text: text.trim_end().to_owned(),
            log: match live {
                Ok(text) => Log { text, old: None },
                Err(why) => Log {
                    text: log.to_owned(),
                    old: Some(why),
                },
            },
            times: Times::read(times),
        }
    }

    /// Returns the value of a line of the report.
    pub fn value(&self, name: &str) -> Option<&str> {
        let values = self.text.lines().filter_map(|line| line.strip_prefix(name));
        let mut values = values.filter(|value| value.starts_with(' '));
        values.next().map(str::trim)
    }
}

impl Times {
    /// Reads header and rows; `None` if there was no takeover, or they are of another version.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = ReportHeader::read_from_prefix(bytes).ok()?;
        if (header.magic, header.version) != (REPORT_MAGIC, REPORT_VERSION) {
            return None;
        }
        let (start, size) = (header.header_size as usize, header.row_size as usize);
        let rows = bytes.get(start..)?.chunks_exact(size.max(1));
        let rows = rows.take(usize::try_from(header.rows).ok()?);
        if header.generation == 0 {
            return None;
        }
        let rows: Option<Vec<_>> = rows
            .map(|row| Some(ReportRow::read_from_prefix(row).ok()?.0))
            .collect();
        let rows = rows.filter(|rows| rows.len() as u64 == header.rows)?;
        Some(Self { header, rows })
    }

    /// Returns a time in microseconds since the request; `None` if it did not come to it.
    pub fn us(&self, time: u64) -> Option<f64> {
        let ticks = time.checked_sub(self.header.requested)?;
        (time != 0).then(|| ticks as f64 * 1e6 / self.header.frequency.max(1) as f64)
    }
}

/// Systems with Baton, for tests.
#[cfg(test)]
pub(crate) mod fake {
    use super::*;
    use baton_abi::acpi::{self as layout, TIMES};
    use baton_abi::{ROW_BOOT_CPU, ROW_TOOK_PART, SOURCE_HOOK};
    use baton_core::log_ring::LogRing;
    use baton_core::report::acpi;
    use baton_core::report::property::About;
    use zerocopy::IntoBytes;

    /// A reboot of two CPUs. A tick is a microsecond.
    pub fn times() -> Times {
        let header = ReportHeader {
            generation: 2,
            frequency: 1_000_000,
            source: SOURCE_HOOK,
            requested: 1_000,
            validated: 1_010,
            kicked: 1_020,
            phase1_end: 1_100,
            phase2_end: 1_150,
            phase3_end: 1_300,
            entered: 1_310,
            copied: 4 << 20,
            ..ReportHeader::of_cpus(2)
        };
        let row = |at, flags| ReportRow {
            flags: ROW_TOOK_PART | flags,
            arrived: at,
            phase1_end: at + 10,
            phase3_start: at + 100,
            copy_start: at + 110,
            copy_end: at + 150,
            phase3_end: at + 160,
            copied: 2 << 20,
            ..Default::default()
        };
        let rows = vec![row(1_021, ROW_BOOT_CPU), row(1_050, 0)];
        Times { header, rows }
    }

    /// The times as they are in a table.
    pub fn bytes(times: &Times) -> Vec<u8> {
        let rows = times.rows.iter().flat_map(|row| row.as_bytes());
        let header = times.header.as_bytes().iter();
        header.chain(rows).copied().collect()
    }

    fn ring(lines: &[&str]) -> LogRing {
        let mut ring = LogRing::new();
        lines
            .iter()
            .for_each(|line| ring.push("", format_args!("{line}")));
        ring
    }

    /// The text of a report.
    pub fn text(times: Option<&Times>, options: &str, lines: &[&str]) -> [u8; property::SIZE] {
        let log = ring(lines);
        let header = times.map(|times| &times.header);
        property::property(header, &About { options }, |most| log.last_lines(most))
    }

    /// The log as it is shown.
    pub fn log(lines: &[&str]) -> Vec<u8> {
        let mut shown = vec![0; baton_abi::log::SIZE];
        for (at, bytes) in ring(lines).changed_since(0) {
            shown[at..at + bytes.len()].copy_from_slice(bytes);
        }
        shown
    }

    /// The table of ACPI.
    pub fn table(times: Option<&Times>, options: &str, lines: &[&str]) -> Vec<u8> {
        let mut table = acpi::table(2, &text(times, options, &[]));
        if let Some(times) = times {
            table.splice(TIMES..layout::log(2), bytes(times));
            let rest = sum(&table[TEXT..]);
            table.splice(..TEXT, acpi::header(2, rest));
        }
        table.splice(layout::log(2).., log(lines));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fake::System;

    #[test]
    fn is_found_in_acpi_in_a_tree_and_in_a_tree_of_chosen() {
        let times = fake::times();
        let text = fake::text(Some(&times), "wait=20", &["hooks: none"]);
        let mut blob = vec![0x42; 64];
        blob.extend(fake::bytes(&times));
        blob.extend(text);
        blob.extend([0; 12]);
        for (system, place) in [
            (
                System::new().with(
                    TABLE,
                    fake::table(Some(&times), "wait=20", &["hooks: none"]),
                ),
                TABLE,
            ),
            (
                System::new()
                    .with(TREE, text)
                    .with(TREE_TIMES, fake::bytes(&times)),
                TREE,
            ),
            (System::new().with(BLOB, &blob), BLOB),
        ] {
            let found = Evidence::find(&system.root())
                .expect("whole")
                .expect("Baton");
            assert_eq!(found.place, place);
            assert_eq!(found.times.as_ref(), Some(&times), "{place}");
            assert_eq!(found.value("options"), Some("wait=20"), "{place}");
            assert_eq!(found.value("version"), Some(env!("CARGO_PKG_VERSION")));
            assert_eq!(found.log.text, "hooks: none\n", "{place}");
            assert_eq!(found.log.old.is_none(), place == TABLE, "{place}");
        }
    }

    #[test]
    fn without_baton_there_is_none() {
        let system = System::new().with(BLOB, [0; 4096]);
        assert_eq!(Evidence::find(&system.root()).expect("no error"), None);
        assert_eq!(
            Evidence::find(&System::new().root()).expect("no error"),
            None
        );
    }

    /// A folder in its place cannot be read by root either.
    #[test]
    fn what_root_alone_reads_is_not_taken_for_none() {
        let hidden = System::new().with(&format!("{BLOB}/unreadable"), "");
        let error = Evidence::find(&hidden.root()).expect_err("not readable");
        assert!(matches!(error, Error::NotRoot), "{error}");
        // The tree is shown as folders, and has no report.
        let shown = hidden.with("/proc/device-tree/compatible", "linux,dummy-virt");
        assert_eq!(Evidence::find(&shown.root()).expect("no error"), None);
    }

    #[test]
    fn before_the_first_reboot_there_are_no_times() {
        let system = System::new().with(TABLE, fake::table(None, "", &[]));
        let found = Evidence::find(&system.root())
            .expect("whole")
            .expect("Baton");
        assert_eq!(found.times, None);
        assert!(found.text.ends_with("no reboot yet"), "{}", found.text);
    }

    #[test]
    fn a_table_that_is_broken_is_said() {
        let whole = fake::table(None, "", &[]);
        let mut changed = whole.clone();
        changed[100] ^= 1;
        let cases = [
            (
                &whole[..100],
                "expected a table BATN of at least 4132 bytes, seen 100 bytes",
            ),
            (&changed[..], "its bytes add up to"),
        ];
        for (table, expected) in cases {
            let system = System::new().with(TABLE, table);
            let error = Evidence::find(&system.root())
                .expect_err("broken")
                .to_string();
            assert!(
                error.contains(expected),
                "expected {expected:?}, seen {error:?}"
            );
        }
    }

    #[test]
    fn rows_that_are_not_whole_are_none() {
        let bytes = fake::bytes(&fake::times());
        assert!(Times::read(&bytes).is_some());
        for size in [0, 100, bytes.len() - 1] {
            assert_eq!(Times::read(&bytes[..size]), None, "{size} bytes");
        }
        let mut endless = bytes.clone();
        endless[32..40].fill(0xff);
        assert_eq!(Times::read(&endless), None);
    }
}
