// SPDX-License-Identifier: Apache-2.0
//! The loader that comes next where nobody named one: the distribution's, on the same partition.

use super::text;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Offsets in EFI_FILE_INFO (UEFI 2.10, 13.5.16), and the bit of a folder in its Attribute.
const ATTRIBUTE: usize = 72;
const FILE_NAME: usize = 80;
const DIRECTORY: u8 = 0x10;

/// Loaders in a folder of a distribution, the first that is there. A shim leads to GRUB, and is what
/// firmware trusts.
const LOADERS: [&str; 3] = ["shimaa64.efi", "grubaa64.efi", "systemd-bootaa64.efi"];
/// The loader of a partition for removable media (UEFI 2.10, 3.5.1.1).
const REMOVABLE: &str = "\\EFI\\BOOT\\BOOTAA64.EFI";

/// Returns the name of the folder that `info`, an EFI_FILE_INFO, describes; `None` if it is no folder, or one
/// of those that lead to itself and upward.
pub fn folder_name(info: &[u8]) -> Option<String> {
    if info.get(ATTRIBUTE)? & DIRECTORY == 0 {
        return None;
    }
    let units: Vec<u16> = text::units(info.get(FILE_NAME..)?).collect();
    let name = String::from_utf16(&units).ok()?;
    (!name.is_empty() && name != "." && name != "..").then_some(name)
}

/// Returns the paths at which the next loader can be, best first. `own` is the monitor's image, which is
/// never among them, and `folders` are those in `\EFI`.
pub fn candidates(own: &str, folders: &[String]) -> Vec<String> {
    let is_boot = |folder: &&String| folder.eq_ignore_ascii_case("BOOT");
    let distributions = || folders.iter().filter(|folder| !is_boot(folder));
    let mut paths: Vec<String> = LOADERS
        .iter()
        .flat_map(|loader| distributions().map(move |folder| format!("\\EFI\\{folder}\\{loader}")))
        .collect();
    paths.push(REMOVABLE.into());
    paths.retain(|path| !path.eq_ignore_ascii_case(own));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(attribute: u8, name: &str) -> Vec<u8> {
        let mut info = alloc::vec![0; FILE_NAME];
        info[ATTRIBUTE] = attribute;
        info.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        info
    }

    #[test]
    fn folders_are_told_from_files() {
        assert_eq!(
            folder_name(&info(0x10, "debian")).as_deref(),
            Some("debian")
        );
        for (attribute, name) in [(0x20, "file.efi"), (0x10, "."), (0x10, ".."), (0x10, "")] {
            assert_eq!(folder_name(&info(attribute, name)), None, "{name:?}");
        }
        assert_eq!(folder_name(&[0x10; FILE_NAME]), None, "no name");
        assert_eq!(folder_name(&[]), None);
    }

    #[test]
    fn a_shim_comes_before_grub_and_itself_never() {
        let folders = ["BOOT".into(), "debian".into(), "BATON".into()];
        assert_eq!(
            candidates("\\EFI\\BATON\\grubaa64.EFI", &folders),
            [
                "\\EFI\\debian\\shimaa64.efi",
                "\\EFI\\BATON\\shimaa64.efi",
                "\\EFI\\debian\\grubaa64.efi",
                "\\EFI\\debian\\systemd-bootaa64.efi",
                "\\EFI\\BATON\\systemd-bootaa64.efi",
                "\\EFI\\BOOT\\BOOTAA64.EFI",
            ]
        );
        assert_eq!(candidates("\\EFI\\Boot\\bootaa64.efi", &[]), [""; 0]);
    }
}
