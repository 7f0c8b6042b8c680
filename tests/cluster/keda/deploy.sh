#!/usr/bin/env bash
# KEDA with the manifests of its own module; its images are packed under the names that those ask for.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
[ -x "$bin/keda-operator" ] || { echo "run 'cluster build keda' first" >&2; exit 1; }
# From the module cache, where the build has left it.
source=$(cd "$here/keda" && go mod download -json github.com/kedacore/keda/v2 | jq -r .Dir)
pack() { # pack IMAGE BINARY PATH
  "$here/../../deploy/images/pack.sh" "ghcr.io/kedacore/$1:main" "$images/$1.tar" "$bin/$2:$3" -- "$3"
  "$here/cluster" load "$images/$1.tar"
}
pack keda keda-operator /keda
pack keda-metrics-apiserver keda-adapter /keda-adapter
pack keda-admission-webhooks keda-webhooks /keda-admission-webhooks
# Images are there already, and nobody has to wait for the first probes.
"$bin/kubectl" kustomize "$source/config/default" |
  sed 's/imagePullPolicy: Always/imagePullPolicy: IfNotPresent/; s/initialDelaySeconds: 2[05]/initialDelaySeconds: 2/' |
  "$here/cluster" run kubectl apply --server-side -f - >/dev/null
# The operator makes the certificates; pods that came before them would wait for long before they look again.
"$here/cluster" run kubectl -n keda wait --for=create secret/kedaorg-certs --timeout=120s >/dev/null
"$here/cluster" run kubectl -n keda delete pod -l 'app in (keda-metrics-apiserver,keda-admission-webhooks)' --now >/dev/null
for deployment in keda-operator keda-metrics-apiserver keda-admission; do
  "$here/cluster" run kubectl -n keda rollout status "deployment/$deployment" --timeout=180s
done
"$here/cluster" run kubectl wait --for=condition=Available apiservice/v1beta1.external.metrics.k8s.io --timeout=60s
