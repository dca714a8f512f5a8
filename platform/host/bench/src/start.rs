// SPDX-License-Identifier: Apache-2.0
//! What a start costs: the figures that the monitor prints until it has patched the hooks.

use crate::cell::Cell;
use crate::raw::Raw;
use baton_qemu::console::{self, Limits};
use baton_qemu::{Machine, door, paths};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Starts a machine of a column of [`STARTS`](crate::column::Column::STARTS), and adds the sample. Returns how it
/// ended.
///
/// # Errors
/// If a file cannot be written, or QEMU not be started.
pub fn measure(raw: &mut Raw, cell: &Cell, mut machine: Machine) -> Result<String, String> {
    let text = |error: baton_qemu::Error| error.to_string();
    let mut guest = cell.column.guest(0);
    let command = if cell.column.is_door() {
        let folder = paths::target().join("bench/door");
        door::prepare(&mut machine, &guest.kernel, &folder).map_err(text)?;
        door::command(&machine, &guest)
    } else {
        guest.kernel = largest_kernel(&guest.kernel);
        machine.command(&guest)
    };
    let limits = Limits {
        total: Duration::from_secs(900),
        silence: Duration::from_secs(240),
    };
    let seen = console::watch(command.map_err(text)?, limits, |line| {
        !line.text.contains("baton: hooks: ")
    })
    .map_err(text)?;
    let kernel = guest.kernel.canonicalize().unwrap_or(guest.kernel);
    let version = kernel
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default();
    let Some((enter, patch)) = figures(seen.lines.iter().map(|line| line.text.as_str())) else {
        return Ok(format!(
            "no hooks were patched: {}",
            seen.tail(3).replace('\n', "; ")
        ));
    };
    let metrics = [
        ("start instructions", format!("{:.0}", enter * 1e3)),
        ("patching instructions", format!("{:.0}", patch * 1e3)),
        ("kernel", version.to_string_lossy().into_owned()),
    ];
    cell.add(raw, &metrics.map(|(name, value)| (name.to_owned(), value)))?;
    Ok("all is there".into())
}

/// The microseconds that the monitor's start took, and those that patching took.
fn figures<'a>(lines: impl Iterator<Item = &'a str>) -> Option<(f64, f64)> {
    let (mut enter, mut patch) = (None, None);
    for line in lines {
        if let Some(us) = enter_us(line) {
            enter = Some(us);
        } else if line.contains("hooks: kernel at") {
            patch = before_us(line);
        }
    }
    Some((enter?, patch?))
}

/// The microseconds from the monitor's entry to its guest's, where a line of the monitor has them.
pub fn enter_us(line: &str) -> Option<f64> {
    let entered = ["entering it after", "EL2 taken at ExitBootServices"];
    let is_start = entered.iter().any(|text| line.contains(text));
    is_start.then(|| before_us(line)).flatten()
}

fn before_us(line: &str) -> Option<f64> {
    let (before, _) = line.split_once(" us")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// The largest of the kernels that were fetched, or `own`.
fn largest_kernel(own: &Path) -> PathBuf {
    let kernels = fs::read_dir(paths::cache().join("kernels"))
        .into_iter()
        .flatten()
        .flatten();
    kernels
        .map(|entry| entry.path().join("Image"))
        .chain([own.to_owned()])
        .filter_map(|path| Some((path.metadata().ok()?.len(), path)))
        .max()
        .map_or_else(|| own.to_owned(), |(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_monitors_start() {
        let lines = [
            "baton: kernel at 0x44000000-0x46010000 (32 MiB), entering it after 6712 us",
            "baton: hooks: kernel at 0x44000000, patched at offsets 0x1 and 0x2 in 1234 us",
        ];
        assert_eq!(figures(lines.into_iter()), Some((6712.0, 1234.0)));
        assert_eq!(figures(lines.into_iter().take(1)), None);
    }

    #[test]
    fn reads_the_start_by_firmware() {
        let line =
            "baton: EL2 taken at ExitBootServices; its caller goes on at EL1, after 4200 us in all";
        assert_eq!(enter_us(line), Some(4200.0));
        assert_eq!(enter_us("baton: waited 4200 us"), None);
    }
}
