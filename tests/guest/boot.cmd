# SPDX-License-Identifier: Apache-2.0
# How U-Boot starts a Debian by a script: with the kernel's version in a variable, all files in the folder of this
# one, a tree for the board where there is one, and a second way with other names.
setenv bootargs "${bootargs} root=UUID=ba700000-0000-4000-8000-000000000001 ro console=ttyAMA0"
if test -z "${kvers}"; then
	setenv kvers '@VERSION@'
fi
if test -n "${distro_bootpart}"; then
	setenv part ${distro_bootpart}
else
	setenv part 1
fi
setenv tree ${fdtcontroladdr}
if test -e ${devtype} ${devnum}:${part} ${prefix}dtb-${kvers}; then
	load ${devtype} ${devnum}:${part} ${fdt_addr_r} ${prefix}dtb-${kvers} && setenv tree ${fdt_addr_r}
fi

# Both ways differ by the names alone.
load ${devtype} ${devnum}:${part} ${kernel_addr_r} ${prefix}vmlinuz-${kvers} \
&& load ${devtype} ${devnum}:${part} ${ramdisk_addr_r} ${prefix}initrd.img-${kvers} \
&& echo "Starting Debian ${kvers}" \
&& booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${tree}

load ${devtype} ${devnum}:${part} ${kernel_addr_r} ${prefix}vmlinuz \
&& load ${devtype} ${devnum}:${part} ${ramdisk_addr_r} ${prefix}initrd.img \
&& echo "Starting Debian" \
&& booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${tree}
