#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a disk as an installer leaves it: disk.sh OUTPUT ESP [ROOT UUID]
#
# GPT, with what is in the folder ESP in an EFI system partition and, behind it, what is in the folder
# ROOT in an ext4 file system with this UUID. Nothing is mounted.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

output=$1
esp=$2
root=${3:-}
uuid=${4:-}
PATH=$PATH:/usr/sbin:/sbin
# Where the first partition begins, in MiB.
START=1

# mebibytes FOLDER FREE: what a file system needs for it, with so much to spare.
mebibytes() {
	used=$(du -sm --apparent-size "$1" | cut -f 1)
	echo $((used + used / 4 + $2))
}

# A FAT32 has at least 65525 clusters: 33 MiB, if these have one sector.
esp_size=$(mebibytes "$esp" 40)
root_size=0
[ -z "$root" ] || root_size=$(mebibytes "$root" 400)
root_start=$((START + esp_size))
mkdir -p "$(dirname "$output")"
rm -f "$output.new"
trap 'rm -f "$output.new" "$output.esp"' EXIT
truncate -s $((root_start + root_size + 1))M "$output.new"
{
	echo 'label: gpt'
	echo "start=${START}MiB, size=${esp_size}MiB, type=U"
	[ -z "$root" ] || echo "start=${root_start}MiB, size=${root_size}MiB, type=L"
} | sfdisk --quiet "$output.new"
truncate -s ${esp_size}M "$output.esp"
mkfs.fat -F 32 -s 1 -n ESP "$output.esp" >/dev/null
mcopy -s -m -i "$output.esp" "$esp"/* ::
dd if="$output.esp" of="$output.new" bs=1M seek=$START conv=notrunc,sparse status=none
[ -z "$root" ] ||
	mke2fs -q -t ext4 -U "$uuid" -d "$root" -E offset=$((root_start << 20)) "$output.new" ${root_size}M
mv "$output.new" "$output"
