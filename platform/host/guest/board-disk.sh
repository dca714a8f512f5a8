#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the disk of a board of the Debian that distro.sh made: board-disk.sh DEBIAN OUTPUT [FILE FOLDER NAME]...
#
# U-Boot looks on its root file system for what it starts. That has each FILE as /boot/FOLDER/NAME, where FOLDER
# may be `.'; @VERSION@ in it is the version of the kernel. A FILE *.cmd is a script of U-Boot's, and gets its
# header. Nothing is mounted.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

debian=$1
output=$2
shift 2
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d "$output.XXXXXX")
# shellcheck disable=SC2064 # expanded now
trap "rm -rf '$work'" EXIT
cp --sparse=always "$debian" "$work/disk"
# disk.sh has made an EFI system partition, from which U-Boot would start first, and behind it the root.
sfdisk --quiet --part-type "$work/disk" 1 EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
sfdisk --quiet --part-attrs "$work/disk" 2 LegacyBIOSBootable
start=$(sfdisk --dump "$work/disk" | sed -n 's/.*2 : start= *\([0-9]*\),.*/\1/p')
root="$work/disk?offset=$((start * 512))"
version=$(debugfs -R 'ls -p /boot' "$root" 2>/dev/null | sed -n 's|.*/vmlinuz-\([^/]*\)/.*|\1|p')
[ -n "$version" ] || die "$debian has no kernel in /boot"

echo 'cd /boot' >"$work/commands"
while [ $# -gt 0 ]; do
	file=$work/$3
	sed "s/@VERSION@/$version/" "$1" >"$file"
	case $1 in
	*.cmd)
		mv "$file" "$file.cmd"
		mkimage -A arm64 -T script -C none -n 'a board' -d "$file.cmd" "$file" >/dev/null
		;;
	esac
	[ "$2" = . ] || echo "mkdir $2" >>"$work/commands"
	echo "write $file $2/$3" >>"$work/commands"
	shift 3
done
# It ends with 0 whatever happens, and says more than its name and what it does only if that fails.
debugfs -w -f "$work/commands" "$root" >"$work/said" 2>&1
! grep -v '^debugfs\|^Allocated inode' "$work/said" >&2 || die 'debugfs failed, see above'
mv "$work/disk" "$output"
