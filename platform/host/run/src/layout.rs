// SPDX-License-Identifier: Apache-2.0
//! Where a guest's modules go in the memory of QEMU's `virt`.

use crate::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The first byte of RAM.
pub const RAM: u64 = 0x4000_0000;
/// Where Trusted Firmware-A goes on, if nothing of what it starts is in its flash (`platform/host/tfa.sh`): behind the
/// device tree that QEMU has put at the start of RAM for it.
pub const BEHIND_TFA: u64 = RAM + 0x10_0000;
/// Where QEMU puts the monitor's image, with its own first instructions before it: an Image whose
/// `text_offset` is 0 (`load_aarch64_image`).
pub const MONITOR: u64 = RAM + ALIGN;
/// Where guest kernels go unless they are too large: clear of the monitor's image.
pub const KERNEL: u64 = 0x4400_0000;
/// Linux wants its Image on such a boundary (`Documentation/arch/arm64/booting.rst`).
pub const ALIGN: u64 = 2 << 20;
/// From one kernel to the next where each has a place of its own (`guest/init`).
pub const APART: u64 = 128 << 20;
/// QEMU's own device tree is at most this large (`FDT_MAX_SIZE`).
const TREE_SIZE: u64 = 1 << 20;

/// A range of addresses, end excluded.
type Range = std::ops::Range<u64>;

/// What QEMU's loader for `-kernel` puts its device tree over, without a word
/// (`arm_load_dtb`: half of the RAM in, but not beyond 128 MiB).
fn tree(mem: u64) -> Range {
    let start = RAM + (mem / 2).min(128 << 20);
    start..start + TREE_SIZE
}

/// Memory in bytes that the guest kernel in `file` needs from where it is loaded: the Image header's
/// `image_size`, else the file's length.
pub fn kernel_size(file: &Path) -> Result<u64, Error> {
    let fail = |error| Error::File {
        path: file.to_owned(),
        error,
    };
    let mut header = [0; 64];
    let mut opened = File::open(file).map_err(fail)?;
    let length = opened.metadata().map_err(fail)?.len();
    if length >= 64 {
        opened.read_exact(&mut header).map_err(fail)?;
    }
    let size = header[16..24].try_into().map_or(0, u64::from_le_bytes);
    let is_image = header[56..60] == *b"ARM\x64";
    Ok(if is_image { size.max(length) } else { length })
}

/// The addresses of kernel and initrd (sizes in bytes) in a machine with `mem` MiB.
///
/// # Errors
/// [`Error::Memory`] if one of them does not fit.
pub fn place(mem: u64, kernel: u64, initrd: Option<u64>) -> Result<(u64, Option<u64>), Error> {
    let bytes = mem << 20;
    let tree = tree(bytes);
    let fit = |what, from: u64, size: u64| {
        let mut at = from.next_multiple_of(ALIGN);
        if at < tree.end && tree.start < at.saturating_add(size) {
            at = tree.end.next_multiple_of(ALIGN);
        }
        match at.checked_add(size) {
            Some(end) if end <= RAM + bytes => Ok(at),
            _ => Err(Error::Memory { what, size, mem }),
        }
    };
    let kernel_at = fit("the kernel", KERNEL, kernel)?;
    let initrd_at = initrd
        .map(|size| fit("the initrd", kernel_at + kernel, size))
        .transpose()?;
    Ok((kernel_at, initrd_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_clear_of_qemus_tree() {
        let (kernel, initrd) = place(2048, 33 << 20, Some(36 << 20)).unwrap();
        assert_eq!((kernel, initrd), (KERNEL, Some(0x4820_0000)));
    }

    #[test]
    fn moves_a_large_kernel_behind_the_tree() {
        let (kernel, initrd) = place(2048, 80 << 20, Some(1)).unwrap();
        assert_eq!((kernel, initrd), (0x4820_0000, Some(0x4d20_0000)));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert!(matches!(
            place(128, 60 << 20, Some(30 << 20)),
            Err(Error::Memory { mem: 128, .. })
        ));
        assert!(matches!(
            place(64, 1, None),
            Err(Error::Memory {
                what: "the kernel",
                ..
            })
        ));
    }
}
