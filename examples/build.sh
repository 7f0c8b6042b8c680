#!/usr/bin/env bash
# build.sh [OUT]: installs what it needs and builds the examples' components from source. With OUT they go there, and
# not over the checked-in ones in */components.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/../tests/guests/setup.sh" --js
# shellcheck source-path=SCRIPTDIR source=../tests/guests/env.sh
. "$here/../tests/guests/env.sh"
quickstart=$here/quickstart
out=${1:-$quickstart/components}
out=$(mkdir -p "$out" && cd "$out" && pwd)
work=$(mktemp -d "$guests_home/examples.XXXXXX")
trap 'rm -rf "$work"' EXIT

guest_build "$quickstart/src"
guest_component page "$out/page.wasm"
guest_component api "$out/api.wasm"

# The service in TypeScript. The WIT files of WASI 0.3 are those that the Rust crate ships.
mkdir -p "$work/wit/deps"
cp "$quickstart/src/js/world.wit" "$work/wit/"
cp "$(guest_crate "$quickstart/src" wasip3)"/wit/deps/*.wit "$work/wit/deps/"
"$guests_home/js/node_modules/.bin/esbuild" "$quickstart/src/js/handler.ts" --bundle --format=esm --target=es2022 \
  '--external:wasi:*' --outfile="$work/handler.js" --log-level=error
# In its folder: the engine may keep the names that it is called with.
(cd "$work" && "$guests_home/js/node_modules/.bin/componentize-qjs" --wit wit --world service --js handler.js --opt-size --output js.wasm)
cp "$work/js.wasm" "$out/js.wasm"
guest_clean "$out"
