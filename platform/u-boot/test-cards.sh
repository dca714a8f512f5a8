#!/bin/sh
# Makes the cards of the tests: test-cards.sh BOARD MONITOR FOLDER
#
# FOLDER gets card-WAY.img for each way to start, each with Debian's kernel, which kexecs once.
set -eu
here=$(dirname "$0")
board=$1
monitor=$2
folder=$3

export KERNEL="$BATON_LINUX" INITRD="$BATON_INITRAMFS" BATON= SMP= MEM= FIT= WAY= FS=
export APPEND='console=ttyAMA0 earlycon panic=-1 baton.do=kexec'

fresh() {
	for input in "$here"/* "$board/board.conf" "$board/tree.sh" "$monitor" "$KERNEL" "$INITRD"; do
		[ "$1" -nt "$input" ] || return 1
	done
}

for card in script:fat fit:ext4 extlinux:ext4; do
	WAY=${card%:*}
	FS=${card#*:}
	output=$folder/card-$WAY.img
	! fresh "$output" || continue
	if [ "$WAY" = fit ]; then
		FIT=$folder/card.itb
		"$here/fit.sh" "$board" "$monitor" '' "$FIT"
	fi
	"$here/card.sh" "$board" "$monitor" "$output"
	rm -f "$folder/card.itb"
done
