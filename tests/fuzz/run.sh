#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes what the monitor parses, with libFuzzer and any stable Rust (cargo-fuzz, which takes the
# same folder, needs a nightly one and the network).
#
#   run.sh build                      builds all targets
#   run.sh lint                       clippy, warnings are errors
#   run.sh seeds                      writes the seeds into the corpus
#   run.sh check SECONDS              runs each target over its corpus, then on for SECONDS
#   run.sh fuzz TARGET SECONDS        fuzzes one; what it finds stays in $CORPUS/TARGET
#   run.sh merge TARGET               takes over what $CORPUS/TARGET covers beyond the corpus
#   run.sh list                       names the targets
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
CORPUS=${CORPUS:-$TARGET_DIR/corpus}
HOST=$({ rustc -vV 2>/dev/null || /usr/bin/rustc -vV; } | sed -n 's/^host: //p')
BIN=$TARGET_DIR/$HOST/release

# build COMMAND [ARGUMENT...]
build() {
	command=$1
	shift
	# The flags of cargo-fuzz, but for the sanitizer. For the host by name, so that they do not
	# apply to build scripts.
	RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Cllvm-args=-simplifycfg-branch-fold-threshold=0" \
		platform/host/cargo.sh host "$command" --quiet --release --locked \
		--manifest-path tests/fuzz/Cargo.toml --target "$HOST" --target-dir "$TARGET_DIR" "$@"
}

targets() {
	sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"|\1|p' tests/fuzz/Cargo.toml
}

# fuzz TARGET ARGUMENT...: from the directory where it leaves what it finds.
fuzz() {
	target=$1
	shift
	mkdir -p "$CORPUS/$target" "$TARGET_DIR/found" "tests/fuzz/corpus/$target"
	"$BIN/$target" -timeout=20 -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="$TARGET_DIR/found/$target-" "$@" \
		"$CORPUS/$target" "tests/fuzz/corpus/$target"
}

command=$1
shift
case $command in
build) build build ;;
lint) build clippy -- -D warnings ;;
list) targets ;;
seeds)
	RUSTFLAGS='--cfg fuzzing' platform/host/cargo.sh host run --quiet --locked --bin seeds --features seeds \
		--manifest-path tests/fuzz/Cargo.toml --target-dir "$TARGET_DIR-seeds" tests/fuzz/corpus
	;;
fuzz)
	fuzz "$1" -max_total_time="$2" -print_final_stats=1
	;;
check)
	for target in $(targets); do
		log=$TARGET_DIR/$target.log
		CORPUS=$TARGET_DIR/check
		rm -rf "$CORPUS"
		fuzz "$target" -max_total_time="$1" -print_final_stats=1 >"$log" 2>&1 || {
			cat "$log"
			echo "error: $target: expected no input to fail, saw the one above" >&2
			exit 1
		}
		echo "  $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
	done
	;;
merge)
	# Few and small ones: new code counts, not how often it is run.
	"$BIN/$1" -set_cover_merge=1 -use_counters=0 -max_len="${MAX_LEN:-24}" \
		"tests/fuzz/corpus/$1" "$CORPUS/$1" 2>&1 | sed -n 's/^MERGE-OUTER: .*: /  /p' | tail -n 1
	;;
esac
