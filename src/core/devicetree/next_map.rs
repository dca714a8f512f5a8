// SPDX-License-Identifier: Apache-2.0
//! The memory map of UEFI that the next kernel is handed by its device tree: looked at before anything
//! stops.
//!
//! A kernel that has one takes memory from there, and not from `/memory` of the tree (Linux,
//! `efi_init()`).

use super::next_tree::Needs;
use super::uefi::{Uefi, UefiError};
use crate::efi::memory_map::{MAX_SIZE, MapError, MemoryMap};
use crate::memory::region::Region;
use thiserror::Error;

/// Why a kexec with a memory map is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NextMapError {
    /// The tree does not say where the map is.
    #[error("the next kernel's device tree: {0}")]
    Uefi(#[from] UefiError),
    /// It is not in the guest's memory.
    #[error("the next kernel's memory map, at {0}, is not in guest memory")]
    Elsewhere(Region),
    /// It is none, or does not keep the kernel off the monitor.
    #[error("the next kernel's {0}")]
    Map(#[from] MapError),
}

/// Returns where the tree says that UEFI's tables are, `found`, with a map that can be copied; `None` if it names
/// none.
///
/// # Errors
///
/// [`NextMapError`], which is to be the reason of a refusal.
pub fn bounded(found: Result<Option<Uefi>, UefiError>) -> Result<Option<Uefi>, NextMapError> {
    let found = found?;
    if let Some(uefi) = &found
        && uefi.map.size() > MAX_SIZE as u64
    {
        return Err(NextMapError::Map(MapError::Size {
            size: uefi.map.size() as usize,
            descriptor: uefi.descriptor as usize,
        }));
    }
    Ok(found)
}

/// Sees that the map in `bytes`, which `uefi` led to, keeps a kernel off the monitor's memory, as `needs` says.
///
/// # Errors
///
/// [`NextMapError::Map`], which is to be the reason of a refusal.
pub fn check(uefi: &Uefi, bytes: &[u8], needs: &Needs) -> Result<(), NextMapError> {
    let map = MemoryMap::new(bytes, uefi.descriptor as usize, uefi.version)?;
    Ok(map.keeps_off(&needs.monitor, needs.log.as_ref())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devicetree::sample::{Sample, wide};
    use crate::devicetree::survey;
    use crate::efi::memory_map::{Descriptor, MemoryType};
    use crate::efi::sample;
    use alloc::vec::Vec;

    const MONITOR: Region = match Region::new(0x7fe0_0000, 0x20_0000) {
        Ok(region) => region,
        Err(_) => panic!("test region"),
    };
    const NEEDS: Needs = Needs {
        monitor: MONITOR,
        log: None,
        own_psci: false,
    };
    const WRITE_BACK: u64 = 1 << 3;

    fn uefi(size: usize) -> Uefi {
        Uefi {
            system_table: 0x7ff0_0018,
            map: Region::new(0x4800_0018, size as u64).expect("test region"),
            descriptor: 48,
            version: 1,
        }
    }

    /// A kexec's tree on a machine with ACPI: nothing but `/chosen`.
    fn tree(size: u32) -> Vec<u8> {
        let mut tree = Sample::empty();
        tree.set("/chosen", "linux,uefi-system-table", wide(&[0x7ff0_0018]))
            .set("/chosen", "linux,uefi-mmap-start", wide(&[0x4800_0018]))
            .set("/chosen", "linux,uefi-mmap-size", size)
            .set("/chosen", "linux,uefi-mmap-desc-size", 48_u32)
            .set("/chosen", "linux,uefi-mmap-desc-ver", 1_u32);
        tree.blob()
    }

    fn find(tree: &[u8]) -> Result<Option<Uefi>, NextMapError> {
        bounded(survey::look(tree, &MONITOR).expect("a tree").uefi)
    }

    #[test]
    fn map_is_found_by_the_tree() {
        assert_eq!(find(&tree(96)), Ok(Some(uefi(96))));
        assert_eq!(find(&Sample::virt().blob()), Ok(None));
    }

    #[test]
    fn a_map_that_is_too_long_is_not_copied() {
        let size = MAX_SIZE + 48;
        let error = MapError::Size {
            size,
            descriptor: 48,
        };
        assert_eq!(find(&tree(size as u32)), Err(NextMapError::Map(error)));
    }

    #[test]
    fn what_does_not_say_where_the_map_is_is_refused() {
        assert!(matches!(find(&tree(0)), Err(NextMapError::Uefi(_))));
    }

    #[test]
    fn map_keeps_off_the_monitor_or_is_refused() {
        let below = (7, 0x4000_0000, 0, 0x3_fe00, WRITE_BACK);
        let good = sample::map(48, &[below, (0, 0x7fe0_0000, 0, 0x200, WRITE_BACK)]);
        assert_eq!(check(&uefi(good.len()), &good, &NEEDS), Ok(()));
        let bad = sample::map(48, &[below, (7, 0x7fe0_0000, 0, 0x200, WRITE_BACK)]);
        let error = MapError::Taken {
            monitor: MONITOR,
            descriptor: Descriptor {
                kind: MemoryType::CONVENTIONAL,
                start: 0x7fe0_0000,
                pages: 0x200,
                attribute: WRITE_BACK,
            },
        };
        assert_eq!(
            check(&uefi(bad.len()), &bad, &NEEDS),
            Err(NextMapError::Map(error))
        );
        let version = Uefi {
            version: 2,
            ..uefi(96)
        };
        assert_eq!(
            check(&version, &good, &NEEDS),
            Err(NextMapError::Map(MapError::Version(2)))
        );
    }
}
