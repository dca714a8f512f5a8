#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs Linux under the monitor on a board that QEMU models, up to the second kernel: board.sh BOARD
#
# QEMU enters the monitor as a loader would. The guest is named in the device tree before, as a boot
# script does it on the board. The console goes to standard output. It ends when the second kernel is
# done, or after TIMEOUT= seconds (300); it fails unless that kernel has all CPUs.
#
# platform/BOARD/qemu.conf says what is particular to the board, in variables:
#   machine, arguments    QEMU's -M, and more of its arguments
#   serial                which of QEMU's serial ports is the console, counted from 0
#   tree                  the board's device tree in Debian's kernel package; none: QEMU's own
#   address_high, size_high   first cells of an address and of a size in /chosen, where it has two
#   stdout                /chosen/stdout-path, if the tree's is not what QEMU has
#   console               what Linux calls the console
#   kernel_addr, initrd_addr  where the guest's kernel and initial ramdisk go (hexadecimal)
#   adapt                 a function that has the tree fit what QEMU models: adapt TREE
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

board=${1:-}
conf=$here/../../$board/qemu.conf
[ -n "$board" ] && [ -f "$conf" ] || die "BOARD=$board: there is no platform/$board/qemu.conf"
qemu=${QEMU:-qemu-system-aarch64}
monitor=$CARGO_TARGET_DIR/aarch64-unknown-none-softfloat/release/baton.img
arguments='' serial=0 tree='' address_high=0 size_high=0 stdout=''
adapt() { :; }
# shellcheck source=/dev/null
. "$conf"

"$qemu" -M help | grep -q "^${machine%%,*} " ||
	die "$("$qemu" --version | head -n 1) has no ${machine%%,*}: name a newer one by QEMU="

work=$CARGO_TARGET_DIR/board/$board
mkdir -p "$work"
dtb=$work/board.dtb
log=$work/console.log
if [ -n "$tree" ]; then
	cp "$cache/dtbs/${BATON_RELEASE:-bookworm}/$tree" "$dtb"
else
	# shellcheck disable=SC2086 # a list of words
	"$qemu" -M "$machine,dumpdtb=$dtb" $arguments -display none -kernel "$monitor" 2>"$log" ||
		{ cat "$log" >&2; die "QEMU wrote no device tree"; }
fi
adapt "$dtb"
[ -z "$stdout" ] || fdtput -t s "$dtb" /chosen stdout-path "$stdout"

# module KIND ADDRESS FILE
module() {
	node=/chosen/module@$2
	fdtput -c "$dtb" "$node"
	fdtput -t s "$dtb" "$node" compatible "multiboot,$1" multiboot,module
	# shellcheck disable=SC2086 # none, or one word
	fdtput -t x "$dtb" "$node" reg $address_high "0x$2" $size_high "$(printf '0x%x' "$(stat -Lc %s "$3")")"
}
module kernel "$kernel_addr" "$BATON_LINUX"
module ramdisk "$initrd_addr" "$BATON_INITRAMFS"
fdtput -t s "$dtb" "/chosen/module@$kernel_addr" bootargs \
	"console=$console,115200 earlycon panic=-1 baton.do=kexec ${APPEND:-}"

before=
while [ "$serial" -gt 0 ]; do
	before="$before -serial null"
	serial=$((serial - 1))
done
: >"$log"
# shellcheck disable=SC2086 # lists of words
"$qemu" -M "$machine" $arguments -accel tcg,thread=single -display none -monitor none -no-reboot \
	$before -serial "file:$log" -kernel "$monitor" -append "${BATON:- }" -dtb "$dtb" \
	-device "loader,file=$BATON_LINUX,addr=0x$kernel_addr,force-raw=on" \
	-device "loader,file=$BATON_INITRAMFS,addr=0x$initrd_addr,force-raw=on" \
	${QEMU_ARGS:-} 2>"$work/qemu.log" &
pid=$!
trap 'kill $pid 2>/dev/null || :' EXIT INT TERM
tail -n +1 --pid=$pid -f "$log" &
# Not every board can be switched off: the last words of the second kernel are the end, too.
left=${TIMEOUT:-300}
grace=10
while [ "$left" -gt 0 ] && [ "$grace" -gt 0 ] && kill -0 $pid 2>/dev/null; do
	sleep 1
	left=$((left - 1))
	! grep -aq 'guest: leaving by' "$log" || grace=$((grace - 1))
done
kill $pid 2>/dev/null || :
wait
cpus=$(dtc -q -I dtb -O dts "$dtb" | grep -c 'device_type = "cpu"')
carried='baton: generation 1: entered .* 0 CPUs missing, 0 steps failed'
grep -aq "guest: generation 1, .*CPUs online: $cpus of $cpus" "$log" && grep -aq "$carried" "$log" || {
	cat "$work/qemu.log" >&2
	die "$board: expected a second kernel with $cpus CPUs, carried by the monitor; its console is in $log"
}
echo
echo "$board: the second kernel has $cpus of $cpus CPUs online"
