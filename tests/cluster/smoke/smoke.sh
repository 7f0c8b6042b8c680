#!/usr/bin/env bash
# Proves that the cluster is a real one. It is up, with at least one node. usage: smoke.sh
# shellcheck disable=SC2317
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cluster=$here/../cluster
passed=0 failed=0
check() { # check WHAT CMD…
  local what=$1; shift
  if "$@" >/tmp/smoke.$$ 2>&1; then echo "ok      $what"; passed=$((passed + 1))
  else echo "FAILED  $what"; sed 's/^/        /' /tmp/smoke.$$ | tail -n 5; failed=$((failed + 1)); fi
}
k() { "$cluster" run kubectl "$@"; }
get() { "$cluster" run curl -sf -m 3 "$@"; }
address() { k get service "$@" -o jsonpath='{.spec.clusterIP}'; }
within() { # within SECONDS CMD… : CMD succeeds before then
  local end=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.3; done
}

test_nodes() {
  "$cluster" load "$("$here/../images/webecho.sh")"
  k apply -f - <"$here/manifests/web.yaml" >/dev/null
  check "deployment rolls out" k rollout status deployment/web --timeout=60s
  web=$(address web) bare=$(address bare)
  all_pods() { [ "$(for _ in {1..30}; do get "http://$web/"; done | cut -d' ' -f1 | sort -u | wc -l)" = 3 ]; }
  check "ClusterIP spreads over 3 pods" within 10 all_pods
  refused() { ! get "http://$bare/"; }
  check "Service without endpoints refuses" refused
  k apply -f - >/dev/null <<EOF
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: bare-1, labels: {kubernetes.io/service-name: bare, endpointslice.kubernetes.io/managed-by: smoke}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [$(k get pod -l app=web -o jsonpath='{.items[0].status.podIP}')], conditions: {ready: true}}]
EOF
  check "hand-made EndpointSlice takes traffic" within 5 get "http://$bare/"
  check "logs" k logs deployment/web
  check "exec, and a pod reaches the Service" k exec deployment/web -- /webecho get "http://$web/"
  "$cluster" run bash -c "end=\$((SECONDS+15)); while [ \$SECONDS -lt \$end ]; do curl -sf -m 3 http://$web/ || echo FAIL; sleep 0.02; done" >/tmp/smoke.load &
  local load=$!
  k set env deployment/web VERSION=v2 >/dev/null
  check "rolling update" k rollout status deployment/web --timeout=60s
  wait $load
  none_lost() { grep -q v1 /tmp/smoke.load && grep -q v2 /tmp/smoke.load && ! grep -q FAIL /tmp/smoke.load; }
  check "no request of $(wc -l </tmp/smoke.load) lost during it" none_lost
}

test_nodes
rm -f /tmp/smoke.*
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
