#!/usr/bin/env bash
# Packs the operator and the host into images, without a container engine.
# usage: build.sh BINARIES OUT     BINARIES: a folder such as target/release; OUT: where the two tars go
# The images are localhost/penstock-{operator,host}:TAG, with TAG from $TAG or the workspace's version.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
binaries=$1 out=$2
tag=${TAG:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml")}
# Roots for registries that speak TLS.
roots=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
for program in operator host; do
  file=$binaries/penstock-$program
  [ -x "$file" ] || { echo "build.sh: $file is missing: build it with \`cargo build --release --bins\`" >&2; exit 1; }
  # Line tables are for machines that build; backtraces keep their names.
  strip --strip-debug -o "$work/penstock-$program" "$file"
  "$here/pack.sh" "localhost/penstock-$program:$tag" "$out/penstock-$program.tar" \
    "$work/penstock-$program:/usr/bin/penstock-$program" "$roots:/etc/ssl/certs/ca-certificates.crt" \
    -- "/usr/bin/penstock-$program"
  echo "$out/penstock-$program.tar"
done
