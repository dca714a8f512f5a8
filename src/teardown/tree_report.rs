//! The report in the next kernel's device tree, for whoever administrates it.
//!
//! The guest's tree has a node `/baton` with a property `report` of a fixed size. A kexec hands the
//! tree on, and the monitor writes over the property where it finds it: the kernel shows it as
//! `/proc/device-tree/baton/report`, without a driver.

use super::report_table::{self, door, since};
use crate::abi::ReportHeader;
use core::fmt::{self, Write};

/// Size of the property in bytes.
pub const SIZE: usize = 1024;
/// What the property begins with, by which it is found in a tree.
const TITLE: &[u8; 16] = b"Baton report v1\n";

/// Returns the property of a tree before the first reboot.
pub fn empty() -> [u8; SIZE] {
    let mut property = [0; SIZE];
    write(&mut property, |text| text.write_str("no reboot yet\n"));
    property
}

/// Returns the property of the reboot that `header` tells of. What does not fit is left out.
pub fn property(header: &ReportHeader) -> [u8; SIZE] {
    let mut property = [0; SIZE];
    write(&mut property, |text| {
        writeln!(
            text,
            "reboot {} by {}: {} CPUs of the machine, {} missing",
            header.generation,
            door(header),
            header.rows,
            header.missing
        )?;
        writeln!(text, "us since the request:")?;
        for (name, time) in report_table::milestones(header) {
            writeln!(
                text,
                "{name:<40}{:>12}",
                since(header, header.requested, time)
            )?;
        }
        writeln!(text, "{} KiB copied or zeroed", header.copied >> 10)
    });
    property
}

/// Returns where in `tree` the property is, if it is there as a whole.
///
/// The tree is not parsed: it may have grown with the machine, and this is done while it is away.
pub fn find(tree: &[u8]) -> Option<usize> {
    let (cells, _) = tree.as_chunks::<4>();
    let first = [TITLE[0], TITLE[1], TITLE[2], TITLE[3]];
    cells
        .iter()
        .enumerate()
        .filter(|(_, cell)| **cell == first)
        .map(|(number, _)| number * 4)
        .find(|&at| {
            tree.get(at..at + SIZE)
                .is_some_and(|property| property.starts_with(TITLE))
        })
}

/// Writes the title, and the text behind it.
fn write(property: &mut [u8; SIZE], text: impl FnOnce(&mut Text) -> fmt::Result) {
    let mut into = Text {
        // A property that is text ends with a NUL.
        left: &mut property[..SIZE - 1],
    };
    into.push(TITLE);
    // It fails where the text is too long: what fits is there.
    let _ = text(&mut into);
}

/// What is left of a buffer.
struct Text<'a> {
    left: &'a mut [u8],
}

impl Text<'_> {
    fn push(&mut self, bytes: &[u8]) {
        let left = core::mem::take(&mut self.left);
        let (filled, left) = left.split_at_mut(bytes.len().min(left.len()));
        filled.copy_from_slice(&bytes[..filled.len()]);
        self.left = left;
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::DOOR_HOOK;

    fn text(property: &[u8]) -> &str {
        let end = property
            .iter()
            .position(|&byte| byte == 0)
            .expect("a NUL at the end");
        str::from_utf8(&property[..end]).expect("text")
    }

    #[test]
    fn says_that_there_was_none() {
        assert_eq!(text(&empty()), "Baton report v1\nno reboot yet\n");
    }

    #[test]
    fn tells_of_a_reboot_and_fits() {
        let header = ReportHeader {
            generation: u64::MAX,
            rows: 1024,
            missing: 1023,
            frequency: 1,
            door: DOOR_HOOK,
            phase1_end: u64::MAX / 2,
            phase3_end: u64::MAX,
            copied: u64::MAX,
            ..Default::default()
        };
        let property = property(&header);
        let text = text(&property);
        assert!(text.contains("phase 1 done"), "seen: {text}");
        assert!(text.ends_with("KiB copied or zeroed\n"), "cut off: {text}");
    }

    #[test]
    fn is_found_in_a_tree_wherever_it_is() {
        for at in [0, 4, 400, 4096 - SIZE] {
            let mut tree = vec![0x42; 4096];
            tree[at..at + SIZE].copy_from_slice(&empty());
            assert_eq!(find(&tree), Some(at));
        }
    }

    #[test]
    fn is_not_found_where_it_is_not_whole() {
        let mut tree = vec![0; 4096];
        assert_eq!(find(&tree), None);
        tree[4000..4016].copy_from_slice(TITLE);
        assert_eq!(find(&tree), None, "only {} bytes of it are there", 96);
        tree[2..18].copy_from_slice(TITLE);
        assert_eq!(find(&tree), None, "a value is aligned to 4 bytes");
    }
}
