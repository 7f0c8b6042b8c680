#!/usr/bin/env bash
# Debian's part: container runtime, CNI plugins, netfilter tools. None is started here.
set -euo pipefail
apt-get update -q
# A policy of 101 keeps the packages from starting services of their own.
policy=/usr/sbin/policy-rc.d
[ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; trap 'rm -f $policy' EXIT; }
apt-get install -q -y --no-install-recommends \
  containerd runc containernetworking-plugins iproute2 nftables iptables kmod procps \
  openssl curl jq busybox-static gcc libc6-dev binutils prometheus
