#!/usr/bin/env bash
# Gives a session whatever libFuzzer thinks of, for some seconds: fleet-rsync/fuzz/run.sh [SECONDS] (60).
#
# What `cargo fuzz` does without the address sanitizer, which needs a nightly compiler: fleet-rsync has no unsafe code.
# What was found to lead somewhere is kept in the target folder, and gone on from. An input that fails is printed, and
# kept there as crash-*: run the program that is named on it to see it fail again.
set -euo pipefail
cd "$(dirname "$0")"

host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-../../target}/fuzz
coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares)
# With --target, so that programs that are run to compile are not made for the fuzzer too.
RUSTFLAGS="${coverage[*]} --cfg fuzzing" cargo build --release --target "$host" --target-dir "$target"
mkdir -p "$target/corpus"
"$target/$host/release/session" "$target/corpus" -artifact_prefix="$target/" -max_len=65536 -max_total_time="${1:-60}" \
    -print_final_stats=1 -verbosity=0
