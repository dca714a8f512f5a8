#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the guest's initramfs.
#
#   initramfs.sh plain IMAGE OUTPUT    busybox, kexec, /init, the modules that lie beside IMAGE, and the
#                                      command baton, if that was built ($BATON_COMMAND)
#   initramfs.sh kexec IMAGE OUTPUT    the same, and in a second archive behind it /boot, with IMAGE
#                                      to kexec and the first archive as its initrd
#
# The same input gives the same bytes.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

kind=$1
image=$2
output=$3
modules=$(dirname "$image")/modules
command=${BATON_COMMAND:-}

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
	mkdir -p "$inner/dev" "$inner/proc" "$inner/sys" "$inner/tmp" "$inner/modules" "$outer/boot"
	cp -R "$cache/userland/." "$inner/"
	[ ! -d "$modules" ] || cp -R "$modules/." "$inner/modules/"
	cp "$here/init" "$inner/init"
	chmod 755 "$inner/init"
	[ ! -f "$command" ] || cp "$command" "$inner/bin/baton"
	archive "$inner" | gzip -9n >"$work/initramfs"
	if [ "$kind" = kexec ]; then
		# An archive that follows another must begin on a multiple of 4 bytes.
		truncate -s %512 "$work/initramfs"
		cp "$work/initramfs" "$outer/boot/inner.cpio.gz"
		cp "$image" "$outer/boot/Image"
		archive "$outer" >>"$work/initramfs"
	fi
	mv "$work/initramfs" "$output"
}

fresh() {
	for input in "$0" "$here/init" "$image" "$cache/userland/sbin/kexec"; do
		[ "$output" -nt "$input" ] || return 1
	done
	[ ! -f "$command" ] || [ "$output" -nt "$command" ]
}

mkdir -p "$(dirname "$output")"
fresh || build
