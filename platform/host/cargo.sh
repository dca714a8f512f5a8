#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs cargo of the toolchain that can build for aarch64-unknown-none-softfloat.
#
#   cargo.sh host COMMAND [ARGUMENT...]     for this machine
#   cargo.sh target COMMAND [ARGUMENT...]   for the bare machine
#   cargo.sh linux COMMAND [ARGUMENT...]    for arm64 Linux, linked statically by Debian's cross compiler
#   cargo.sh which                          says which toolchain it is; fails if there is none
#
# A cargo in the PATH is taken if its rustc has the target (`rustup target add`), else Debian's in
# /usr/bin with the standard library's source, which a rustup in the PATH would hide.
set -eu

TARGET=aarch64-unknown-none-softfloat
LINUX=aarch64-unknown-linux-gnu
# The workspace's rust-version, 1.MINOR.
MINOR=95

# new_enough RUSTC
new_enough() {
	minor=$("$1" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
	[ "${minor:-0}" -ge "$MINOR" ]
}

if command -v cargo >/dev/null && new_enough rustc &&
	[ -d "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib" ] &&
	cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; then
	kind='the PATH'
	std=
	linux_std=
elif [ -x /usr/bin/cargo ] && new_enough /usr/bin/rustc &&
	[ -f /usr/lib/rustlib/src/rust/library/core/src/lib.rs ] &&
	[ -x /usr/bin/cargo-clippy ] && [ -x /usr/bin/cargo-fmt ]; then
	kind='/usr/bin, with the standard library from source'
	std='-Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem,optimize_for_size'
	linux_std='-Zbuild-std=std,panic_abort'
	# Cargo looks for its subcommands in the PATH, and in ~/.cargo/bin first of all unless that is
	# in the PATH too.
	PATH=/usr/bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
	RUSTC=/usr/bin/rustc
	RUSTDOC=/usr/bin/rustdoc
	export PATH RUSTC RUSTDOC
else
	echo 'error: no Rust toolchain that can build for the bare machine: run "make setup"' >&2
	exit 1
fi

mode=$1
shift
case $mode in
which)
	echo "Rust $(${RUSTC:-rustc} --version | cut -d' ' -f2) of $kind"
	;;
host)
	exec cargo "$@"
	;;
target)
	[ -z "$std" ] || export RUSTC_BOOTSTRAP=1
	command=$1
	shift
	# shellcheck disable=SC2086 # $std is two words, or none
	exec cargo "$command" --target $TARGET $std "$@"
	;;
linux)
	[ -z "$linux_std" ] || export RUSTC_BOOTSTRAP=1
	[ -n "$linux_std" ] || [ -d "$(rustc --print sysroot)/lib/rustlib/$LINUX/lib" ] || {
		echo "error: the Rust toolchain has no $LINUX: rustup target add $LINUX" >&2
		exit 1
	}
	# Not in .cargo/config.toml: on arm64 the host's own programs are of this target too.
	export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
	export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static'
	command=$1
	shift
	# shellcheck disable=SC2086 # $linux_std is two words, or none
	exec cargo "$command" --target $LINUX $linux_std "$@"
	;;
*)
	echo "usage: cargo.sh host|target|linux|which [COMMAND [ARGUMENT...]]" >&2
	exit 2
	;;
esac
