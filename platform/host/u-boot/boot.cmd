# SPDX-License-Identifier: Apache-2.0
# Starts Baton with its guest by booti. What stands above this is the board's and the guest's:
# addresses, command lines. The files are searched beside this script, on a disk or a TFTP server.

if test "${devtype}" = dhcp; then
	setenv fetch tftpboot
	setenv prefix
else
	setenv fetch "load ${devtype} ${devnum}:${distro_bootpart}"
fi

if ${fetch} ${kernel_addr} ${prefix}Image; then
	setenv kernel_size ${filesize}
else
	echo "Baton: no guest kernel: ${fetch} ${prefix}Image"
	exit
fi
setenv initrd_size
if ${fetch} ${initrd_addr} ${prefix}initrd; then
	setenv initrd_size ${filesize}
fi
# Last, so that nothing is loaded over the one who checks that nothing is loaded over another.
if ${fetch} ${monitor_addr} ${prefix}baton.img; then
	echo "Baton: kernel 0x${kernel_size} bytes at 0x${kernel_addr}"
else
	echo "Baton: no monitor: ${fetch} ${prefix}baton.img"
	exit
fi

# The nodes need room: U-Boot's tree may have none, and must not grow over what lies behind it.
fdt addr ${tree}
fdt move ${tree} ${tree_addr}
fdt resize 2000

fdt set /chosen "#address-cells" <0x2>
fdt set /chosen "#size-cells" <0x2>
fdt mknod /chosen module@${kernel_addr}
fdt set /chosen/module@${kernel_addr} compatible "multiboot,kernel" "multiboot,module"
fdt set /chosen/module@${kernel_addr} reg <0x0 0x${kernel_addr} 0x0 0x${kernel_size}>
fdt set /chosen/module@${kernel_addr} bootargs "${kernel_args}"
if test -n "${initrd_size}"; then
	fdt mknod /chosen module@${initrd_addr}
	fdt set /chosen/module@${initrd_addr} compatible "multiboot,ramdisk" "multiboot,module"
	fdt set /chosen/module@${initrd_addr} reg <0x0 0x${initrd_addr} 0x0 0x${initrd_size}>
fi

setenv bootargs "${monitor_args}"
booti ${monitor_addr} - ${tree_addr}
