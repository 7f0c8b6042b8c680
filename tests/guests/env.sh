# Sourced by every guest script: where the tools live, and how cargo is called. No output, no side effects but variables.
# shellcheck shell=bash disable=SC2034
guests_home=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}/guests
guests_target=$guests_home/target

wasm_tools_wheel=1.262.0.0
wasmtime_wheel=49.0.4   # holds wasmtime 49.0.3
componentize_qjs_version=0.4.5
esbuild_version=0.28.2

# guest_cargo DIR ARG...: Debian's cargo and rustc by path (rustup's come first in PATH), in DIR.
# An outer cargo's settings (this may run below `cargo test`) must not leak in: a changed RUSTFLAGS alone rebuilds std.
guest_cargo() {
  (cd "$1" && shift && env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u RUSTUP_TOOLCHAIN -u CARGO -u RUSTC_WRAPPER \
    -u RUSTC_WORKSPACE_WRAPPER -u CARGO_BUILD_TARGET CARGO_TARGET_DIR="$guests_target" \
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "$@")
}

# guest_build DIR [ARG...]: release core modules of the workspace in DIR, std included (-Zbuild-std, let in by RUSTC_BOOTSTRAP).
# The settings are here and not in the manifests, so that those stay ordinary: with rustup's wasm32-wasip2 target,
# plain cargo builds them too. trim-paths keeps the building machine's paths out of panic messages.
guest_build() {
  local dir=$1; shift
  guest_cargo "$dir" build "$@" --locked --release --jobs "${GUESTS_JOBS:-2}" --target wasm32-unknown-unknown \
    -Zbuild-std=std,panic_abort -Ztrim-paths --config 'profile.release.trim-paths="all"' \
    --config 'target.wasm32-unknown-unknown.linker="wasm-ld"'
}

wasm_tools() { "$guests_home/bin/wasm-tools" "$@"; }

# guest_component CRATE OUT.wasm: wraps the core module that guest_build left.
guest_component() {
  wasm_tools component new "$guests_target/wasm32-unknown-unknown/release/${1//-/_}.wasm" -o "$2"
}

# guest_crate DIR CRATE: the folder of a dependency of the workspace in DIR. The wasip* crates ship WASI's WIT files.
guest_crate() {
  guest_cargo "$1" metadata --locked --format-version 1 | python3 -c '
import json, os, sys
print(next(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]))' "$2"
}

# guest_clean DIR: fails if a component in DIR holds a path of this machine.
guest_clean() {
  local found
  found=$(grep -laE "$HOME/|/usr/(src|lib|share)/|/tmp/|$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/" "$1"/*.wasm || true)
  if [ -n "$found" ]; then
    echo "paths of this machine in: $found" >&2
    return 1
  fi
  ls -l "$1"/*.wasm
}
