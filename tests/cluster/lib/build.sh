#!/usr/bin/env bash
# Build the cluster's programs with Go into the cache; what did not change is not built again.
# usage: build.sh [core|coredns|helm|keda]…   (default: core coredns)
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
mkdir -p "$bin"
export CGO_ENABLED=0 GOFLAGS="-trimpath -mod=readonly -buildvcs=false"
minor=$(cut -d. -f2 <<<"$kube_version")

build() { # build MODULE_DIR NAME PACKAGE [LDFLAGS] ; skipped while nothing it depends on changed
  local stamp
  stamp=$( (go version; echo "$@"; cd "$here/$1"; cat go.mod go.sum; cat "$3"/*.go 2>/dev/null || true) | sha256sum)
  [ -x "$bin/$2" ] && [ "$stamp" = "$(cat "$bin/.$2.stamp" 2>/dev/null)" ] && return
  echo "building $2"
  (cd "$here/$1" && go build -ldflags "-s -w ${4:-}" -o "$bin/$2" "$3")
  echo "$stamp" >"$bin/.$2.stamp"
}

core() {
  local flags="" p
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $p.gitVersion=v$kube_version -X $p.gitMajor=1 -X $p.gitMinor=$minor"
    flags+=" -X $p.gitTreeState=clean -X $p.gitCommit=v$kube_version"
  done
  build tools kubebox ./kubebox "$flags"
  for p in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -sf kubebox "$bin/$p"
  done
  build tools webecho ./webecho
}

helm() {
  local flags p
  flags="-X helm.sh/helm/v3/internal/version.version=v$helm_version"
  for p in chartutil lint/rules; do # charts ask 'helm template' which Kubernetes it speaks for
    flags+=" -X helm.sh/helm/v3/pkg/$p.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$p.k8sVersionMinor=$minor"
  done
  build tools helm helm.sh/helm/v3/cmd/helm "$flags"
}

[ $# -gt 0 ] || set -- core coredns
for what; do
  case $what in
    core | helm) "$what" ;;
    coredns) build coredns coredns . ;;
    keda)
      for program in operator adapter webhooks; do
        build keda "keda-$program" "github.com/kedacore/keda/v2/cmd/$program"
      done ;;
    *) echo "build what? $what" >&2; exit 2 ;;
  esac
done
