// SPDX-License-Identifier: Apache-2.0
//! Where the built images and Debian's kernels lie.
//!
//! `make` says it in the environment; without it they are where `make` puts them by default.

use std::env;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."))
}

/// The path in `variable`, or `default` if it is not set or empty.
fn path(variable: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    match env::var_os(variable) {
        Some(value) if !value.is_empty() => value.into(),
        _ => default(),
    }
}

/// Cargo's output directory (`CARGO_TARGET_DIR`).
pub fn target() -> PathBuf {
    path("CARGO_TARGET_DIR", || root().join("target"))
}

/// The directory of what was fetched (`BATON_CACHE`, else `baton` in the user's cache directory).
pub fn cache() -> PathBuf {
    path("BATON_CACHE", || {
        path("XDG_CACHE_HOME", || {
            path("HOME", || "/".into()).join(".cache")
        })
        .join("baton")
    })
}

/// The monitor's raw image (`BATON_IMAGE`).
pub fn monitor() -> PathBuf {
    path("BATON_IMAGE", || bare("baton.img"))
}

/// The probe guest: an arm64 Image and an EFI application (`BATON_PROBE`).
pub fn probe() -> PathBuf {
    path("BATON_PROBE", || bare("probe.img"))
}

/// The same without a header, entered at its first byte (`BATON_PROBE_FLAT`).
pub fn probe_flat() -> PathBuf {
    path("BATON_PROBE_FLAT", || bare("probe-flat.img"))
}

/// The firmware at EL3 that tests put below the monitor (`BATON_FIRMWARE`).
pub fn firmware() -> PathBuf {
    path("BATON_FIRMWARE", || bare("firmware.img"))
}

/// Trusted Firmware-A with SDEI, which goes on at [`layout::BEHIND_TFA`](crate::layout::BEHIND_TFA) (`BATON_TFA_SDEI`).
pub fn tfa_sdei() -> PathBuf {
    path("BATON_TFA_SDEI", || cache().join("tfa/sdei.bios"))
}

/// The EFI application that tests put before the monitor (`BATON_FAULTS`).
pub fn faults() -> PathBuf {
    path("BATON_FAULTS", || bare("faults.efi"))
}

/// The Linux kernel that the tests and `make run` boot (`BATON_LINUX`).
pub fn linux() -> PathBuf {
    path("BATON_LINUX", || cache().join("debian/bookworm/Image"))
}

/// The kernel of another Debian, `release`.
pub fn linux_of(release: &str) -> PathBuf {
    cache().join("debian").join(release).join("Image")
}

/// The initramfs with that one in its `/boot`.
pub fn initramfs_of(release: &str) -> PathBuf {
    target().join(format!("guest/initramfs-{release}.cpio"))
}

/// The initramfs with the kernel of [`linux`] in its `/boot` (`BATON_INITRAMFS`).
pub fn initramfs() -> PathBuf {
    path("BATON_INITRAMFS", || target().join("guest/initramfs.cpio"))
}

/// The disk of kernels that `kernels.sh` makes (`BATON_KERNEL_DISK`).
pub fn kernel_disk() -> PathBuf {
    path("BATON_KERNEL_DISK", || target().join("guest/kernels.tar"))
}

/// What reads a disk in the guest of `make bench-idle` (`BATON_READS`).
pub fn reads() -> PathBuf {
    path("BATON_READS", || {
        target().join("aarch64-unknown-linux-gnu/command/baton-reads")
    })
}

/// The program of this crate (`BATON_TOOL`).
pub fn tool() -> PathBuf {
    path("BATON_TOOL", || target().join("release/baton-qemu"))
}

/// Where a soak keeps what it has seen (`BATON_SOAK`).
pub fn soak() -> PathBuf {
    path("BATON_SOAK", || target().join("soak"))
}

/// U-Boot for this machine (`BATON_UBOOT`, else that of Debian's u-boot-qemu).
pub fn u_boot() -> PathBuf {
    path("BATON_UBOOT", || {
        "/usr/lib/u-boot/qemu_arm64/u-boot.bin".into()
    })
}

/// U-Boot of that Debian, as `fetch.sh u-boot RELEASE` leaves it.
pub fn u_boot_of(release: &str) -> PathBuf {
    cache().join("u-boot").join(release).join("u-boot.bin")
}

/// EDK2 for this machine's flash (`BATON_EDK2`, else that of Debian's qemu-efi-aarch64).
pub fn edk2() -> PathBuf {
    path("BATON_EDK2", || {
        "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd".into()
    })
}

/// EDK2 of that Debian, as `fetch.sh edk2 RELEASE` leaves it.
pub fn edk2_of(release: &str) -> PathBuf {
    cache().join("edk2").join(release).join("QEMU_EFI.fd")
}

/// QEMU 10, beside the one that is installed, as `fetch.sh qemu` leaves it.
pub fn qemu_10() -> PathBuf {
    cache().join("qemu/bin/qemu-system-aarch64")
}

/// Debian's GRUB, as `fetch.sh grub` leaves it.
pub fn grub() -> PathBuf {
    cache().join("grub/grubaa64.efi")
}

/// Debian's systemd-boot, as `fetch.sh systemd-boot` leaves it.
pub fn systemd_boot() -> PathBuf {
    cache().join("systemd-boot/systemd-bootaa64.efi")
}

/// A file of what `fetch.sh secure-boot` leaves: firmware that goes by keys, and loaders with signatures.
pub fn secure_boot(name: &str) -> PathBuf {
    cache().join("secure-boot").join(name)
}

/// A file of `make secure-kernel`: a kernel with the machine owner's signature, which kexecs in lockdown, and its
/// initramfs.
pub fn secure_kernel(name: &str) -> PathBuf {
    target().join("guest/secure").join(name)
}

/// The folder of the machine owner's key, as `sign.sh` makes it.
pub fn owner_keys() -> PathBuf {
    target().join("guest/keys")
}

/// The card that `make test-cards` makes for one `way` to start: `script`, `fit`, `fit-80` or
/// `extlinux`.
pub fn card(way: &str) -> PathBuf {
    target().join(format!("guest/card-{way}.img"))
}

/// The disk with an EFI system partition that `make test-esp` makes.
pub fn esp() -> PathBuf {
    target().join("guest/esp.img")
}

/// The same, whose kernels use the disk of [`scratch`](crate::scratch) too.
pub fn esp_with_disk() -> PathBuf {
    target().join("guest/esp-disk.img")
}

/// The folder that `make test-cards` makes for a TFTP server.
pub fn tftp() -> PathBuf {
    target().join("guest/card-net.tftp")
}

/// A script of `platform/host/guest`.
pub fn guest_script(name: &str) -> PathBuf {
    root().join("platform/host/guest").join(name)
}

/// What puts monitor and kernel into one image.
pub fn append_script() -> PathBuf {
    root().join("platform/host/u-boot/append.sh")
}

fn bare(name: &str) -> PathBuf {
    target()
        .join("aarch64-unknown-none-softfloat/release")
        .join(name)
}
