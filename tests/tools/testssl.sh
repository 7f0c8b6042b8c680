#!/bin/sh
# Prints the path of testssl.sh, which looks at a TLS server as an auditor would. Debian has it; installed on first use, with
# what it calls. Needs root for that, and only for that.
set -eu

if ! command -v testssl >/dev/null; then
  {
    apt-get update -q
    apt-get install -q -y --no-install-recommends testssl.sh
  } >&2
fi
command -v testssl
