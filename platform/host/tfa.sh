#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds Trusted Firmware-A for QEMU's virt machine, with U-Boot behind it, from Debian's source
# package: $cache/tfa/qemu_fw.bios, which QEMU starts at EL3 (-M virt,secure=on,virtualization=on).
#
# Debian's binary package has it for boards alone.
set -eu
here=$(dirname "$0")
. "$here/common.sh"

u_boot=${BATON_UBOOT:-/usr/lib/u-boot/qemu_arm64/u-boot.bin}
output=$cache/tfa/qemu_fw.bios
[ ! -f "$output" ] || [ ! "$output" -nt "$u_boot" ] || exit 0
source=$cache/work/tfa
"$here/fetch.sh" source trixie arm-trusted-firmware "$source"
step "building Trusted Firmware-A" make -C "$source" -j "$(nproc)" PLAT=qemu \
	QEMU_USE_GIC_DRIVER=QEMU_GICV3 CROSS_COMPILE=aarch64-linux-gnu- BL33="$u_boot" all fip
mkdir -p "$cache/tfa"
mv "$source/build/qemu/release/qemu_fw.bios" "$output"
rm -rf "$source"
