// SPDX-License-Identifier: Apache-2.0
//! The disk of which every generation of the Linux guest writes a block.
//!
//! The other side is `check_disk` in `guest/init`: each generation writes the block of its number,
//! and reads the blocks of all generations so far.

use crate::{Console, Disk, Error, linux};
use std::fs::{self, File};
use std::path::Path;

/// Bytes that a generation writes.
const BLOCK: usize = 256 << 10;

/// What generation `number` writes.
fn block(number: u32) -> Vec<u8> {
    let line = format!("what generation {number} wrote\n");
    line.bytes().cycle().take(BLOCK).collect()
}

/// An empty disk in `file` for the generations 0 to `last`.
///
/// # Errors
/// [`Error::File`] if it cannot be written.
pub fn create(file: &Path, last: u32) -> Result<Disk, Error> {
    let size = (u64::from(last) + 1) * BLOCK as u64;
    let parent = file.parent().map_or(Ok(()), fs::create_dir_all);
    parent
        .and_then(|()| File::create(file))
        .and_then(|created| created.set_len(size))
        .map_err(|error| Error::File {
            path: file.to_owned(),
            error,
        })?;
    Ok(Disk {
        file: file.to_owned(),
        serial: linux::SCRATCH,
        writable: true,
    })
}

/// Checks that each of the generations 0 to `last` said that the disk worked, by interrupts that the
/// ITS delivered, and that its block is in the file.
///
/// # Errors
/// What was expected, and what was seen.
pub fn check(console: &Console, disk: &Disk, last: u32) -> Result<(), String> {
    let content =
        fs::read(&disk.file).map_err(|error| format!("{}: {error}", disk.file.display()))?;
    for (number, seen) in (0..=last).zip(content.chunks(BLOCK)) {
        let said = format!("guest: disk: wrote block {number}, read 0 to {number};");
        if console.find(&said).is_none() {
            return Err(format!("expected \"{said}\", seen no such line"));
        }
        let expected = block(number);
        if let Some(at) = (0..BLOCK).find(|&at| seen.get(at) != expected.get(at)) {
            return Err(format!(
                "expected in the disk's file what generation {number} wrote; seen {:02x?} at {at:#x} \
                 of block {number}, expected {:02x?}",
                seen.get(at),
                expected.get(at)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{End, Line};
    use std::time::Duration;

    #[test]
    fn finds_what_is_missing() {
        let file = std::env::temp_dir().join(format!("baton-scratch-{}", std::process::id()));
        let disk = create(&file, 0).unwrap();
        let line = "guest: disk: wrote block 0, read 0 to 0; ITS interrupts";
        let mut console = Console {
            lines: Vec::new(),
            end: End::PoweredOff,
        };
        let silent = check(&console, &disk, 0).unwrap_err();
        console.lines.push(Line {
            at: Duration::ZERO,
            text: line.into(),
        });
        let empty = check(&console, &disk, 0).unwrap_err();
        fs::write(&file, block(0)).unwrap();
        let good = check(&console, &disk, 0);
        fs::remove_file(&file).unwrap();
        assert!(silent.contains("no such line"), "{silent}");
        assert!(empty.contains("seen Some(00) at 0x0 of block 0"), "{empty}");
        assert_eq!(good, Ok(()));
    }
}
