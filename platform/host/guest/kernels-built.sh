#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the kernels of built/matrix from the packages of Linux's source that Debian 12 has:
#
#   kernels-built.sh FOLDER [WORD...]
#
# WORDs are such as stand in the matrix: only kernels that have all of them. Each kernel comes to
# $cache/kernels-built/NAME/ (Image, System.map, config, log, made), and an initramfs for it that kexecs it
# to FOLDER/NAME.cpio; FOLDER/list names them. What is built stays: a run that was stopped goes on with
# the kernel at which it was, and a kernel is built anew only when its configuration, its source or
# its compiler is another. CLANG=16 is the version of clang; one build may take LIMIT=7200 seconds.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

folder=$1
shift
clang=${CLANG:-16}
limit=${LIMIT:-7200}
mkdir -p "$folder"

# build NAME VERSION COMPILER FRAGMENT...
build() {
	name=$1 version=$2 compiler=$3
	shift 3
	words="$version $compiler $*"
	output=$cache/kernels-built/$name
	work=$cache/work/kernels-built/$name
	mkdir -p "$work"
	(cd "$here/built" && for fragment in base "$@"; do cat "$fragment.config"; done) |
		grep '^CONFIG_' >"$work/fragment"
	case $compiler in
	gcc)
		program=aarch64-linux-gnu-gcc
		tools=CROSS_COMPILE=aarch64-linux-gnu-
		;;
	clang)
		program=clang-$clang
		tools=LLVM=-$clang
		;;
	*) die "$name: no such compiler in the matrix: $compiler" ;;
	esac
	"$here/../fetch.sh" linux-source bookworm "$version"
	source=$cache/linux-source/$version
	key=$(cat "$work/fragment" "$source/package" - <<-END | cksum
		$("$program" --version)
	END
	)
	if [ "$(cat "$output/key" 2>/dev/null)" = "$key" ]; then
		rm -rf "$work"
		return 0
	fi
	rm -f "$output/key"
	mkdir -p "$output"
	make="make -C $source O=$work ARCH=arm64 $tools"
	# shellcheck disable=SC2086 # lists of words
	step "configuring $name" $make KCONFIG_ALLCONFIG="$work/fragment" allnoconfig
	while read -r line; do
		grep -qx "$line" "$work/.config" ||
			die "$name: $line is not in its configuration: this source or compiler does not offer it"
	done <"$work/fragment"
	cp "$work/.config" "$output/config"
	echo "  building $name (some 900 steps; a LTO kernel's last ones are long)"
	# shellcheck disable=SC2086 # lists of words
	{
		timeout "$limit" nice $make -j "$(nproc)" Image 2>&1 </dev/null
		echo $? >"$work/status"
	} | tee "$output/log" | {
		count=0
		while read -r _; do
			count=$((count + 1))
			[ $((count % 150)) != 0 ] || echo "    $count steps"
		done
	}
	case $(cat "$work/status") in
	0) ;;
	124) die "$name was not built in $limit seconds; the next run goes on where it was (LIMIT= gives more)" ;;
	*)
		tail -n 30 "$output/log" >&2
		die "$name was not built; its output is in $output/log, and ends as above"
		;;
	esac
	cp "$work/arch/arm64/boot/Image" "$work/System.map" "$output/"
	cat >"$output/made" <<-END
		# SPDX-License-Identifier: Apache-2.0
		# Facts of the kernel $name, written down by \`make kernels-built ONLY="$words"'.
		# $(sed 's/^[A-Za-z]*: //' "$source/package" | tr '\n' ' ')- $("$program" --version | head -n 1)
	END
	echo "$key" >"$output/key"
	rm -rf "$work"
}

: >"$folder/list.new"
while read -r version compiler fragments <&3; do
	case $version in
	'' | '#'*) continue ;;
	esac
	for word; do
		case " $version $compiler $fragments " in
		*" $word "*) ;;
		*) continue 2 ;;
		esac
	done
	name=$(echo "$version $compiler $fragments" | tr ' ' -)
	# shellcheck disable=SC2086 # a list of words
	build "$name" "$version" "$compiler" $fragments
	"$here/initramfs.sh" kexec "$cache/kernels-built/$name/Image" "$folder/$name.cpio"
	echo "$name" >>"$folder/list.new"
done 3<"$here/built/matrix"
[ -s "$folder/list.new" ] || die "no kernel in built/matrix has all of these words: $*"
mv "$folder/list.new" "$folder/list"
