#!/usr/bin/env bash
# Starts a real cluster, installs Penstock as deploy/ describes it, and runs a command in the cluster's network.
# usage: e2e.sh [--keep] [--built] [--nodes N] [--release] [-- COMMAND...]   (default: the scenarios of tests/tests/e2e.rs)
# Without a COMMAND, the demonstrations of autoscaling are left out: make demo-autoscale runs them, with KEDA too.
# --keep leaves the cluster up; another run then only loads new images and goes on. --built takes the binaries that are there.
set -euo pipefail
cd "$(dirname "$0")/.."
export PENSTOCK_CACHE=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}
cluster=$PWD/tests/cluster/cluster
keep='' built='' nodes=2 profile=debug
while [ $# -gt 0 ]; do
  case $1 in
    --keep) keep=1 ;;
    --built) built=1 ;;
    --nodes) nodes=$2; shift ;;
    --release) profile=release ;;
    --) shift; break ;;
    *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ $# -gt 0 ] || set -- cargo test --locked --offline --workspace --test e2e -- --ignored --test-threads 1 --nocapture --skip autoscale::

flags=(); [ $profile = debug ] || flags=(--release)
[ -n "$built" ] || cargo build --locked --workspace --all-targets "${flags[@]}"
target=${CARGO_TARGET_DIR:-$PWD/target}/$profile

if [ -z "$keep" ] || [ "$("$cluster" status | head -1)" = down ]; then
  "$cluster" build
  "$cluster" down
  [ -n "$keep" ] || trap '"$cluster" down' EXIT
  echo "== the cluster"
  "$cluster" up --nodes "$nodes" >/dev/null
fi

if [ "$nodes" -gt 0 ]; then
  images=$PENSTOCK_CACHE/cluster/images
  registry=${PENSTOCK_TEST_REGISTRY:-$(tests/tools/registry.sh)}
  deploy/images/pack.sh localhost/registry:1 "$images/registry.tar" "$registry:/registry" -- /registry serve /etc/registry/config.yml
  TAG=0.1.0 deploy/images/build.sh "$target" "$images" >/dev/null
  "$cluster" load "$images"/{registry,penstock-operator,penstock-host}.tar
  "$cluster" run kubectl get deployment -n kube-system coredns >/dev/null 2>&1 || "$cluster" addon coredns
fi

echo "== Penstock"
"$cluster" run kubectl apply --server-side -f deploy/crds >/dev/null
"$cluster" run kubectl wait --for=condition=Established --timeout=60s -f deploy/crds >/dev/null
if [ "$nodes" -eq 0 ]; then
  # Nothing runs there; a test starts what it needs by itself.
  "$cluster" run kubectl apply -f deploy/namespace.yaml -f deploy/rbac.yaml >/dev/null
else
  "$cluster" run kubectl apply --server-side -k tests/cluster/penstock >/dev/null
fi
if [ "$nodes" -gt 0 ]; then
  # The tag stays the same, the image may not.
  [ -z "$keep" ] || "$cluster" run kubectl -n penstock-system delete pods --all --wait=false >/dev/null
  "$cluster" run kubectl -n registry rollout status deployment/registry --timeout=120s
  "$cluster" run kubectl -n penstock-system rollout status deployment/penstock-operator --timeout=120s
  "$cluster" run kubectl -n penstock-system rollout status daemonset/penstock-host --timeout=120s
fi

echo "== $*"
"$cluster" run "$@"
