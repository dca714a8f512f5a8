// SPDX-License-Identifier: Apache-2.0
//! Looks for the calls that are patched in real kernels.
//!
//! `BATON_KERNELS` names a folder with one folder for each kernel, called after its release, with
//! its `Image` in it.

use baton_core::linux::image::ImageHeader;
use baton_core::linux::sites::{self, HookSites};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Kernel release, and where it calls `machine_shutdown` and `machine_kexec`, as a disassembler
/// shows it: bytes from the start of the Image.
const KNOWN: &[(&str, u64, u64)] = &[
    ("5.10.0-32-arm64", 0x17_3aec, 0x17_3af4),
    ("6.1.0-56-arm64", 0x18_7b28, 0x18_7b38),
    ("6.1.0-56-cloud-arm64", 0x18_2d78, 0x18_2d88),
    ("6.1.0-56-rt-arm64", 0x13_9b88, 0x13_9b98),
    ("6.12.117+deb13-arm64", 0x1b_d698, 0x1b_d6ac),
    ("6.12.117+deb13-arm64-16k", 0x1b_d708, 0x1b_d71c),
    ("6.12.117+deb13-cloud-arm64", 0x1b_7ad8, 0x1b_7aec),
    ("6.12.117+deb13-rt-arm64", 0x1b_51f8, 0x1b_520c),
    ("6.17.13+deb13-arm64", 0x21_6098, 0x21_60ac),
    ("6.18.15+deb13-arm64", 0x21_c248, 0x21_c25c),
    ("6.19.14+deb13-arm64", 0x22_42e8, 0x22_42fc),
    ("7.0.13+deb13-arm64", 0x23_54c8, 0x23_54dc),
    ("7.0.13+deb13-cloud-arm64", 0x22_7608, 0x22_761c),
    ("7.1.13+deb13-rt-arm64", 0x23_a308, 0x23_a31c),
    ("7.2.13+deb14-arm64", 0x25_4244, 0x25_425c),
    ("7.2.13+deb14-arm64-16k", 0x25_5b2c, 0x25_5b44),
    ("7.3-arm64", 0x25_ff04, 0x25_ff1c),
    ("7.3.4+deb13-arm64", 0x25_aea8, 0x25_aebc),
];

/// The same for the calls of `machine_crash_shutdown` and `machine_kexec` after a panic, where all are known: GCC
/// has one copy.
const KNOWN_CRASH: &[(&str, u64, u64)] = &[
    ("6.1.0-56-arm64", 0x18_75ac, 0x18_75b4),
    ("6.12.118+deb13-arm64", 0x1b_eb54, 0x1b_eb5c),
    ("7.2.13+deb14-arm64", 0x25_4b60, 0x25_4b98),
];

#[test]
fn finds_all_calls_in_every_kernel() {
    let kernels = kernels();
    let mut failures = Vec::new();
    for (release, path) in &kernels {
        if let Err(failure) = check(release, path) {
            failures.push(format!("{release}: {failure}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} kernels failed:\n{}",
        failures.len(),
        kernels.len(),
        failures.join("\n")
    );
}

/// The kernels to look at, by their release.
fn kernels() -> Vec<(String, PathBuf)> {
    let folder = std::env::var_os("BATON_KERNELS")
        .expect("BATON_KERNELS is not set: it names the folder of kernels");
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("BATON_KERNELS, {folder:?}: {error}"));
    let mut kernels: Vec<_> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("{folder:?}: {error}")))
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path().join("Image"),
            )
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    assert!(
        !kernels.is_empty(),
        "there is no */Image in BATON_KERNELS, {folder:?}"
    );
    kernels.sort();
    kernels
}

fn check(release: &str, path: &Path) -> Result<(), String> {
    let mut image = std::fs::read(path).map_err(|error| error.to_string())?;
    let header = ImageHeader::parse_file(&image).map_err(|error| error.to_string())?;
    image.resize(
        usize::try_from(header.image_size()).map_err(|error| error.to_string())?,
        0,
    );

    let start = Instant::now();
    let found = sites::find(&image);
    let time = start.elapsed();
    let kexec = found.kexec.map_err(|error| error.to_string())?;
    let crash = found.crash.map_err(|error| error.to_string())?;
    let crash: Vec<_> = crash.copies().copied().collect();
    println!("{release}: {kexec:x?}, {crash:x?} ({time:?})");

    for &HookSites { shutdown, kexec } in crash.iter().chain([&kexec]) {
        for site in [shutdown, kexec] {
            let seen = usize::try_from(site.offset)
                .ok()
                .and_then(|at| image.get(at..)?.first_chunk());
            let seen = seen.map(|bytes| u32::from_le_bytes(*bytes));
            if seen != Some(site.word) || site.word >> 26 != 0x25 {
                return Err(format!(
                    "expected a bl at {:#x}, said {:#010x}, saw {seen:x?}",
                    site.offset, site.word
                ));
            }
        }
    }
    expect_known(KNOWN, release, &[kexec])?;
    expect_known(KNOWN_CRASH, release, &crash)
}

/// If the kernel is one of those that are `known`, its calls are found there, and no others.
fn expect_known(
    known: &[(&str, u64, u64)],
    release: &str,
    found: &[HookSites],
) -> Result<(), String> {
    let found: Vec<_> = found
        .iter()
        .map(|sites| (sites.shutdown.offset, sites.kexec.offset))
        .collect();
    match known.iter().find(|(known, ..)| *known == release) {
        Some(&(_, first, second)) if found != [(first, second)] => Err(format!(
            "expected the calls at {first:#x} and {second:#x}, found {found:x?}"
        )),
        _ => Ok(()),
    }
}
