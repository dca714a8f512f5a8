#!/bin/sh
# Builds the guest's initramfs: initramfs.sh IMAGE OUTPUT
#
# Two archives, one after the other: `inner' has busybox, kexec and /init; the second has /boot, with
# the kernel to kexec and `inner' as its initrd. The same input gives the same bytes.
set -eu
here=$(dirname "$0")
. "$here/common.sh"

image=$1
output=$2

# archive DIRECTORY: its content as a newc archive.
archive() {
	(cd "$1" && find . -mindepth 1 -exec touch -h -d @0 {} + && find . -mindepth 1 | sort |
		cpio --quiet -o -H newc --reproducible -R 0:0)
}

build() {
	work=$(mktemp -d "$output.XXXXXX")
	# shellcheck disable=SC2064 # expanded now
	trap "rm -rf '$work'" EXIT
	inner=$work/inner outer=$work/outer
	mkdir -p "$inner/dev" "$inner/proc" "$inner/sys" "$inner/tmp" "$outer/boot"
	cp -R "$cache/userland/." "$inner/"
	cp "$here/initramfs/init" "$inner/init"
	chmod 755 "$inner/init"
	archive "$inner" | gzip -9n >"$work/inner.gz"
	# An archive that follows another must begin on a multiple of 4 bytes.
	truncate -s %512 "$work/inner.gz"
	cp "$work/inner.gz" "$outer/boot/inner.cpio.gz"
	cp "$image" "$outer/boot/Image"
	{
		cat "$work/inner.gz"
		archive "$outer"
	} >"$work/initramfs"
	mv "$work/initramfs" "$output"
}

fresh() {
	for input in "$0" "$here/initramfs/init" "$image" "$cache/userland/sbin/kexec"; do
		[ "$output" -nt "$input" ] || return 1
	done
}

mkdir -p "$(dirname "$output")"
fresh || build
