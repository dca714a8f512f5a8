#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The host tests of the monitor under Miri, which sees undefined behaviour. It comes with rustup alone:
# `rustup toolchain install nightly --component miri --component rust-src'.
set -eu
cd "$(dirname "$0")/.."
cargo +nightly miri --version >/dev/null 2>&1 || {
	echo 'error: there is no Miri: "rustup toolchain install nightly --component miri rust-src"' >&2
	exit 1
}
# Tests that go through millions of random cases would take days here.
MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test -p baton-core -p baton-abi --lib \
	--target-dir "${CARGO_TARGET_DIR:-$PWD/target}/miri" -- \
	--skip mutation --skip kallsyms --skip sites --skip random --skip shares --skip of_many_callers "$@"
