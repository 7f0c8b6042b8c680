#!/usr/bin/env bash
# Pack the stand-in workload (with a shell for 'kubectl exec') and print its tar's path.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
"$here/../../deploy/images/pack.sh" localhost/webecho:1 "$images/webecho.tar" "$bin/webecho" /bin/busybox /bin/busybox:/bin/sh -- /webecho
echo "$images/webecho.tar"
