#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copies a disk that disk.sh made, and puts what is in a folder into the EFI system partition of the
# copy: add-to-esp.sh OUTPUT DISK FOLDER
set -eu

output=$1
disk=$2
folder=$3
trap 'rm -f "$output.new"' EXIT
cp --sparse=always --reflink=auto "$disk" "$output.new"
# -s: folders too; -o: into those that are there.
for file in "$folder"/*; do
	[ ! -e "$file" ] || mcopy -s -o -m -i "$output.new@@1M" "$file" ::
done
mv "$output.new" "$output"
