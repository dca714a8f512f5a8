#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How much of what the host can test its tests go through: a table by file, and all lines in HTML.
set -eu
cd "$(dirname "$0")/.."
OUT=${CARGO_TARGET_DIR:-$PWD/target}/coverage
cargo=platform/host/cargo.sh

# The profile's format is that of the compiler's LLVM.
rustc=rustc
case $("$cargo" which) in *' of /usr/bin,'*) rustc=/usr/bin/rustc ;; esac
llvm=$("$rustc" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
bin=/usr/lib/llvm-$llvm/bin
if ! [ -x "$bin/llvm-cov" ]; then
	{ apt-get update && apt-get install --yes --no-install-recommends "llvm-$llvm"; } >/dev/null || {
		echo "error: llvm-profdata and llvm-cov of LLVM $llvm are needed" >&2
		exit 1
	}
fi

rm -rf "$OUT/profiles"
export RUSTFLAGS=-Cinstrument-coverage LLVM_PROFILE_FILE="$OUT/profiles/%m-%p.profraw"
programs=$("$cargo" host test -p baton -p baton-core --lib --target-dir "$OUT" --no-run --message-format=json |
	sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
objects=
for program in $programs; do
	"$program" --quiet >/dev/null
	objects="$objects ${objects:+-object} $program"
done
"$bin/llvm-profdata" merge -sparse "$OUT"/profiles/*.profraw -o "$OUT/all.profdata"
# shellcheck disable=SC2086 # a word for each program
set -- -instr-profile="$OUT/all.profdata" --ignore-filename-regex='/(tests|sample|synthetic|fake|mutation)(/|\.rs$)|/registry/|/rustc' $objects
"$bin/llvm-cov" show --format=html --output-dir="$OUT/html" "$@" 2>/dev/null
"$bin/llvm-cov" show --show-line-counts-or-regions "$@" >"$OUT/lines.txt" 2>/dev/null
"$bin/llvm-cov" report "$@" --use-color=false | awk -v here="$PWD/" '
	/^Filename/ { printf "%-44s %8s %8s %8s\n", "file", "lines", "missed", "covered" }
	/\.rs|^TOTAL/ { sub(here, "", $1); printf "%-44s %8s %8s %8s\n", $1, $8, $9, $10 }'
echo "  $OUT/html/index.html"
