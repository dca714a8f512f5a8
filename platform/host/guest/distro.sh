#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the disk of an arm64 Debian as its installer leaves it: distro.sh OUTPUT
#
# GPT, an EFI system partition with Debian's shim and GRUB, both signed, and a root file system with systemd,
# Debian's kernel, kexec-tools and efibootmgr; root has no password. One service is added: where a disk is
# attached under the serial number `run-script', it is a tar archive, and the file `run' in it is run when all is
# up, in each system that comes up. The disk is kept in the cache.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

output=$1
ROOT_UUID=ba700000-0000-4000-8000-000000000001
PACKAGES=linux-image-arm64,initramfs-tools,systemd-sysv,udev,dbus,kexec-tools,efibootmgr,grub-efi-arm64,grub-efi-arm64-signed,shim-signed,e2fsprogs

# What it was made by: another script makes another disk.
made=$(cat "$0" "$here/disk.sh" | sha256sum)
[ ! -f "$output" ] || [ "$(cat "$output.made" 2>/dev/null)" != "$made" ] || exit 0
[ "$(id -u)" = 0 ] || die "not root: packages are installed into a folder by chroot"
work=$cache/work/distro
# Where `system' says how far it is.
exec 3>&1
rm -rf "$work"
mkdir -p "$work/esp"

# An initramfs takes long to make where all is emulated: it is made once, when all is installed, with
# what this machine needs.
system() {
	"$here/../fetch.sh" sources "$release" >"$work/sources.list"
	# shellcheck disable=SC2016 # $1 is expanded by what runs the hook
	INITRD=No mmdebstrap --arch=arm64 --variant=apt --mode=root --include="$PACKAGES" \
		--dpkgopt=force-unsafe-io \
		--essential-hook='echo "    essential packages are in; the others follow" >&3' \
		--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
		--essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/modules"' \
		--customize-hook='echo "    all packages are in; the initramfs follows" >&3' \
		--customize-hook='printf "ext4\nvirtio_blk\nvirtio_pci\n" >>"$1/etc/initramfs-tools/modules"' \
		--customize-hook='chroot "$1" update-initramfs -c -k "$(ls "$1/lib/modules")"' \
		"$release" "$work/root" "$work/sources.list"
}

# What the installer asks for, and the service.
configure() {
	root=$1
	echo debian >"$root/etc/hostname"
	cat >"$root/etc/fstab" <<-END
		UUID=$ROOT_UUID / ext4 errors=remount-ro 0 1
		LABEL=ESP /boot/efi vfat umask=0077 0 1
	END
	mkdir -p "$root/boot/efi"
	sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
	mkdir -p "$root/etc/default/grub.d"
	cat >"$root/etc/default/grub.d/serial.cfg" <<-'END'
		GRUB_CMDLINE_LINUX_DEFAULT=""
		GRUB_CMDLINE_LINUX="console=ttyAMA0"
		GRUB_TERMINAL=console
		GRUB_TIMEOUT=1
	END
	cat >"$root/etc/systemd/system/run-script.service" <<-'END'
		[Unit]
		Description=Run what the disk run-script says
		After=multi-user.target
		ConditionPathExists=/dev/disk/by-id/virtio-run-script
		[Service]
		Type=oneshot
		StateDirectory=run-script
		WorkingDirectory=/var/lib/run-script
		ExecStart=tar -x -f /dev/disk/by-id/virtio-run-script
		ExecStart=/var/lib/run-script/run
		[Install]
		WantedBy=default.target
	END
	mkdir -p "$root/etc/systemd/system/default.target.wants"
	ln -s ../run-script.service "$root/etc/systemd/system/default.target.wants/"
	# Run once as init, where the disk is a disk.
	cat >"$root/first" <<-'END'
		#!/bin/sh
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin
		mountpoint -q /proc || mount -t proc proc /proc
		mountpoint -q /sys || mount -t sysfs sysfs /sys
		systemd-machine-id-setup
		mkdir -p /boot/grub
		update-grub && rm /first && echo first: done
		# Who holds this file open keeps its file system busy.
		exec sh -c 'mount -o remount,ro / && echo o >/proc/sysrq-trigger; read _'
	END
	chmod 755 "$root/first"
}

disk() {
	efi=$work/esp/EFI
	mkdir -p "$efi/BOOT" "$efi/debian"
	for folder in BOOT debian; do
		cp "$work/root/usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed" "$efi/$folder/grubaa64.efi"
	done
	# That of firmware's own entry, and where firmware without one looks.
	for shim in debian/shimaa64.efi BOOT/BOOTAA64.EFI; do
		cp "$work/root/usr/lib/shim/shimaa64.efi.signed" "$efi/$shim"
	done
	cat >"$efi/debian/grub.cfg" <<-END
		search.fs_uuid $ROOT_UUID root
		set prefix=(\$root)'/boot/grub'
		configfile \$prefix/grub.cfg
	END
	"$here/disk.sh" "$work/disk" "$work/esp" "$work/root" "$ROOT_UUID"
}

# GRUB's configuration is written by the system itself.
first_boot() {
	timeout 600 "${QEMU:-qemu-system-aarch64}" -M virt,gic-version=3 -cpu cortex-a57 -m 1G \
		-accel tcg,thread=single -nographic -nic none -no-reboot \
		-kernel "$(find "$work/root/boot" -name 'vmlinuz-*')" \
		-initrd "$(find "$work/root/boot" -name 'initrd.img-*')" \
		-append "console=ttyAMA0 root=UUID=$ROOT_UUID rw init=/first panic=-1" \
		-drive "if=none,id=disk,format=raw,file=$work/disk" -device virtio-blk-pci,drive=disk \
		>"$work/first.log"
	grep -q 'first: done' "$work/first.log" || {
		tail -n 40 "$work/first.log"
		return 1
	}
}

step "mmdebstrap: an arm64 Debian $release, its programs emulated: some four minutes" system
configure "$work/root"
step "making its disk" disk
step "its first boot, in which it configures GRUB" first_boot
mkdir -p "$(dirname "$output")"
mv "$work/disk" "$output"
echo "$made" >"$output.made"
rm -rf "$work"
