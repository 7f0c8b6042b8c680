#!/usr/bin/env bash
# published.sh [OUT]: the HTTP examples of the published crates wasip2, wasip3 and wstd, unmodified, into OUT (default: components/, the
# checked-in ones). Components that this project did not write. Run setup.sh first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$here/env.sh"
out=$(mkdir -p "${1:-$here/components}" && cd "${1:-$here/components}" && pwd)
work=$(mktemp -d "$guests_home/published.XXXXXX")
trap 'rm -rf "$work"' EXIT

# unpack CRATE VERSION: the crate as the registry serves it, into $work/CRATE. Through cargo, which knows where the registry is.
unpack() {
  mkdir -p "$work/fetch-$1/src" && touch "$work/fetch-$1/src/lib.rs"
  printf '[workspace]\n[package]\nname = "fetch"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\n%s = "=%s"\n' "$1" "$2" > "$work/fetch-$1/Cargo.toml"
  guest_cargo "$work/fetch-$1" generate-lockfile --quiet
  cp -r "$(guest_crate "$work/fetch-$1" "$1")" "$work/$1"
  chmod -R u+w "$work/$1"
}

# example CRATE EXAMPLE NAME [CARGO ARGUMENTS]: NAME.wasm out of one example, with the crate's own lock file.
example() {
  local crate=$1 example=$2 name=$3; shift 3
  guest_build "$work/$crate" --example "$example" "$@"
  wasm_tools component new "$guests_target/wasm32-unknown-unknown/release/examples/${example//-/_}.wasm" -o "$out/$name.wasm"
  wasm_tools strip --all "$out/$name.wasm" -o "$out/$name.wasm"
}

unpack wasip2 2.0.1+wasi-0.2.12
example wasip2 http-proxy published-wasip2
unpack wasip3 0.10.0+wasi-0.3.2
example wasip3 http-proxy published-wasip3
example wasip3 http-proxy-compat published-wasip3-compat --features http-compat
# http_server_proxy beside it reads std::env, which this target has none of.
unpack wstd 0.6.7
example wstd http_server published-wstd
ls -l "$out"/published-*.wasm
