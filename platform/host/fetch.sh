#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches packages of Debian into the cache, checked by apt's signatures: for arm64, but for QEMU.
#
#   fetch.sh kernel [RELEASE [FLAVOUR]]   $cache/kernels/VERSION/: Image, and in modules/ what
#                                         virtio disks, network and memory and UEFI's variables
#                                         need, in the order in which to load it; and a link to
#                                         that folder, $cache/debian/RELEASE[-FLAVOUR]
#   fetch.sh source RELEASE PACKAGE FOLDER   a source package, unpacked
#   fetch.sh linux-source RELEASE VERSION   $cache/linux-source/VERSION/: Linux's source as Debian has it
#   fetch.sh sources RELEASE              its lines for a sources.list, on standard output
#   fetch.sh dtbs [RELEASE]               $cache/dtbs/RELEASE/: the device trees of its kernel's boards
#   fetch.sh userland                     $cache/userland/: busybox, kexec and its libraries
#   fetch.sh grub                         $cache/grub/grubaa64.efi: GRUB, as an EFI program
#   fetch.sh systemd-boot                 $cache/systemd-boot/systemd-bootaa64.efi
#   fetch.sh u-boot-menu                  $cache/u-boot-menu/u-boot-menu.deb, for any architecture
#   fetch.sh edk2 [RELEASE]               $cache/edk2/RELEASE/QEMU_EFI.fd: EDK2 for QEMU's virt
#   fetch.sh u-boot [RELEASE]             $cache/u-boot/RELEASE/u-boot.bin: U-Boot for QEMU's virt
#   fetch.sh qemu                         $cache/qemu/: QEMU 10 of Debian 12's backports, for this machine, beside
#                                         the one that is installed: bin/qemu-system-aarch64
#   fetch.sh secure-boot                  $cache/secure-boot/: EDK2 that goes by keys (CODE.fd), Microsoft's
#                                         keys in its variables (VARS.fd), and shimaa64.efi, mmaa64.efi and
#                                         grubaa64.efi with their signatures, of Debian 13
#   fetch.sh makedumpfile                 $cache/makedumpfile.tar: tools/makedumpfile and its libraries in tools/lib
#   fetch.sh drgn                         $cache/drgn/: python/ and lib/, for the Python of this machine
#   fetch.sh crash                        $cache/crash/bin/crash, which reads dumps of arm64, run by QEMU on another machine
#   fetch.sh debug                        $cache/debug/VERSION/vmlinux of the kernel of $cache/debian/RELEASE: its
#                                         package has 0.8 GB
#
# RELEASE is bookworm, trixie, bookworm-backports, sid...; FLAVOUR is what stands between
# linux-image- and -arm64 or behind it: cloud, rt, 16k. It is done by an apt with a state of its own,
# so that the machine needs no foreign architecture. What is in the cache is not fetched again.
set -eu
here=$(dirname "$0")
. "$here/common.sh"

# sources RELEASE: lines for sources.list, with the mirrors that this machine uses for its own release.
sources() {
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		while read -r uri suite component; do
			case $component:$uri:$suite in
			main:*/debian-security/:*-security) ;;
			main:*/debian/:*-*) continue ;;
			main:*/debian/:*) ;;
			*) continue ;;
			esac
			case $uri:$1 in
			*/debian-security/:sid | */debian-security/:unstable | */debian-security/:*-*) ;;
			*/debian-security/:*) echo "$deb [signed-by=$keyring] $uri $1-security main" ;;
			*/debian/:*-backports)
				echo "$deb [signed-by=$keyring] $uri $1 main"
				echo "$deb [signed-by=$keyring] $uri ${1%-backports} main"
				;;
			*) echo "$deb [signed-by=$keyring] $uri $1 main" ;;
			esac
		done | sort -u
}

# `deb', or `deb-src' for sources.
deb=deb

# The architecture of what is fetched.
architecture=arm64

# open_apt RELEASE: makes `$apt' the configuration of an apt that knows that release alone.
open_apt() {
	apt=$cache/apt/$1${deb#deb}
	[ "$architecture" = arm64 ] || apt=$apt-$architecture
	mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/sources" "$apt/preferences"
	apt=$(cd "$apt" && pwd)
	: >"$apt/status"
	sources "$1" >"$apt/sources/debian.list"
	[ -s "$apt/sources/debian.list" ] ||
		die "apt knows no mirror of Debian: run apt-get update; if that does not help, its sources name none"
	cat >"$apt/apt.conf" <<-END
		Dir::State "$apt";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt";
		Dir::Etc::SourceList "/dev/null";
		Dir::Etc::SourceParts "$apt/sources";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "$apt/preferences";
		APT::Architecture "$architecture";
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "3";
		#clear APT::Architectures;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear Acquire::IndexTargets::deb::DEP-11;
		#clear Acquire::IndexTargets::deb::DEP-11-icons;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-large;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-hidpi;
		#clear Acquire::IndexTargets::deb::DEP-11-icons-large-hidpi;
	END
	case $1 in
	*-backports) echo "APT::Default-Release \"$1\";" >>"$apt/apt.conf" ;;
	esac
}

# closure PACKAGE: the package and all that it depends on.
closure() {
	apt-get -c "$apt/apt.conf" --simulate install "$1" | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
}

# download DIRECTORY PACKAGE...
download() {
	mkdir -p "$1"
	(cd "$1" && shift && apt-get -c "$apt/apt.conf" download "$@")
}

# unpack FROM TO: all packages of one directory into another.
unpack() {
	for archive in "$1"/*.deb; do
		dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$2" --no-same-owner || return 1
	done
}

# finish FROM TO: puts a complete result in place, so that an interrupted run leaves none.
finish() {
	rm -rf "$2"
	mkdir -p "$(dirname "$2")"
	mv "$1" "$2"
}

# module ROOT TO NAME: puts a module into TO, numbered, behind those that it depends on. One that is
# not there is built in.
module() {
	set -- "$1" "$2" "$(echo "$3" | tr - _)"
	for have in "$2"/*-"$3.ko"; do
		[ ! -f "$have" ] || return 0
	done
	found=$(find "$1" -name "$(echo "$3" | sed 's/_/[-_]/g').ko*" -type f | head -n 1)
	case $found in
	'') return 0 ;;
	*.xz) xz -dc "$found" >"$2/$3" ;;
	*.ko) cp "$found" "$2/$3" ;;
	*) die "$found: not known how to unpack it" ;;
	esac
	for needed in $(tr '\0' '\n' <"$2/$3" | sed -n 's/^depends=//p' | tr , ' '); do
		module "$1" "$2" "$needed"
	done
	number=$(find "$2" -name '*.ko' | wc -l)
	mv "$2/$3" "$2/$(printf '%02d' "$number")-$3.ko"
}

# The modules that a kernel is fetched with.
drivers='virtio_pci virtio_blk virtio_net virtio_mem efivarfs'

kernel() {
	name=$release${flavour:+-$flavour}
	[ "$(cat "$cache/debian/$name/drivers" 2>/dev/null)" != "$drivers" ] || return 0
	case $flavour in
	'') meta=linux-image-arm64 ;;
	*k) meta=linux-image-arm64-$flavour ;;
	*) meta=linux-image-$flavour-arm64 ;;
	esac
	read_lists
	# From 6.19 on linux-image-* is a stub, and linux-binary-* has the kernel.
	package=$(closure "$meta" | grep -E '^linux-(image|binary)-[0-9]' | sort | head -n 1)
	[ -n "$package" ] || die "Debian $release has no $meta"
	work=$cache/work/kernel-$name
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out"
	version=$(echo "$package" | sed 's/^linux-[a-z]*-//')
	# There its modules are in a package of their own.
	modules=$(closure "$meta" | grep -Fx "linux-modules-$version" || :)
	# shellcheck disable=SC2086 # none, or one
	step "apt: fetching $package of Debian $release" download "$work" "$package" $modules
	step "unpacking $package" unpack "$work" "$work/root"
	image=$(find "$work/root" -name 'vmlinuz*' -type f | head -n 1)
	[ -n "$image" ] || die "$package has no kernel"
	mv "$image" "$work/out/Image"
	# Newer than what was made of its predecessor.
	touch "$work/out/Image"
	mkdir "$work/out/modules"
	for name in $drivers; do
		module "$work/root" "$work/out/modules" "$name"
	done
	echo "$drivers" >"$work/out/drivers"
	finish "$work/out" "$cache/kernels/$version"
	mkdir -p "$cache/debian"
	ln -sfn "../kernels/$version" "$cache/debian/$release${flavour:+-$flavour}"
	rm -rf "$work"
}

dtbs() {
	[ ! -d "$cache/dtbs/$release" ] || return 0
	read_lists
	# Where linux-image-* is a stub, linux-base-VERSION has them, below the modules.
	package=$(closure linux-image-arm64 | grep -E '^linux-(image|base)-[0-9]' | sort | head -n 1)
	[ -n "$package" ] || die "Debian $release has no linux-image-arm64"
	work=$cache/work/dtbs
	rm -rf "$work"
	mkdir -p "$work/root"
	step "apt: fetching $package of Debian $release, for its device trees" download "$work" "$package"
	step "unpacking $package" unpack "$work" "$work/root"
	trees=$(find "$work/root/usr/lib" -maxdepth 3 -type d \( -name 'linux-image-*' -o -name dtb \))
	[ -n "$trees" ] || die "$package has no device trees"
	finish "$trees" "$cache/dtbs/$release"
	rm -rf "$work"
}

# needed FILE: the libraries that an ELF file names.
needed() {
	llvm-readelf --needed-libs "$1" | sed -n 's/^ *\(lib.*\|ld-.*\)$/\1/p'
}

# libraries ROOT FILE...: the libraries that the files need, and those that these need.
libraries() {
	root=$1
	shift
	seen=' '
	while [ $# -gt 0 ]; do
		file=$1
		shift
		for library in $(needed "$file"); do
			case $seen in
			*" $library "*) continue ;;
			esac
			seen="$seen$library "
			path=$(find "$root" -name "$library" | head -n 1)
			[ -n "$path" ] || die "no package has $library, which ${file##*/} needs"
			echo "$path"
			set -- "$@" "$path"
		done
	done
}

# copy_libraries TO ROOT FILE...: puts the `libraries' of the files into a directory.
copy_libraries() {
	to=$1
	shift
	libraries "$@" | while read -r library; do
		cp -L "$library" "$to/"
	done
}

# fetch_program WORK PACKAGE WHAT [OTHER...]: unpacks a package and the libraries that it depends on, and other packages,
# in WORK/root; the line that says so calls them WHAT.
fetch_program() {
	directory=$1
	package=$2
	named=$3
	shift 3
	packages=$(closure "$package" | grep -E "^($package|lib.*|zlib1g)\$" | tr '\n' ' ')
	# shellcheck disable=SC2086 # a list of words
	step "apt: fetching $named and its libraries" download "$directory" "$@" $packages
	step "unpacking them" unpack "$directory" "$directory/root"
}

# Opens the apt of `$release', and has it read what that has today.
read_lists() {
	open_apt "$release"
	step "apt: reading the package lists of Debian $release for $architecture" apt-get -c "$apt/apt.conf" update
}

userland() {
	[ ! -f "$cache/userland/sbin/kexec" ] || return 0
	read_lists
	work=$cache/work/userland
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out/bin" "$work/out/sbin" "$work/out/lib"
	fetch_program "$work" kexec-tools "busybox-static, kexec-tools" busybox-static
	cp "$work/root/bin/busybox" "$work/out/bin/" 2>/dev/null ||
		cp "$work/root/usr/bin/busybox" "$work/out/bin/"
	kexec=$(find "$work/root" -name kexec -type f -perm -u+x -path '*sbin*' | head -n 1)
	cp "$kexec" "$work/out/sbin/"
	copy_libraries "$work/out/lib" "$work/root" "$kexec"
	interpreter=$(find "$work/root" -name 'ld-linux-aarch64.so.1' | head -n 1)
	cp -L "$interpreter" "$work/out/lib/"
	finish "$work/out" "$cache/userland"
	rm -rf "$work"
}

grub() {
	[ ! -f "$cache/grub/grubaa64.efi" ] || return 0
	read_lists
	work=$cache/work/grub
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out"
	step "apt: fetching grub-efi-arm64-bin" download "$work" grub-efi-arm64-bin
	step "unpacking it" unpack "$work" "$work/root"
	cp "$work/root/usr/lib/grub/arm64-efi/monolithic/grubaa64.efi" "$work/out/"
	finish "$work/out" "$cache/grub"
	rm -rf "$work"
}

edk2() {
	[ ! -d "$cache/edk2/$release" ] || return 0
	read_lists
	work=$cache/work/edk2-$release
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out"
	step "apt: fetching qemu-efi-aarch64 of Debian $release" download "$work" qemu-efi-aarch64
	step "unpacking it" unpack "$work" "$work/root"
	cp "$work/root/usr/share/qemu-efi-aarch64/QEMU_EFI.fd" "$work/out/"
	finish "$work/out" "$cache/edk2/$release"
	rm -rf "$work"
}

u_boot() {
	[ ! -d "$cache/u-boot/$release" ] || return 0
	read_lists
	work=$cache/work/u-boot-$release
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out"
	step "apt: fetching u-boot-qemu of Debian $release" download "$work" u-boot-qemu
	step "unpacking it" unpack "$work" "$work/root"
	cp "$work/root/usr/lib/u-boot/qemu_arm64/u-boot.bin" "$work/out/"
	finish "$work/out" "$cache/u-boot/$release"
	rm -rf "$work"
}

# QEMU 10, whose SMMUv3 does what GBPA says: with its libraries, run by their own loader.
qemu() {
	[ ! -x "$cache/qemu/bin/qemu-system-aarch64" ] || return 0
	architecture=$(dpkg --print-architecture)
	release=bookworm-backports
	read_lists
	work=$cache/work/qemu
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out/bin" "$work/out/lib" "$work/out/share"
	packages=$(closure qemu-system-arm | tr '\n' ' ')
	# shellcheck disable=SC2086 # a list of words
	step "apt: fetching QEMU of Debian $release, and its libraries" download "$work" $packages
	step "unpacking them" unpack "$work" "$work/root"
	emulator=$work/root/usr/bin/qemu-system-aarch64
	modules=$(find "$work/root/usr/lib" -path '*/qemu/*.so' -type f)
	# shellcheck disable=SC2086 # a list of files
	copy_libraries "$work/out/lib" "$work/root" "$emulator" $modules
	# shellcheck disable=SC2086 # a list of files
	cp "$emulator" $modules "$work/out/lib/"
	cp -RL "$work/root/usr/share/qemu" "$work/out/share/" 2>/dev/null || :
	loader=$(cd "$work/out/lib" && echo ld-linux*.so.*)
	cat >"$work/out/bin/qemu-system-aarch64" <<-END
		#!/bin/sh
		here=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
		# Its modules too, and none of the one that is installed.
		export QEMU_MODULE_DIR="\$here/lib"
		exec "\$here/lib/$loader" --library-path "\$here/lib" "\$here/lib/qemu-system-aarch64" -L "\$here/share/qemu" "\$@"
	END
	chmod +x "$work/out/bin/qemu-system-aarch64"
	finish "$work/out" "$cache/qemu"
	rm -rf "$work"
}

makedumpfile() {
	[ ! -f "$cache/makedumpfile.tar" ] || return 0
	read_lists
	work=$cache/work/makedumpfile
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out/tools/lib"
	fetch_program "$work" makedumpfile makedumpfile
	program=$work/root/usr/bin/makedumpfile
	cp "$program" "$work/out/tools/"
	copy_libraries "$work/out/tools/lib" "$work/root" "$program"
	tar -c -C "$work/out" -f "$work/tools.tar" tools
	finish "$work/tools.tar" "$cache/makedumpfile.tar"
	rm -rf "$work"
}

# drgn of the Debian that this machine runs, whose Python it is for. It has what is installed of libc.
drgn() {
	[ ! -d "$cache/drgn/python" ] || return 0
	architecture=$(dpkg --print-architecture)
	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
	read_lists
	work=$cache/work/drgn
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out/lib"
	fetch_program "$work" python3-drgn drgn
	module=$(find "$work/root" -name '_drgn.*.so' | head -n 1)
	libraries "$work/root" "$module" | grep -Ev '/(ld-|libc\.|libm\.|libpython)' | while read -r library; do
		cp -L "$library" "$work/out/lib/"
	done
	mv "$(dirname "$module")" "$work/out/python"
	finish "$work/out" "$cache/drgn"
	rm -rf "$work"
}

# crash knows dumps of the architecture alone that it was compiled for. A QEMU beside it runs it, so that nothing has to
# be installed. Debian 12's, 8.0.2, finds no tasks but those that run in a kernel whose struct pid ends in numbers[].
crash() {
	[ ! -x "$cache/crash/bin/crash" ] || return 0
	release=trixie
	read_lists
	work=$cache/work/crash
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out/bin" "$work/out/lib"
	fetch_program "$work" crash crash
	program=$work/root/usr/bin/crash
	cp "$program" "$work/out/lib/"
	copy_libraries "$work/out/lib" "$work/root" "$program"
	emulator=
	if [ "$(uname -m)" != aarch64 ]; then
		architecture=$(dpkg --print-architecture) release=bookworm
		read_lists
		step "apt: fetching QEMU for arm64's programs" download "$work/emulator" qemu-user-static
		step "unpacking it" unpack "$work/emulator" "$work/root"
		cp "$work/root/usr/bin/qemu-aarch64-static" "$work/out/bin/"
		# Pointer authentication, which newer models of CPU have, is most of its work.
		emulator='"$here/bin/qemu-aarch64-static" -cpu cortex-a57 '
	fi
	cat >"$work/out/bin/crash" <<-END
		#!/bin/sh
		here=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
		exec $emulator"\$here/lib/ld-linux-aarch64.so.1" --library-path "\$here/lib" "\$here/lib/crash" "\$@"
	END
	chmod +x "$work/out/bin/crash"
	finish "$work/out" "$cache/crash"
	rm -rf "$work"
}

debug() {
	version=$(basename "$(readlink "$cache/debian/$release")")
	[ ! -f "$cache/debug/$version/vmlinux" ] || return 0
	read_lists
	work=$cache/work/debug-$version
	rm -rf "$work"
	mkdir -p "$work/out"
	step "apt: fetching linux-image-$version-dbg (0.8 GB)" download "$work" "linux-image-$version-dbg"
	step "unpacking its vmlinux" sh -c "dpkg-deb --fsys-tarfile '$work'/*.deb |
		tar -x --to-stdout ./usr/lib/debug/boot/vmlinux-$version >'$work/out/vmlinux'"
	[ -s "$work/out/vmlinux" ] || die "linux-image-$version-dbg has no vmlinux"
	finish "$work/out" "$cache/debug/$version"
	rm -rf "$work"
}

systemd_boot() {
	[ ! -f "$cache/systemd-boot/systemd-bootaa64.efi" ] || return 0
	read_lists
	work=$cache/work/systemd-boot
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out"
	step "apt: fetching systemd-boot-efi" download "$work" systemd-boot-efi
	step "unpacking it" unpack "$work" "$work/root"
	cp "$work/root/usr/lib/systemd/boot/efi/systemd-bootaa64.efi" "$work/out/"
	finish "$work/out" "$cache/systemd-boot"
	rm -rf "$work"
}

u_boot_menu() {
	[ ! -f "$cache/u-boot-menu/u-boot-menu.deb" ] || return 0
	read_lists
	work=$cache/work/u-boot-menu
	rm -rf "$work"
	mkdir -p "$work/out"
	step "apt: fetching u-boot-menu" download "$work" u-boot-menu
	mv "$work"/u-boot-menu_*.deb "$work/out/u-boot-menu.deb"
	finish "$work/out" "$cache/u-boot-menu"
	rm -rf "$work"
}

secure_boot() {
	[ ! -f "$cache/secure-boot/CODE.fd" ] || return 0
	release=trixie
	read_lists
	work=$cache/work/secure-boot
	rm -rf "$work"
	mkdir -p "$work/root" "$work/out"
	step "apt: fetching what Debian $release has for Secure Boot" download "$work" \
		qemu-efi-aarch64 shim-signed shim-helpers-arm64-signed grub-efi-arm64-signed
	step "unpacking it" unpack "$work" "$work/root"
	lib=$work/root/usr/lib firmware=$work/root/usr/share/AAVMF
	cp --sparse=always "$firmware/AAVMF_CODE.secboot.fd" "$work/out/CODE.fd"
	cp --sparse=always "$firmware/AAVMF_VARS.ms.fd" "$work/out/VARS.fd"
	cp "$lib/shim/shimaa64.efi.signed" "$work/out/shimaa64.efi"
	cp "$lib/shim/mmaa64.efi.signed" "$work/out/mmaa64.efi"
	cp "$lib/grub/arm64-efi-signed/grubaa64.efi.signed" "$work/out/grubaa64.efi"
	finish "$work/out" "$cache/secure-boot"
	rm -rf "$work"
}

# source_package RELEASE PACKAGE FOLDER
source_package() {
	deb=deb-src
	open_apt "$1"
	step "apt: reading the source lists of Debian $1" apt-get -c "$apt/apt.conf" update
	work=$cache/work/source-$2
	rm -rf "$work"
	mkdir -p "$work"
	step "apt: fetching the source of $2" \
		sh -c "cd '$work' && apt-get -c '$apt/apt.conf' source --download-only '$2'"
	step "unpacking it" dpkg-source --extract "$work"/*.dsc "$work/source"
	finish "$work/source" "$3"
	rm -rf "$work"
}

# linux_source VERSION: its package is for every architecture.
linux_source() {
	[ ! -f "$cache/linux-source/$1/package" ] || return 0
	read_lists
	work=$cache/work/linux-source-$1
	rm -rf "$work"
	mkdir -p "$work/source"
	step "apt: fetching linux-source-$1 of Debian $release" download "$work" "linux-source-$1"
	step "unpacking it (1.4 GB)" sh -c "dpkg-deb --fsys-tarfile '$work'/*.deb |
		tar -x --to-stdout ./usr/src/linux-source-$1.tar.xz | tar -x -J -C '$work/source' --strip-components=1"
	[ -f "$work/source/Makefile" ] || die "linux-source-$1 has no source of Linux"
	dpkg-deb --field "$work"/*.deb Package Version >"$work/source/package"
	finish "$work/source" "$cache/linux-source/$1"
	rm -rf "$work"
}

what=${1:-}
case $what in
source)
	source_package "$2" "$3" "$4"
	exit
	;;
sources)
	sources "$2"
	exit
	;;
esac
release=${2:-$release}
flavour=${3:-}
case $what in
kernel) kernel ;;
linux-source) linux_source "$3" ;;
userland) userland ;;
dtbs) dtbs ;;
makedumpfile) makedumpfile ;;
drgn) drgn ;;
crash) crash ;;
debug) debug ;;
grub) grub ;;
edk2) edk2 ;;
u-boot) u_boot ;;
qemu) qemu ;;
systemd-boot) systemd_boot ;;
u-boot-menu) u_boot_menu ;;
secure-boot) secure_boot ;;
*) die "usage: fetch.sh kernel [RELEASE [FLAVOUR]] | source RELEASE PACKAGE FOLDER | linux-source RELEASE VERSION | userland | grub | systemd-boot | u-boot-menu | secure-boot | qemu | makedumpfile | drgn | crash | debug [RELEASE] | edk2 [RELEASE] | u-boot [RELEASE] | dtbs [RELEASE]" ;;
esac
