#!/usr/bin/env bash
# Build the pause image (once) and print its tar's path.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
tar=$images/pause.tar
if [ ! -s "$tar" ]; then
  tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
  gcc -Os -static -s -o "$tmp/pause" "$here/images/pause.c"
  "$here/../../deploy/images/pack.sh" localhost/pause:1 "$tar" "$tmp/pause" -- /pause
fi
echo "$tar"
