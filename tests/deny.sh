#!/bin/sh
# Licences, sources and versions of all crates that are depended on (deny.toml). The advisories are
# left out unless asked for, as they are fetched from a git repository: ADVISORIES=1.
set -eu
cd "$(dirname "$0")/.."
TOOLS=${CARGO_TARGET_DIR:-$PWD/target}/tools
VERSION=0.20.2

# Compiled once, in some minutes, with what of it is needed.
"$TOOLS/bin/cargo-deny" --version 2>/dev/null | grep -qx "cargo-deny $VERSION" ||
	platform/qemu-virt/cargo.sh host install --quiet --locked --no-default-features --root "$TOOLS" \
		--target-dir "$TOOLS/build" cargo-deny --version "$VERSION"
checks='bans licenses sources'
[ -z "${ADVISORIES:-}" ] || checks="advisories $checks"
for manifest in Cargo.toml tests/fuzz/Cargo.toml; do
	echo "  $manifest"
	# shellcheck disable=SC2086 # a list of words
	PATH=$TOOLS/bin:$PATH platform/qemu-virt/cargo.sh host deny --manifest-path "$manifest" --locked \
		check --config deny.toml --hide-inclusion-graph $checks
done
