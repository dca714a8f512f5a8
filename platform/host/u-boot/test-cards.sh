#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the cards of the tests: test-cards.sh BOARD MONITOR FOLDER
#
# FOLDER gets card-WAY.img for each way to start, each with Debian's kernel, which kexecs once. A FIT
# has its machine's device tree in it: card-fit-80.img is for 80 vCPUs.
set -eu
here=$(dirname "$0")
board=$1
monitor=$2
folder=$3

export KERNEL="$BATON_LINUX" INITRD="$BATON_INITRAMFS" BATON= SMP MEM= CPU= GIC= ITS= FIT= WAY= FS=
export APPEND='console=ttyAMA0 earlycon panic=-1 baton.do=kexec'

fresh() {
	for input in "$here"/* "$board/board.conf" "$monitor" "$KERNEL" "$INITRD"; do
		[ "$1" -nt "$input" ] || return 1
	done
}

for card in script:fat fit:ext4 fit-80:fat extlinux:ext4 net:tftp; do
	WAY=${card%%[-:]*}
	FS=${card#*:}
	SMP=4
	case $card in *-80:*) SMP=80 ;; esac
	output=$folder/card-${card%:*}.img
	[ "$WAY" != net ] || output=$folder/card-net.tftp
	! fresh "$output" || continue
	if [ "$WAY" = fit ]; then
		FIT=$folder/card.itb
		"$here/fit.sh" "$board" "$monitor" '' "$FIT"
	fi
	"$here/card.sh" "$board" "$monitor" "$output"
	rm -f "$folder/card.itb"
done
