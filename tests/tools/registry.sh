#!/bin/sh
# Prints the path of a real OCI registry (CNCF distribution), built from the Go module proxy on first use and kept in the
# user's cache folder afterwards. Needs Go. Set PENSTOCK_TEST_REGISTRY to use one of your own instead.
set -eu

version=v3.1.2
bin=${PENSTOCK_CACHE:-$HOME/.cache/penstock}/bin
registry=$bin/registry-$version

if [ ! -x "$registry" ]; then
  command -v go >/dev/null || {
    echo "registry.sh: go is not installed; install it or set PENSTOCK_TEST_REGISTRY to a registry binary" >&2
    exit 1
  }
  mkdir -p "$bin"
  # A folder of its own, then a rename: two test runs may build at the same time.
  work=$(mktemp -d "$bin/.registry.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  GOBIN=$work GOFLAGS=-mod=mod CGO_ENABLED=0 go install "github.com/distribution/distribution/v3/cmd/registry@$version" >&2
  mv "$work/registry" "$registry"
fi
echo "$registry"
