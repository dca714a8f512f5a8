#!/bin/sh
# Makes the disk of an arm64 Debian as its installer would leave it: distro.sh OUTPUT
#
# GPT, an EFI system partition with Debian's own GRUB, and a root file system with systemd and Debian's
# kernel. The one thing that is added is a service that says how many CPUs there are, runs `kexec -l' and
# `systemctl kexec' once, and switches off the second time. It is kept in the cache.
set -eu
here=$(dirname "$0")
. "$here/common.sh"

output=$1
ROOT_UUID=ba700000-0000-4000-8000-000000000001
ESP_MIB=64
ROOT_MIB=1400
PATH=$PATH:/usr/sbin:/sbin

[ ! -f "$output" ] || exit 0
work=$cache/work/distro
rm -rf "$work"
mkdir -p "$work" "$(dirname "$output")"

# What the installer asks for, and the service.
configure() {
	root=$1
	echo debian >"$root/etc/hostname"
	echo "UUID=$ROOT_UUID / ext4 defaults 0 1" >"$root/etc/fstab"
	mkdir -p "$root/etc/default/grub.d"
	cat >"$root/etc/default/grub.d/serial.cfg" <<-'END'
		GRUB_CMDLINE_LINUX="console=ttyAMA0"
		GRUB_TERMINAL=console
		GRUB_TIMEOUT=1
	END
	cat >"$root/usr/local/sbin/try-kexec" <<-'END'
		#!/bin/sh
		# Through the kernel's log, so that lines never mix.
		say() { echo "<1>guest: $*" >/dev/kmsg; }
		number=$(cat /var/lib/try-kexec 2>/dev/null || echo 0)
		all=$(ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l)
		say "generation $number, Linux $(uname -r), CPUs online: $(nproc) of $all"
		[ "$number" = 0 ] || exec systemctl --no-block poweroff
		echo 1 >/var/lib/try-kexec
		kexec -l /vmlinuz --initrd=/initrd.img --reuse-cmdline || say "FAIL kexec -l"
		exec systemctl --no-block kexec
	END
	chmod 755 "$root/usr/local/sbin/try-kexec"
	cat >"$root/etc/systemd/system/try-kexec.service" <<-'END'
		[Unit]
		Description=Reboot once by kexec
		After=multi-user.target
		[Service]
		Type=oneshot
		ExecStart=/usr/local/sbin/try-kexec
		[Install]
		WantedBy=default.target
	END
	mkdir -p "$root/etc/systemd/system/default.target.wants"
	ln -s ../try-kexec.service "$root/etc/systemd/system/default.target.wants/"
	# Run once as init, where the disk is a disk: it writes /boot/grub/grub.cfg.
	cat >"$root/first" <<-'END'
		#!/bin/sh
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mkdir -p /boot/grub
		update-grub && rm /first && sync && echo first: done
		mount -o remount,ro /
		echo o >/proc/sysrq-trigger
		sleep 60
	END
	chmod 755 "$root/first"
}

system() {
	"$here/fetch.sh" sources "$release" >"$work/sources.list"
	mmdebstrap --arch=arm64 --variant=apt --mode=root --include="$1" \
		"$release" "$work/root" "$work/sources.list"
}

disk() {
	esp=$((ESP_MIB << 20))
	start=$((1 << 20))
	truncate -s $((ESP_MIB + ROOT_MIB + 2))M "$work/disk"
	printf 'label: gpt\nstart=2048,size=%sMiB,type=U\ntype=L\n' $ESP_MIB | sfdisk --quiet "$work/disk"
	mkdir -p "$work/esp/EFI/BOOT" "$work/esp/EFI/debian"
	cp "$work/root/usr/lib/grub/arm64-efi/monolithic/grubaa64.efi" "$work/esp/EFI/BOOT/BOOTAA64.EFI"
	cat >"$work/esp/EFI/debian/grub.cfg" <<-END
		search.fs_uuid $ROOT_UUID root
		set prefix=(\$root)'/boot/grub'
		configfile \$prefix/grub.cfg
	END
	mkfs.fat -F 32 -n ESP --offset 2048 "$work/disk" $((ESP_MIB << 10))
	MTOOLS_SKIP_CHECK=1 mcopy -s -i "$work/disk@@$start" "$work/esp/EFI" ::
	mke2fs -q -t ext4 -U $ROOT_UUID -d "$work/root" -E offset=$((start + esp)) "$work/disk" ${ROOT_MIB}M
}

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

packages=linux-image-arm64,systemd-sysv,udev,dbus,kexec-tools,grub-efi-arm64,initramfs-tools,e2fsprogs
step "mmdebstrap: an arm64 Debian $release, emulated: some minutes" system "$packages"
configure "$work/root"
step "making its disk" disk
step "its first boot, which configures GRUB" first_boot
mv "$work/disk" "$output"
rm -rf "$work"
