// SPDX-License-Identifier: Apache-2.0
//! The kernels that are installed, with their initrds.

use crate::Error;
use crate::root::Root;
use std::cmp::Ordering;
use std::path::PathBuf;

/// A kernel of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` says.
    pub version: String,
    /// Its file.
    pub image: PathBuf,
    /// Its initrd, if there is one.
    pub initrd: Option<PathBuf>,
}

/// Returns the version of the kernel that runs.
pub fn running(root: &Root) -> Option<String> {
    root.text("/proc/sys/kernel/osrelease")
}

/// Returns the command line of the kernel that runs.
///
/// # Errors
///
/// [`Error::Refused`] if it cannot be read.
pub fn command_line(root: &Root) -> Result<String, Error> {
    root.text("/proc/cmdline").ok_or_else(|| {
        let why =
            "/proc/cmdline cannot be read, so the next kernel would not find its root: mount /proc";
        Error::Refused(why.into())
    })
}

/// Returns the installed kernel of a version.
pub fn find(root: &Root, version: &str) -> Option<Kernel> {
    let first = |paths: &[String]| {
        let there = paths.iter().find(|path| root.exists(path));
        there.map(PathBuf::from)
    };
    let image = first(&[
        format!("/boot/vmlinuz-{version}"),
        format!("/boot/Image-{version}"),
        format!("/usr/lib/modules/{version}/vmlinuz"),
        format!("/lib/modules/{version}/vmlinuz"),
    ])?;
    Some(Kernel {
        version: version.to_owned(),
        image,
        initrd: first(&[
            format!("/boot/initrd.img-{version}"),
            format!("/boot/initramfs-{version}.img"),
            format!("/boot/initrd-{version}"),
        ]),
    })
}

/// Returns the newest kernel that is installed.
pub fn newest(root: &Root) -> Option<Kernel> {
    let in_boot = root.names("/boot").into_iter();
    let of_boot = in_boot.filter_map(|name| {
        let version = name
            .strip_prefix("vmlinuz-")
            .or(name.strip_prefix("Image-"))?;
        Some(version.to_owned())
    });
    let versions = of_boot.chain(root.names("/usr/lib/modules"));
    // What a rescue image is called is no version.
    let versions = versions.filter(|name| name.starts_with(|letter: char| letter.is_ascii_digit()));
    let mut kernels: Vec<Kernel> = versions
        .filter_map(|version| find(root, &version))
        .collect();
    kernels.sort_by(|a, b| compare(&a.version, &b.version));
    kernels.pop()
}

/// Compares versions as `sort -V` does: numbers as numbers, a `~` before all, and else letter by letter.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (number_a, rest_a) = number(a);
        let (number_b, rest_b) = number(b);
        let order = number_a.cmp(&number_b);
        let weight = |rest: &str| match rest.chars().next() {
            Some('~') => -1,
            None => 0,
            Some(letter) => i64::from(u32::from(letter)) + 1,
        };
        let order = order.then(weight(rest_a).cmp(&weight(rest_b)));
        if order != Ordering::Equal || rest_a.is_empty() {
            return order;
        }
        a = skip_letter(rest_a);
        b = skip_letter(rest_b);
    }
}

/// Returns the number at the start, 0 without one, and what is behind it.
fn number(text: &str) -> (u64, &str) {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.parse().unwrap_or(0), rest)
}

fn skip_letter(text: &str) -> &str {
    let mut letters = text.chars();
    letters.next();
    letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fake::System;

    #[test]
    fn newest_is_by_numbers() {
        let system = System::new()
            .with("/boot/vmlinuz-6.1.0-9-arm64", "")
            .with("/boot/vmlinuz-6.1.0-56-arm64", "")
            .with("/boot/initrd.img-6.1.0-56-arm64", "")
            .with("/boot/vmlinuz-0-rescue-abc", "")
            .with("/boot/vmlinuz.old", "");
        let newest = newest(&system.root()).expect("a kernel");
        assert_eq!(newest.version, "6.1.0-56-arm64");
        assert_eq!(newest.image, PathBuf::from("/boot/vmlinuz-6.1.0-56-arm64"));
        assert_eq!(
            newest.initrd,
            Some("/boot/initrd.img-6.1.0-56-arm64".into())
        );
    }

    #[test]
    fn a_kernel_may_lie_beside_its_modules() {
        let system = System::new()
            .with("/usr/lib/modules/7.2.13-arm64/vmlinuz", "")
            .with("/usr/lib/modules/7.10.1-arm64/modules.dep", "")
            .with("/boot/vmlinuz-6.12.118-arm64", "");
        let newest = newest(&system.root()).expect("a kernel");
        assert_eq!(newest.version, "7.2.13-arm64", "7.10.1 has modules alone");
        assert_eq!(newest.initrd, None);
    }

    #[test]
    fn versions_are_compared_as_sort_does() {
        let ordered = [
            "6.1.0~rc1",
            "6.1.0",
            "6.1.0-9-arm64",
            "6.1.0-56-arm64",
            "6.1.0-56-cloud",
            "6.12.1",
            "10.0",
        ];
        for pair in ordered.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("6.1", "6.1"), Ordering::Equal);
    }

    #[test]
    fn none_is_none() {
        assert_eq!(newest(&System::new().root()), None);
    }
}
