#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts monitor and guest kernel into one arm64 Image: append.sh MONITOR KERNEL OUTPUT
#
# It is started as the kernel alone would be, by any loader of Linux, with the same initrd, command
# line and device tree. src/boot/head.S has the other side of the format.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

monitor=$1
kernel=$2
output=$3
ALIGN=$((2 << 20))

# u64 FILE OFFSET
u64() {
	od -An -tu8 -j "$2" -N 8 "$1" | tr -d ' '
}

# put FILE OFFSET NUMBER: 8 bytes, little-endian.
put() {
	for shift in 0 8 16 24 32 40 48 56; do
		# shellcheck disable=SC2059 # the format is the byte
		printf "\\$(printf %03o $(($3 >> shift & 255)))"
	done | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

magic() {
	od -An -tx1 -j 56 -N 4 "$1" | tr -d ' '
}

"$here/check-kernel.sh" "$kernel"
[ "$(magic "$monitor")" = 41524d64 ] || die "$monitor is no arm64 Image"
size=$(wc -c <"$kernel")
memory=$size
offset=$((($(u64 "$monitor" 16) + ALIGN - 1) / ALIGN * ALIGN))
if [ "$(magic "$kernel")" = 41524d64 ]; then
	memory=$(u64 "$kernel" 16)
	offset=$((offset + $(u64 "$kernel" 8)))
fi
cp "$monitor" "$output"
truncate -s "$offset" "$output"
cat "$kernel" >>"$output"
put "$output" 16 $((offset + memory))
put "$output" 64 "$offset"
put "$output" 72 "$size"
