#!/usr/bin/env bash
# check.sh [GUESTS [QUICKSTART]]: the components of both folders do, under the real `wasmtime serve` on loopback, what
# README.md says. Default: the checked-in ones. Run setup.sh first. The last line is 'N passed, N failed'.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$here/env.sh"
PATH="$guests_home/bin:$PATH" exec python3 "$here/check.py" \
  "${1:-$here/components}" "${2:-$here/../../examples/quickstart/components}"
