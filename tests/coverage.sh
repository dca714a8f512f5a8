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
program=$("$cargo" host test -p baton --lib --target-dir "$OUT" --no-run --message-format=json |
	sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
"$program" --quiet >/dev/null
"$bin/llvm-profdata" merge -sparse "$OUT"/profiles/*.profraw -o "$OUT/all.profdata"
set -- -instr-profile="$OUT/all.profdata" --ignore-filename-regex='/(tests|sample|synthetic|fake|mutation)(/|\.rs$)|/registry/|/rustc' "$program"
"$bin/llvm-cov" show --format=html --output-dir="$OUT/html" "$@" 2>/dev/null
"$bin/llvm-cov" show --show-line-counts-or-regions "$@" >"$OUT/lines.txt" 2>/dev/null
"$bin/llvm-cov" report "$@" --use-color=false | awk -v here="$PWD/" '
	/^Filename/ { printf "%-44s %8s %8s %8s\n", "file", "lines", "missed", "covered" }
	/\.rs|^TOTAL/ { sub(here, "", $1); printf "%-44s %8s %8s %8s\n", $1, $8, $9, $10 }'
echo "  $OUT/html/index.html"
