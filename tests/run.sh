#!/usr/bin/env bash
# Every test, in the order in which a failure is cheapest to find. `make test` calls it; the last line is the verdict.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0 broken=()
step() { # step NAME COMMAND...: runs it, tells how long it took, goes on after a failure
  local name=$1 start=$SECONDS; shift
  echo "== $name"
  if "$@"; then
    passed=$((passed + 1)); echo "== $name: ok, $((SECONDS - start)) s"
  else
    failed=$((failed + 1)); broken+=("$name"); echo "== $name: FAILED after $((SECONDS - start)) s"
  fi
}

# A clone's files are newer than what an earlier one built, so that is built again anyway: without this each run leaves
# some 10 GB of it.
[ -z "${CI:-}" ] || cargo clean --workspace --quiet

step "format" cargo fmt --all --check
step "build" cargo build --locked --workspace --all-targets
export PENSTOCK_TEST_REGISTRY=
step "registry for tests" bash -c 'tests/tools/registry.sh > "${PENSTOCK_CACHE:?}/registry-path"'
PENSTOCK_TEST_REGISTRY=$(cat "$PENSTOCK_CACHE/registry-path" 2>/dev/null || true)
[ -n "$PENSTOCK_TEST_REGISTRY" ] || unset PENSTOCK_TEST_REGISTRY
step "unit, property and scenario tests" cargo test --locked --workspace --no-fail-fast
step "conformance to HTTP/2" make --no-print-directory h2spec
step "TLS as an auditor sees it" make --no-print-directory testssl
step "ten thousand slow clients" make --no-print-directory slow-clients
step "lints" cargo clippy --locked --workspace --all-targets -- -D warnings
step "documentation builds" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
step "model check of admission" env CARGO_TARGET_DIR="$PENSTOCK_CACHE/target-loom" cargo test --locked --release --manifest-path router/loom/Cargo.toml
step "licences and duplicates" make --no-print-directory deny
step "fuzz targets, ${FUZZ_SECONDS:=10} s each" make --no-print-directory fuzz FUZZ_SECONDS="$FUZZ_SECONDS"
step "components rebuilt from source behave the same" make --no-print-directory guests
step "the demonstration" make --no-print-directory demo
step "the cluster's programs" bash -c 'tests/cluster/cluster down && tests/cluster/cluster deps >/dev/null && tests/cluster/cluster build'
step "the cluster is a real one" bash -c 'trap "tests/cluster/cluster down" EXIT; tests/cluster/cluster up --nodes 2 && tests/cluster/smoke/smoke.sh'
step "scenarios on a cluster" tests/e2e.sh
step "the demonstration on a cluster" make --no-print-directory demo-kubernetes

[ $failed -eq 0 ] || printf 'failed: %s\n' "${broken[@]}"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
