#!/usr/bin/env bash
# All figures of bench/README.md, in one run on an idle machine. Raw output goes to bench/results/.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || apt-get install -y -q wrk
bench/guests/setup.sh
cargo build --locked --release --workspace --bins
target=${CARGO_TARGET_DIR:-target}/release
"$target/compare" "$@"
for bench in coldstart density neighbours; do
  "$target/$bench"
done
mkdir -p bench/results
for bench in route admit swap; do
  cargo bench --locked --package penstock-router --bench "$bench" | tee "bench/results/$bench.txt"
done
