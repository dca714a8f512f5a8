#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches kernels of Debian and puts them on a disk for the guest: kernels.sh OUTPUT KERNEL...
#
# KERNEL is RELEASE or RELEASE:FLAVOUR, as for fetch.sh. OUTPUT is a tar archive that the guest reads
# from the bare disk: a/Image and a/initrd of the first kernel, b/Image and b/initrd of the second...
# Beside it, OUTPUT.list names the kernels, in that order.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

output=$1
shift
folder=$output.d
list=
stale=
mkdir -p "$folder"
letters=abcdefghijklmnopqrstuvwxyz
for kernel; do
	[ -n "$letters" ] || die "more kernels than letters"
	letter=$(echo "$letters" | cut -c 1)
	letters=${letters#?}
	release=${kernel%%:*}
	flavour=${kernel#"$release"}
	name=$release$(echo "$flavour" | tr : -)
	"$here/../fetch.sh" kernel "$release" "${flavour#:}"
	mkdir -p "$folder/$letter"
	image=$(readlink -f "$cache/debian/$name/Image")
	if [ "$(cat "$folder/$letter/name" 2>/dev/null)" != "$image" ]; then
		rm -f "$folder/$letter/initrd"
		echo "$image" >"$folder/$letter/name"
	fi
	ln -sf "$image" "$folder/$letter/Image"
	"$here/initramfs.sh" plain "$image" "$folder/$letter/initrd"
	[ "$output" -nt "$folder/$letter/initrd" ] || stale=yes
	list="$list$name
"
done
if [ -n "$stale" ] || [ "$(cat "$output.list" 2>/dev/null)" != "${list%?}" ]; then
	letters=$(cd "$folder" && echo ? | cut -c "1-$((2 * $# - 1))")
	# shellcheck disable=SC2086 # a list of words
	tar -c --format=ustar --dereference --owner=0 --group=0 -C "$folder" -f "$output.new" $letters
	printf '%s' "$list" >"$output.list"
	mv "$output.new" "$output"
fi
