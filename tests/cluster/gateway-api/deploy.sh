#!/usr/bin/env bash
# Gateway API's definitions, from its Go module: the experimental ones, which have fields such as `retry` that the standard ones lack.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
fetch() { (cd / && GOFLAGS=-mod=mod go mod download -json "sigs.k8s.io/gateway-api@v$gateway_api_version"); }
# What went wrong is in the answer, on standard output. Asked again, as networks fail at times.
module=$(fetch) || module=$(sleep 2; fetch) || { echo "gateway-api v$gateway_api_version: $module" >&2; exit 1; }
[ "$(jq -r .Sum <<<"$module")" = "$gateway_api_sum" ] || { echo "gateway-api v$gateway_api_version is not what it was" >&2; exit 1; }
"$here/cluster" run kubectl apply --server-side -k "$(jq -r .Dir <<<"$module")/config/crd/experimental" >/dev/null
"$here/cluster" run kubectl wait --for=condition=Established --timeout=60s crd/{httproutes,grpcroutes,referencegrants}.gateway.networking.k8s.io >/dev/null
