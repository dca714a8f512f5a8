#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a disk from which UEFI firmware starts Debian's GRUB, and that a kernel: esp.sh OUTPUT KEXECS [OPTION...]
#
# It has the kernel and the initramfs of `make run', which kexecs so many times, with more options for guest/init. The
# same files give a disk that is not made again.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

output=$1
kexecs=$2
shift 2
grub=$cache/grub/grubaa64.efi

fresh() {
	for input in "$0" "$here/disk.sh" "$grub" "$BATON_LINUX" "$BATON_INITRAMFS"; do
		[ "$output" -nt "$input" ] || return 1
	done
}

! fresh || exit 0
mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$output.XXXXXX")
# shellcheck disable=SC2064 # expanded now
trap "rm -rf '$work'" EXIT
mkdir -p "$work/EFI/BOOT" "$work/EFI/debian"
cp "$grub" "$work/EFI/BOOT/BOOTAA64.EFI"
cp "$BATON_LINUX" "$work/vmlinuz"
cp "$BATON_INITRAMFS" "$work/initrd"
cat >"$work/EFI/debian/grub.cfg" <<-END
	linux /vmlinuz console=ttyAMA0 panic=-1 baton.do=kexec baton.kexecs=$kexecs $*
	initrd /initrd
	boot
END
"$here/disk.sh" "$output" "$work"
