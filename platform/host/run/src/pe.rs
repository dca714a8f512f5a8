// SPDX-License-Identifier: Apache-2.0
//! The one field in which an EFI application and a driver differ: PE's subsystem (Microsoft's PE Format,
//! "Optional Header Windows-Specific Fields").

/// Where a file says where its PE header is.
const LFANEW: usize = 0x3c;
/// Bytes from there to the optional header: signature and COFF header.
const OPTIONAL_HEADER: usize = 24;
/// PE32+
const MAGIC: u16 = 0x20b;
/// Bytes of the optional header before the subsystem.
const SUBSYSTEM: usize = 68;

/// What firmware takes a file for (UEFI 2.10, 2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subsystem {
    /// It is unloaded when it returns.
    Application = 10,
    /// A driver of boot services, which stays.
    BootServiceDriver = 11,
}

/// Makes a PE32+ file what firmware shall take it for.
///
/// # Errors
/// What was expected of the file, and what was seen.
pub fn set_subsystem(file: &mut [u8], subsystem: Subsystem) -> Result<(), String> {
    let header = bytes(file, LFANEW).map_or(0, u32::from_le_bytes) as usize;
    match bytes(file, header) {
        Some(signature) if signature == *b"PE\0\0" => {}
        seen => {
            return Err(format!(
                "expected a PE file, seen {seen:02x?} at {header:#x}"
            ));
        }
    }
    let optional = header + OPTIONAL_HEADER;
    match bytes(file, optional).map(u16::from_le_bytes) {
        Some(MAGIC) => {}
        seen => {
            return Err(format!(
                "expected the magic number of PE32+, {MAGIC:#x}; seen {seen:#x?}"
            ));
        }
    }
    match file.get_mut(optional + SUBSYSTEM..optional + SUBSYSTEM + 2) {
        Some(field) => field.copy_from_slice(&(subsystem as u16).to_le_bytes()),
        None => return Err(format!("expected a PE file, seen {} bytes", file.len())),
    }
    Ok(())
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_two_bytes_and_no_more() {
        let mut file = vec![0; 0x200];
        file[LFANEW] = 0x40;
        file[0x40..0x44].copy_from_slice(b"PE\0\0");
        file[0x58..0x5a].copy_from_slice(&MAGIC.to_le_bytes());
        let mut expected = file.clone();
        expected[0x40 + 0x5c] = 11;
        assert_eq!(
            set_subsystem(&mut file, Subsystem::BootServiceDriver),
            Ok(())
        );
        assert_eq!(file, expected);
    }

    #[test]
    fn refuses_what_is_no_pe_file() {
        for file in [&mut [][..], &mut [0; 64], &mut [0xff; 64]] {
            assert!(set_subsystem(file, Subsystem::Application).is_err());
        }
        let mut cut = vec![0; 0x60];
        cut[LFANEW] = 0x40;
        cut[0x40..0x44].copy_from_slice(b"PE\0\0");
        cut[0x58..0x5a].copy_from_slice(&MAGIC.to_le_bytes());
        assert!(set_subsystem(&mut cut, Subsystem::Application).is_err());
    }
}
