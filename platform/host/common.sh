# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts beside it: where things are kept, and how a step is shown.
# shellcheck shell=sh

# Messages of apt and others are matched and logged: keep them in one language.
export LC_ALL=C

cache=${BATON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/baton}
# The Debian release that kernel and userland of the guest come from.
release=${BATON_RELEASE:-bookworm}

die() {
	echo "error: $*" >&2
	exit 1
}

# read_board FOLDER: sets what is particular to a board that U-Boot starts.
read_board() {
	[ -f "$1/board.conf" ] ||
		die "${1##*/} has no board.conf; that of platform/qemu-virt says what is in one"
	. "$1/board.conf"
}

# step TEXT COMMAND...: says what is being done, and shows the command's output only if it fails.
step() {
	printf '  %s\n' "$1"
	shift
	mkdir -p "$cache"
	step_log=$(mktemp "$cache/step.XXXXXX.log")
	if "$@" >"$step_log" 2>&1 </dev/null; then
		rm -f "$step_log"
	else
		step_status=$?
		cat "$step_log" >&2
		rm -f "$step_log"
		die "\`$*' failed with status $step_status; its output is above"
	fi
}
