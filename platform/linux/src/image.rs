// SPDX-License-Identifier: Apache-2.0
//! One arm64 Image of the monitor with a kernel behind it, as `src/boot/head.S` takes it apart.

use crate::Error;
use crate::root::Root;
use baton_core::linux::image::{HEADER_SIZE, ImageHeader, Packing};
use std::fmt::{self, Display, Formatter};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// Where the package has the monitor.
pub const MONITOR: &str = "/usr/lib/baton/baton.img";
/// A kernel is loaded on a multiple of this.
const ALIGN: u64 = 2 << 20;
/// Fields of an Image's header: `text_offset` and `image_size`.
const TEXT_OFFSET: usize = 8;
const IMAGE_SIZE: usize = 16;
/// Behind the monitor's header: how far the kernel is from it, and how many bytes it has.
const APPENDED: usize = 64;
const APPENDED_SIZE: usize = 72;
/// The memory that the monitor asks for, at most.
const MONITOR_MAX: u64 = 64 << 20;
/// The largest kernel that is unpacked.
const KERNEL_MAX: u64 = 512 << 20;

/// Of what an image is made: files of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// The monitor's flat image.
    pub monitor: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
}

impl Display for Combined {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(
            f,
            "{} with {} behind it",
            self.monitor.display(),
            self.kernel.display()
        )
    }
}

impl Combined {
    /// Reads both, and returns the image.
    ///
    /// # Errors
    ///
    /// [`Error`], with the file that is of no use.
    pub fn bytes(&self, root: &Root) -> Result<Vec<u8>, Error> {
        let of = |path: &Path| {
            let path = path.display().to_string();
            move |reason: String| Error::Refused(format!("{path}: {reason}"))
        };
        let monitor = root.needed(&self.monitor)?;
        let kernel = unpack(root.needed(&self.kernel)?).map_err(of(&self.kernel))?;
        ImageHeader::parse(&kernel).map_err(|error| of(&self.kernel)(error.to_string()))?;
        combine(&monitor, &kernel).map_err(of(&self.monitor))
    }
}

/// Puts a kernel that is an Image behind the monitor.
///
/// # Errors
///
/// What is wrong with the monitor.
pub fn combine(monitor: &[u8], kernel: &[u8]) -> Result<Vec<u8>, String> {
    let header = ImageHeader::parse(monitor).map_err(|error| error.to_string())?;
    let monitor_size = header.image_size();
    if monitor_size > MONITOR_MAX {
        return Err(format!(
            "its header asks for {} MiB of memory, at most {} MiB were expected: install the package baton again",
            monitor_size >> 20,
            MONITOR_MAX >> 20
        ));
    }
    let offset = monitor_size.next_multiple_of(ALIGN) + number(kernel, TEXT_OFFSET);
    let memory = number(kernel, IMAGE_SIZE);
    let mut image = monitor.to_vec();
    image.resize(offset as usize, 0);
    image.extend(kernel);
    for (at, value) in [
        (IMAGE_SIZE, offset + memory),
        (APPENDED, offset),
        (APPENDED_SIZE, kernel.len() as u64),
    ] {
        image[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    Ok(image)
}

/// Returns the 64-bit number at `at`, 0 behind the end.
fn number(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.copied().map_or(0, u64::from_le_bytes)
}

/// Returns the Image that a file has, unpacked by the program for its format.
fn unpack(file: Vec<u8>) -> Result<Vec<u8>, String> {
    let Some(packing) = Packing::detect(&file) else {
        return Ok(file);
    };
    match packing {
        Packing::Gzip => pipe(&["gzip", "-dc"], file),
        Packing::Zstd => pipe(&["zstd", "-dc"], file),
        Packing::Xz | Packing::Lzma => pipe(&["xz", "-dc"], file),
        Packing::Lz4 => pipe(&["lz4", "-dc"], file),
        Packing::Bzip2 => pipe(&["bzip2", "-dc"], file),
        Packing::EfiZboot => unpack(payload(&file).ok_or("its EFI zboot header is broken")?),
    }
}

/// Returns the packed kernel in an EFI zboot file (Linux, `drivers/firmware/efi/libstub/zboot-header.S`).
fn payload(file: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| {
        let bytes = file.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let (start, size) = (word(8)?, word(12)?);
    let payload = file.get(start..start.checked_add(size)?)?;
    // One in another would have no end.
    (Packing::detect(payload)? != Packing::EfiZboot).then(|| payload.to_vec())
}

/// Returns what a program makes of `input`.
fn pipe(command: &[&str], input: Vec<u8>) -> Result<Vec<u8>, String> {
    let name = command[0];
    let failed =
        |error: std::io::Error| format!("it is packed, and {name} cannot unpack it: {error}");
    let mut child = Command::new(name)
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    let writer = thread::spawn(move || {
        // It ends early where the program does: that fails below.
        stdin.map(|mut stdin| stdin.write_all(&input))
    });
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(KERNEL_MAX)
            .read_to_end(&mut output)
            .map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    let _ = writer.join();
    match status.success() || output.len() >= HEADER_SIZE {
        // A kernel in an EFI zboot file has its size behind it, at which some programs stumble.
        true => Ok(output),
        false => Err(format!(
            "it is packed, and {name} cannot unpack it: {status}"
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::root::fake::System;

    /// An Image of `size` bytes that asks for `memory`, each byte `fill` behind its header.
    pub fn image(size: usize, memory: u64, fill: u8) -> Vec<u8> {
        let mut image = vec![fill; size];
        image[..HEADER_SIZE].fill(0);
        image[..4].copy_from_slice(&0xd503_201f_u32.to_le_bytes());
        image[4..8].copy_from_slice(&0x1400_0010_u32.to_le_bytes());
        image[IMAGE_SIZE..24].copy_from_slice(&memory.to_le_bytes());
        image[24..32].copy_from_slice(&0xa_u64.to_le_bytes());
        image[56..60].copy_from_slice(b"ARM\x64");
        image
    }

    #[test]
    fn kernel_lies_behind_the_monitor_on_its_boundary() {
        let (monitor, kernel) = (image(0x1000, 0x30_0000, 1), image(0x2345, 0x5000, 2));
        let both = combine(&monitor, &kernel).expect("two Images");
        assert_eq!(number(&both, IMAGE_SIZE), 0x40_5000, "memory for both");
        assert_eq!(
            (number(&both, APPENDED), number(&both, APPENDED_SIZE)),
            (0x40_0000, 0x2345)
        );
        assert_eq!(both[0x40_0000..], kernel);
        assert_eq!(both[80..0x1000], monitor[80..]);
        assert!(both[0x1000..0x40_0000].iter().all(|&byte| byte == 0));
    }

    /// The script for who has no such program makes the same.
    #[test]
    fn is_what_the_script_for_u_boot_makes() {
        let files = System::new()
            .with("/monitor", image(0x1000, 0x30_0000, 1))
            .with("/kernel", image(0x2345, 0x5000, 2));
        let root = files.root();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../host/u-boot/append.sh");
        let paths = ["/monitor", "/kernel", "/both"].map(|path| root.path(path));
        let status = Command::new(script)
            .args(&paths)
            .status()
            .expect("a script");
        assert!(status.success());
        let of = |path| root.bytes(path).expect("a file");
        let both = combine(&of("/monitor"), &of("/kernel")).expect("two Images");
        assert!(of("/both") == both, "the script makes another file");
    }

    #[test]
    fn packed_kernels_are_unpacked() {
        let kernel = image(0x2345, 0x5000, 2);
        let packed = pipe(&["gzip", "-c"], kernel.clone()).expect("gzip");
        let mut zboot = b"MZ\0\0zimg".to_vec();
        zboot.extend([64, 0, 0, 0]);
        zboot.extend((packed.len() as u32).to_le_bytes());
        zboot.resize(64, 0);
        zboot.extend(&packed);
        for file in [&kernel, &packed, &zboot] {
            assert_eq!(unpack(file.clone()).as_ref(), Ok(&kernel));
        }
        zboot.truncate(80);
        assert!(unpack(zboot).is_err(), "cut off");
    }

    #[test]
    fn a_monitor_that_asks_for_all_memory_is_refused() {
        let kernel = image(0x2345, 0x5000, 2);
        let error = combine(&image(0x1000, 1 << 50, 1), &kernel).expect_err("too large");
        assert!(
            error.starts_with("its header asks for 1073741824 MiB"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_kernel_is_named() {
        let system = System::new()
            .with("/baton.img", image(0x1000, 0x30_0000, 1))
            .with("/vmlinuz", [0; 100]);
        let both = Combined {
            monitor: "/baton.img".into(),
            kernel: "/vmlinuz".into(),
        };
        let error = both
            .bytes(&system.root())
            .expect_err("no Image")
            .to_string();
        assert!(
            error.starts_with("/vmlinuz: no arm64 Image header: "),
            "{error}"
        );
        let none = Combined {
            monitor: "/none".into(),
            ..both
        };
        let error = none
            .bytes(&system.root())
            .expect_err("no monitor")
            .to_string();
        assert!(error.starts_with("/none: "), "{error}");
    }
}
