#!/bin/sh
# Writes the device tree of QEMU's virt machine as SMP=, MEM=, CPU=, GIC= and ITS=
# say (4 vCPUs, 2G): tree.sh OUTPUT
set -eu
here=$(dirname "$0")
. "$here/../host/common.sh"

u_boot=${BATON_UBOOT:-/usr/lib/u-boot/qemu_arm64/u-boot.bin}
its=
[ "${ITS:-on}" = on ] || [ "${GIC:-3}" != 3 ] || its=,its=off
# With firmware the machine has other devices than without.
"${QEMU:-qemu-system-aarch64}" -M "virt,virtualization=on,gic-version=${GIC:-3}$its,dumpdtb=$1" \
	-cpu "${CPU:-cortex-a57}" -smp "${SMP:-4}" -m "${MEM:-2G}" -display none -nic none \
	-bios "$u_boot" 2>"$1.log" || { cat "$1.log" >&2; die "QEMU wrote no device tree"; }
rm -f "$1.log"
