#!/usr/bin/env bash
# Debian's Prometheus in a pod. It reads the pods behind a headless Service. usage: deploy.sh DNS-NAME PORT
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
[ $# -eq 2 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
program=$(command -v prometheus) || { echo "run 'cluster deps' first" >&2; exit 1; }
"$here/../../deploy/images/pack.sh" localhost/prometheus:1 "$images/prometheus.tar" "$program" -- /prometheus \
  --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/data
"$here/cluster" load "$images/prometheus.tar"
sed "s/TARGET/$1/; s/PORT/$2/" "$here/prometheus/prometheus.yaml" | "$here/cluster" run kubectl apply -f - >/dev/null
# A pod keeps the configuration that it was started with.
"$here/cluster" run kubectl -n monitoring rollout restart deployment/prometheus >/dev/null
"$here/cluster" run kubectl -n monitoring rollout status deployment/prometheus --timeout=60s
