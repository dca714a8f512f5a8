#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a FIT image of monitor, guest kernel, initrd and device tree, each with its SHA-256.
#
#   fit.sh BOARD MONITOR TREE OUTPUT
#
# BOARD is a folder with a board.conf, TREE the board's own device tree; without one, make_tree of
# its board.conf makes it. The copy of it in the FIT has the /chosen modules that say where U-Boot loads
# the guest. KERNEL=, INITRD=, APPEND= and BATON= are as for card.sh.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

board=$1
monitor=$2
tree=$3
output=$4
make_tree() { die "DTB= is needed: the device tree of $board"; }
read_board "$board"
APPEND=${APPEND:-console=$console baton.do=shell}

mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$output.XXXXXX")
# shellcheck disable=SC2064 # expanded now
trap "rm -rf '$work'" EXIT

# module KIND ADDRESS FILE: writes a /chosen module.
module() {
	node=/chosen/module@$2
	fdtput -c "$work/board.dtb" "$node"
	fdtput -t s "$work/board.dtb" "$node" compatible "multiboot,$1" multiboot,module
	fdtput -t x "$work/board.dtb" "$node" reg 0 "$2" 0 "$(printf %x "$(wc -c <"$3")")"
}

# image NAME DESCRIPTION TYPE ADDRESS FILE: an image of the FIT.
image() {
	cat <<END
		$1 {
			description = "$2";
			data = /incbin/("$(realpath "$5")");
			type = "$3";
			arch = "arm64";
			os = "linux";
			compression = "none";
			load = <0x0 0x$4>;
			entry = <0x0 0x$4>;
			hash { algo = "sha256"; };
		};
END
}

"$here/check-kernel.sh" "$KERNEL"
if [ -n "$tree" ]; then
	cp "$tree" "$work/board.dtb"
else
	make_tree "$work/board.dtb"
fi
fdtput -t x "$work/board.dtb" /chosen '#address-cells' 2
fdtput -t x "$work/board.dtb" /chosen '#size-cells' 2
fdtput -t s "$work/board.dtb" /chosen bootargs "${BATON:-}"
module kernel "$kernel_addr" "$KERNEL"
fdtput -t s "$work/board.dtb" "/chosen/module@$kernel_addr" bootargs "$APPEND"
loadables='"guest"'
[ -z "${INITRD:-}" ] || {
	module ramdisk "$initrd_addr" "$INITRD"
	loadables="$loadables, \"initrd\""
}
# Room for what U-Boot adds to /chosen.
dtc -q -I dtb -O dtb -p 8192 -o "$work/tree.dtb" "$work/board.dtb"
{
	echo '/dts-v1/;'
	echo '/ {'
	echo '	description = "Baton and its guest";'
	echo '	#address-cells = <2>;'
	echo '	images {'
	image monitor Baton kernel "$monitor_addr" "$monitor"
	image guest "guest kernel" kernel "$kernel_addr" "$KERNEL"
	[ -z "${INITRD:-}" ] || image initrd "initial ramdisk" ramdisk "$initrd_addr" "$INITRD"
	image tree "device tree with the modules" flat_dt "$tree_addr" "$work/tree.dtb"
	echo '	};'
	echo '	configurations {'
	echo '		default = "baton";'
	echo '		baton {'
	echo '			kernel = "monitor";'
	echo '			fdt = "tree";'
	echo "			loadables = $loadables;"
	echo '		};'
	echo '	};'
	echo '};'
} >"$work/baton.its"
mkimage -f "$work/baton.its" "$output.new" >/dev/null
mv "$output.new" "$output"
echo "  $output: $(($(wc -c <"$output") >> 20)) MiB, FIT for ${board##*/}"
