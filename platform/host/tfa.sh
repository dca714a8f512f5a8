#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds Trusted Firmware-A for QEMU's virt machine, which QEMU starts at EL3 (-M virt,secure=on,virtualization=on), from
# Debian's source package.
#
#   tfa.sh        $cache/tfa/qemu_fw.bios, with U-Boot behind it
#   tfa.sh sdei   $cache/tfa/sdei.bios, with SDEI, for the tests: it goes on at 0x40100000, whatever is there
#
# Debian's binary package has it for boards alone.
set -eu
here=$(dirname "$0")
. "$here/common.sh"

u_boot=${BATON_UBOOT:-/usr/lib/u-boot/qemu_arm64/u-boot.bin}
case ${1:-} in
'')
	output=$cache/tfa/qemu_fw.bios
	needs=$u_boot
	;;
sdei)
	output=$cache/tfa/sdei.bios
	needs=$0
	;;
*) die "tfa.sh $1: expected sdei, or nothing" ;;
esac
[ ! -f "$output" ] || [ ! "$output" -nt "$needs" ] || exit 0
source=$cache/work/tfa
"$here/fetch.sh" source trixie arm-trusted-firmware "$source"
build() {
	step "building Trusted Firmware-A" make -C "$source" -j "$(nproc)" PLAT=qemu \
		QEMU_USE_GIC_DRIVER=QEMU_GICV3 CROSS_COMPILE=aarch64-linux-gnu- "$@" all fip
}
case ${1:-} in
'') build BL33="$u_boot" ;;
sdei)
	# The platform of QEMU has no event that an interrupt can be bound to, as those of Arm have: it gets one.
	sed -i 's/^static sdei_ev_map_t qemu_sdei_shared.*/&\n\tSDEI_SHARED_EVENT(804, SDEI_DYN_IRQ, SDEI_MAPF_DYNAMIC),/' \
		"$source/plat/qemu/common/qemu_sdei.c"
	build SDEI_SUPPORT=1 EL3_EXCEPTION_HANDLING=1 PRELOADED_BL33_BASE=0x40100000
	# As the makefile has it, which does so with a BL33 alone.
	cp "$source/build/qemu/release/bl1.bin" "$source/build/qemu/release/qemu_fw.bios"
	dd if="$source/build/qemu/release/fip.bin" of="$source/build/qemu/release/qemu_fw.bios" \
		bs=64k seek=4 status=none
	;;
esac
mkdir -p "$cache/tfa"
mv "$source/build/qemu/release/qemu_fw.bios" "$output"
rm -rf "$source"
