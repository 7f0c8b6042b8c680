#!/usr/bin/env bash
# Cluster DNS at the address that the kubelets hand to pods.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
"$here/../../deploy/images/pack.sh" localhost/coredns:1 "$images/coredns.tar" "$bin/coredns" -- /coredns -conf /etc/coredns/Corefile
"$here/cluster" load "$images/coredns.tar"
sed "s/SERVICE_NET/$service_net/" "$here/coredns/coredns.yaml" | "$here/cluster" run kubectl apply -f - >/dev/null
"$here/cluster" run kubectl -n kube-system rollout status deployment/coredns --timeout=60s
