#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the image of a card (or disk) from which a board's U-Boot starts Baton by itself.
#
#   card.sh BOARD MONITOR OUTPUT
#
# BOARD is a folder with a board.conf. The environment says the rest:
#   WAY=script     boot.scr, which writes the /chosen modules and calls booti (the default)
#   WAY=fit        boot.scr, which calls bootm of a FIT image that fit.sh made: FIT=
#   WAY=extlinux   extlinux/extlinux.conf, for monitor and kernel in one Image
#   WAY=net        the files of WAY=script for a TFTP server: OUTPUT is a folder
#   FS=fat|ext4    the file system of the boot partition (fat)
#   KERNEL= INITRD= APPEND=   the guest's raw arm64 Image, its initrd, its command line (a shell on the
#                  console, with the project's own initrd)
#   BATON=         the monitor's command line
# Nothing is mounted, and no root is needed.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

board=$1
monitor=$2
output=$3
way=${WAY:-script}
fs=${FS:-fat}
read_board "$board"
APPEND=${APPEND:-console=$console baton.do=shell}
PATH=$PATH:/usr/sbin:/sbin

# The lines that stand above a boot script.
head_of_script() {
	echo "# Made for ${board##*/}. Source of boot.scr: mkimage -A arm64 -T script -d boot.cmd boot.scr"
	for name in monitor tree kernel initrd fit; do
		eval "echo \"setenv ${name}_addr \$${name}_addr\""
	done
	echo "setenv tree \${$tree_variable}"
	echo "setenv monitor_args \"${BATON:-}\""
	echo "setenv kernel_args \"$APPEND\""
}

script() {
	{ head_of_script && cat "$here/$1"; } >"$work/boot.cmd"
	mkimage -A arm64 -T script -C none -n Baton -d "$work/boot.cmd" "$work/boot.scr" >/dev/null
}

case $way in
script | extlinux | net) "$here/check-kernel.sh" "$KERNEL" ;;
fit) ;;
*) die "WAY=$way: expected script, fit, extlinux or net" ;;
esac

mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$output.XXXXXX")
# shellcheck disable=SC2064 # expanded now
trap "rm -rf '$work' '$output.new'" EXIT
case $way in
script | net)
	cp "$monitor" "$work/baton.img"
	cp "$KERNEL" "$work/Image"
	[ -z "${INITRD:-}" ] || cp "$INITRD" "$work/initrd"
	script boot.cmd
	;;
fit)
	cp "$FIT" "$work/baton.itb"
	script fit.cmd
	;;
extlinux)
	"$here/append.sh" "$monitor" "$KERNEL" "$work/baton-linux.img"
	mkdir "$work/extlinux"
	options=
	for option in ${BATON:-}; do options="${options}baton.$option "; done
	{
		echo 'default baton'
		echo 'timeout 10'
		echo 'label baton'
		echo '	kernel /baton-linux.img'
		if [ -n "${INITRD:-}" ]; then
			cp "$INITRD" "$work/initrd"
			echo '	initrd /initrd'
		fi
		echo "	append $options$APPEND"
	} >"$work/extlinux/extlinux.conf"
	;;
esac

if [ "$way" = net ]; then
	# What U-Boot asks a DHCP server's TFTP server for.
	mv "$work/boot.scr" "$work/boot.scr.uimg"
	rm "$work/boot.cmd"
	chmod 755 "$work"
	rm -rf "$output"
	mv "$work" "$output"
	echo "  $output: $(du -sm --apparent-size "$output" | cut -f 1) MiB, for TFTP to ${board##*/}"
	exit
fi

# Room for the files, for what the file system needs, and for a few kernels more.
used=$(du -sm --apparent-size "$work" | cut -f 1)
part=$(((used + used / 8 + 64) * 2048))
rm -f "$output.new"
truncate -s $(((part_start + part) * 512)) "$output.new"
printf 'label: dos\nlabel-id: 0xba700000\n%s,%s,%s,*\n' "$part_start" "$part" "$part_type" |
	sfdisk --quiet "$output.new"
case $fs in
fat)
	mkfs.fat -F 32 -i ba700000 -n BATON --invariant --offset "$part_start" "$output.new" \
		$((part / 2)) >/dev/null
	MTOOLS_SKIP_CHECK=1 mcopy -s -m -i "$output.new@@$((part_start * 512))" "$work"/* ::
	;;
ext4)
	mke2fs -q -t ext4 -L baton -d "$work" -E offset=$((part_start * 512)) "$output.new" $((part / 2))k
	sfdisk --quiet --part-type "$output.new" 1 83
	;;
*) die "FS=$fs: expected fat or ext4" ;;
esac
mv "$output.new" "$output"
echo "  $output: $(($(wc -c <"$output") >> 20)) MiB, $way on $fs for ${board##*/}"
