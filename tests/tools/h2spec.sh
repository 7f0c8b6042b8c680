#!/bin/sh
# Prints the path of h2spec, the conformance test of HTTP/2, built from the Go module proxy on first use and kept in the
# user's cache folder afterwards: its modules and their sums are pinned in h2spec/. Needs Go.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=${PENSTOCK_CACHE:-$HOME/.cache/penstock}/bin
stamp=$(cat "$here/h2spec/go.mod" "$here/h2spec/go.sum" | sha256sum | cut -c1-16)
h2spec=$bin/h2spec-$stamp

if [ ! -x "$h2spec" ]; then
  command -v go >/dev/null || {
    echo "h2spec.sh: go is not installed" >&2
    exit 1
  }
  mkdir -p "$bin"
  # A folder of its own, then a rename: two test runs may build at the same time.
  work=$(mktemp -d "$bin/.h2spec.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$here/h2spec" && CGO_ENABLED=0 GOFLAGS="-trimpath -mod=readonly -buildvcs=false" \
    go build -ldflags "-s -w" -o "$work/h2spec" github.com/summerwind/h2spec/cmd/h2spec) >&2
  mv "$work/h2spec" "$h2spec"
fi
echo "$h2spec"
