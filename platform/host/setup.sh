#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building and running Baton needs on Debian 12 and later. Does nothing, fast, when
# all is there. `setup.sh bench' adds what the plots of `make bench' need, `setup.sh u-boot' what makes
# cards and FIT images, and a U-Boot for QEMU, `setup.sh tfa' what builds firmware for EL3 as well,
# `setup.sh uefi' a UEFI for QEMU, `setup.sh secure-boot' that and what signs for it, `setup.sh distro' what makes a Debian disk, `setup.sh boards' what
# `make board' needs, `setup.sh deb' what builds the package for arm64 Linux,
# `setup.sh kernels-built' what builds Linux with gcc and clang, `setup.sh debug' a gdb for arm64, `setup.sh pip' what fetches from PyPI.
set -eu
here=$(dirname "$0")
. "$here/common.sh"

missing=
# need COMMAND PACKAGE
need() {
	command -v "$1" >/dev/null || missing="$missing $2"
}

# Whether this machine runs programs for arm64.
arm64_runs() {
	arch-test arm64 >/dev/null 2>&1
}

# Has the kernel run them by QEMU, where no service did so when the packages were installed.
register_arm64() {
	binfmt=/proc/sys/fs/binfmt_misc
	[ -f $binfmt/status ] || mount -t binfmt_misc binfmt_misc $binfmt
	update-binfmts --enable qemu-aarch64
	arm64_runs
}

need qemu-system-aarch64 qemu-system-arm
need ld.lld lld
need llvm-objcopy llvm
need llvm-readelf llvm
need cpio cpio
need gzip gzip
need xz xz-utils
need cc gcc
need c++ g++
[ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
[ -f /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
# The host's C library headers: gcc alone links nothing.
[ -f /usr/include/stdio.h ] || missing="$missing libc6-dev"
# The plots' labels are drawn with it.
[ "${1:-}" != bench ] || [ -f /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] ||
	missing="$missing fonts-dejavu-core"
# Packages for arm64 are installed into a folder by their own programs.
emulated=
if [ "${1:-}" = distro ]; then
	need mmdebstrap mmdebstrap
	if [ "$(uname -m)" != aarch64 ]; then
		emulated=yes
		need arch-test arch-test
		arm64_runs || missing="$missing qemu-user-static binfmt-support"
	fi
	set -- uefi
fi
if [ "${1:-}" = secure-boot ]; then
	need sbsign sbsigntool
	need openssl openssl
	set -- uefi
fi
if [ "${1:-}" = uefi ]; then
	[ -n "${BATON_EDK2:-}" ] || [ -f /usr/share/qemu-efi-aarch64/QEMU_EFI.fd ] || missing="$missing qemu-efi-aarch64"
	set -- u-boot
fi
if [ "${1:-}" = deb ]; then
	need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
	[ "$(uname -m)" = aarch64 ] || [ -f /usr/aarch64-linux-gnu/lib/libc.a ] || missing="$missing libc6-dev-arm64-cross"
	need dpkg-deb dpkg
	need lintian lintian
fi
if [ "${1:-}" = tfa ]; then
	need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
	need make make
	need dpkg-source dpkg-dev
	[ -f /usr/include/openssl/evp.h ] || missing="$missing libssl-dev"
	set -- u-boot
fi
if [ "${1:-}" = kernels-built ]; then
	clang=${CLANG:-16}
	need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
	need "clang-$clang" "clang-$clang"
	need "ld.lld-$clang" "lld-$clang"
	need "llvm-nm-$clang" "llvm-$clang"
	need make make
	need flex flex
	need bison bison
	need bc bc
	[ -f /usr/include/openssl/bio.h ] || missing="$missing libssl-dev"
fi
# Some are in /sbin, which is not in every user's PATH.
if [ "${1:-}" = u-boot ]; then
	PATH=$PATH:/usr/sbin:/sbin
	need mkimage u-boot-tools
	need mcopy mtools
	need mkfs.fat dosfstools
	need mke2fs e2fsprogs
	need sfdisk fdisk
	need dtc device-tree-compiler
	[ -n "${BATON_UBOOT:-}" ] || [ -f /usr/lib/u-boot/qemu_arm64/u-boot.bin ] || missing="$missing u-boot-qemu"
fi
# Boards other than virt are given their device trees.
[ "${1:-}" != boards ] || need fdtput device-tree-compiler
[ "${1:-}" != debug ] || need gdb-multiarch gdb-multiarch
[ "${1:-}" != pip ] || need pip3 python3-pip
if ! "$here/cargo.sh" which >/dev/null 2>&1; then
	missing="$missing rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web"
fi

if [ -n "$missing" ]; then
	command -v apt-get >/dev/null ||
		die "this is not Debian: install by hand what gives these Debian packages' commands:$missing"
	[ "$(id -u)" = 0 ] || die "not root: run \`apt-get install$missing' as root, then try again"
	export DEBIAN_FRONTEND=noninteractive
	missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
	step "apt: refreshing the package lists" apt-get update
	# shellcheck disable=SC2086 # a list of words
	step "apt: installing $missing" apt-get install --yes --no-install-recommends $missing
fi

if [ -n "$emulated" ] && ! arm64_runs; then
	[ "$(id -u)" = 0 ] || die "not root: run \`update-binfmts --enable qemu-aarch64' as root, then try again"
	step "binfmt_misc: having the kernel run arm64's programs by QEMU" register_arm64
fi

"$here/cargo.sh" which >/dev/null
version=$("${QEMU:-qemu-system-aarch64}" --version | sed -n '1s/.*version \([0-9]*\.[0-9]*\).*/\1/p')
case $version in
[0-6].* | 7.[01]) die "QEMU 7.2 or newer is needed, this is $version" ;;
esac
