# SPDX-License-Identifier: Apache-2.0
# Starts Baton with its guest from a FIT image by bootm. What stands above this is the board's.

setenv from "${devtype} ${devnum}:${distro_bootpart}"
setenv bootargs "${monitor_args}"
if load ${from} ${fit_addr} ${prefix}baton.itb; then
	bootm ${fit_addr}
else
	echo "Baton: no ${prefix}baton.itb on ${from}"
fi
