// SPDX-License-Identifier: Apache-2.0
//! The monitor's log as it is now: where Linux shows it, and as text.

use crate::kcore;
use crate::root::{Root, at_rest};
use baton_abi::ReportHeader;
use baton_abi::log::{LogHeader, MAGIC, NODE, PROPERTY, SIZE, VERSION};
use baton_core::acpi::sum;
use baton_core::devicetree::blob;
use baton_core::devicetree::node::{self, Located};
use zerocopy::FromBytes;

/// Where Linux has the memory that the device tree describes.
const DEVICES: &str = "/sys/bus/platform/devices";

/// Why there is none: the tree has no node for it.
pub const WITHOUT_TREE: &str =
    "this kernel has its machine from ACPI, and Baton came too late for a table there";
const NO_FILE: &str = "this kernel shows no file of it: its tree has no node baton-log, or it is built without CONFIG_SRAM";
const NO_KCORE: &str =
    "only root may read it as it is now, in /proc/kcore, which this kernel may not have";
const NOT_ROOT: &str = "only root may read it as it is now";
const UNKNOWN: &str = "its layout is of another version of Baton";

/// What the monitor said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Whole lines.
    pub text: String,
    /// Why they are the last ones before this kernel began, and not all up to now; `None` if they are.
    pub old: Option<&'static str>,
}

/// Returns the log of a machine of a device tree.
///
/// # Errors
///
/// The reason why it cannot be had.
pub fn in_tree(root: &Root) -> Result<String, &'static str> {
    let devices = root.names(DEVICES);
    let files = devices.iter().filter_map(|name| {
        let (address, node) = name.split_once('.')?;
        (node == NODE).then(|| format!("{DEVICES}/{name}/{address}.sram"))
    });
    let file = files.into_iter().find(|file| root.exists(file));
    let bytes = root.bytes_at_rest(file.ok_or(NO_FILE)?).ok_or(NOT_ROOT)?;
    lines(&bytes)
}

/// Returns the log of a machine of ACPI whose kernel has a tree of nothing but `/chosen`, which is `tree`.
///
/// # Errors
///
/// The reason why it cannot be had.
pub fn in_memory(root: &Root, tree: &[u8]) -> Result<String, &'static str> {
    let address = address(tree).ok_or(UNKNOWN)?;
    let bytes = at_rest(|| kcore::read(root, address, SIZE)).ok_or(NO_KCORE)?;
    lines(&bytes)
}

/// Returns where `tree` says that the log is.
fn address(tree: &[u8]) -> Option<u64> {
    let baton = Located::find(blob::open(tree).ok()?, "/chosen/baton")?;
    let place = node::bytes(&baton.node, PROPERTY);
    place.first_chunk().copied().map(u64::from_be_bytes)
}

/// Returns the log of a table of ACPI that has `times`, and what is behind them.
///
/// # Errors
///
/// The reason why it cannot be had.
pub fn in_table(times: &[u8]) -> Result<String, &'static str> {
    let behind = ReportHeader::read_from_prefix(times)
        .ok()
        .and_then(|(header, _)| {
            let rows = header.rows.checked_mul(header.row_size)?;
            let size = usize::try_from(header.header_size.checked_add(rows)?).ok()?;
            times.get(size..)
        });
    lines(behind.ok_or(UNKNOWN)?)
}

/// Returns the whole lines of a log that is shown as `shown`.
fn lines(shown: &[u8]) -> Result<String, &'static str> {
    let (header, ring) = LogHeader::read_from_prefix(shown).map_err(|_| UNKNOWN)?;
    let size = usize::try_from(header.size).map_err(|_| UNKNOWN)?;
    let ring = ring.get(..size).ok_or(UNKNOWN)?;
    if (header.magic, header.version) != (MAGIC, VERSION) || sum(shown) != 0 {
        return Err(UNKNOWN);
    }
    let text = match usize::try_from(header.end) {
        Ok(end) if end <= size => ring[..end].to_vec(),
        _ => {
            // The oldest byte is where the next one goes; what is left of its line is no line.
            let (newest, oldest) = ring.split_at((header.end % header.size.max(1)) as usize);
            let all = [oldest, newest].concat();
            let end = all.iter().position(|&byte| byte == b'\n');
            all[end.map_or(all.len(), |end| end + 1)..].to_vec()
        }
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;
    use crate::root::fake::System;

    const FILE: &str = "/sys/bus/platform/devices/7fe51000.baton-log/7fe51000.sram";

    #[test]
    fn tree_shows_it_as_a_file() {
        let system = System::new()
            .with(
                "/sys/bus/platform/devices/7fe50000.other/7fe50000.sram",
                "other",
            )
            .with(FILE, fake::log(&["Baton 0.3.0: 2 CPUs", "warning: x"]));
        let text = in_tree(&system.root());
        assert_eq!(text.as_deref(), Ok("Baton 0.3.0: 2 CPUs\nwarning: x\n"));
    }

    #[test]
    fn says_why_there_is_none() {
        let system = System::new();
        assert_eq!(in_tree(&system.root()), Err(NO_FILE));
        let whole = fake::log(&["line"]);
        let mut changed = whole.clone();
        changed[40] ^= 1;
        for bytes in [&[][..], &whole[..100], &changed, &vec![0; whole.len()]] {
            system.put(FILE, bytes);
            assert_eq!(
                in_tree(&system.root()),
                Err(UNKNOWN),
                "{} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn begins_with_the_oldest_whole_line() {
        let numbered: Vec<String> = (0..9000).map(|line| format!("line {line}")).collect();
        let all: Vec<&str> = numbered.iter().map(String::as_str).collect();
        let text = lines(&fake::log(&all)).expect("a log");
        assert!(text.ends_with("\nline 8998\nline 8999\n"));
        let first: usize = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("line ")?.parse().ok())
            .expect("a whole line first");
        let kept: usize = all[first..].iter().map(|line| line.len() + 1).sum();
        assert_eq!(text.len(), kept, "all lines from {first} on");
        let size = baton_abi::log::LOG_SIZE;
        assert!((size - 10..=size).contains(&kept), "{kept} bytes of {size}");
    }
}
