#!/usr/bin/env bash
# build.sh [OUT]: all test guests, from source, into OUT (default: components/, the checked-in ones). Run setup.sh first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$here/env.sh"
out=$(mkdir -p "${1:-$here/components}" && cd "${1:-$here/components}" && pwd)
work=$(mktemp -d "$guests_home/wat.XXXXXX")
trap 'rm -rf "$work"' EXIT

guest_build "$here/rust"
for crate in hello-p2 hello-p3 kitchen-p2 kitchen-p3 consumer; do
  guest_component "$crate" "$out/$crate.wasm"
done

# wat NAME WORLD FILE: a component out of a core module by hand and the WIT folder below $work.
wat() {
  wasm_tools component embed "$work/wit" -w "$2" "$3" -o "$work/$1.core.wasm"
  wasm_tools component new "$work/$1.core.wasm" -o "$out/$1.wasm"
}

mkdir -p "$work/wit/deps"
cp "$(guest_crate "$here/rust" wasip2)"/wit/deps/*.wit "$here"/wit/*.wit "$work/wit/deps/"
cat > "$work/wit/world.wit" <<'WIT'
package test:guests;
world hello { import wasi:http/types@0.2.12; import wasi:io/streams@0.2.12; export wasi:http/incoming-handler@0.2.12; }
world orphan { import nobody:offers/this@1.0.0; export wasi:http/incoming-handler@0.2.12; }
WIT
wat hello-wat hello "$here/wat/hello.wat"
# One that keeps the handle of every request it was ever given.
grep -v 'call $drop_request' "$here/wat/hello.wat" > "$work/leaky.wat"
wat leaky hello "$work/leaky.wat"
wat orphan orphan "$here/wat/orphan.wat"
wat provider-a demo:greet/provider "$here/wat/provider.wat"
sed 's/(i32.const 0x61)/(i32.const 0x62)/' "$here/wat/provider.wat" > "$work/provider-b.wat"
wat provider-b demo:greet/provider "$work/provider-b.wat"
# shellcheck disable=SC2016  # $letter is the name of a WebAssembly function
sed 's|(func $letter .*|(import "demo:greet/letters@0.1.0" "letter" (func $letter (result i32)))|' \
  "$here/wat/provider.wat" > "$work/relay.wat"
wat relay demo:greet/relay "$work/relay.wat"
wat letters demo:greet/source "$here/wat/letters.wat"
wat cycle-x demo:cycle/cycle-x "$here/wat/cycle.wat"
sed 's|cycle/y|cycle/Y|; s|ask-y|ask-Y|; s|cycle/x|cycle/y|; s|ask-x|ask-y|; s|cycle/Y|cycle/x|; s|ask-Y|ask-x|' \
  "$here/wat/cycle.wat" > "$work/cycle-y.wat"
wat cycle-y demo:cycle/cycle-y "$work/cycle-y.wat"
for name in empty core; do
  wasm_tools parse "$here/wat/$name.wat" -o "$out/$name.wasm"
done
guest_clean "$out"
