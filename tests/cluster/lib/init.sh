#!/usr/bin/env bash
# First process of the cluster's pid namespace: starts every server, then reaps.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib/settings.sh"
nodes=$1
pki=$state/pki
export PATH=$bin:$PATH

start() { # start LOG NETNS CMD…
  local log=$state/log/$1.log netns=$2; shift 2
  nsenter --net="$netns" -- "$@" >>"$log" 2>&1 &
}

# The same for a server that 'cluster hold' may end and 'cluster release' start again.
keep() { # keep LOG NETNS CMD…
  local hold=$state/hold/$1 log=$state/log/$1.log netns=$2 pid; shift 2
  while :; do
    nsenter --net="$netns" -- "$@" >>"$log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null && [ ! -e "$hold" ]; do sleep 0.1; done
    kill -KILL $pid 2>/dev/null
    wait $pid || true
    while [ -e "$hold" ]; do sleep 0.1; done
  done &
}

# Names of network namespaces are found under /run, which is replaced below.
exec {control_net}<"/run/netns/$name"
declare -A net; net[1]=/proc/self/fd/$control_net
for ((i = 2; i <= nodes; i++)); do
  exec {fd}<"/run/netns/$name-$i"
  net[$i]=/proc/self/fd/$fd
done
mount --make-rshared /
mount --bind "$state/run" /run
mount --bind "$state/varlib" /var/lib
mount --bind "$state/varlog" /var/log

start etcd "${net[1]}" etcd --data-dir "$state/etcd" --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --logger zap --log-level warn

keep kube-apiserver "${net[1]}" kube-apiserver \
  --etcd-servers=http://127.0.0.1:2379 \
  --advertise-address="$node_net.1" --secure-port=6443 --service-cluster-ip-range="$service_net.0.0/16" \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
  --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$pki/service-account.key" --service-account-signing-key-file="$pki/service-account.key" \
  --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" --kubelet-client-key="$pki/apiserver-kubelet-client.key" \
  --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
  --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key"

until nsenter --net="${net[1]}" -- kubectl --kubeconfig "$state/admin.kubeconfig" get --raw /readyz; do
  sleep 0.2
done >/dev/null 2>&1

keep kube-controller-manager "${net[1]}" kube-controller-manager \
  --kubeconfig="$state/kube-controller-manager.kubeconfig" --leader-elect=false --bind-address=127.0.0.1 \
  --use-service-account-credentials --service-account-private-key-file="$pki/service-account.key" \
  --root-ca-file="$pki/ca.crt" --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
  --horizontal-pod-autoscaler-sync-period="${HPA_SYNC:-5s}" \
  --horizontal-pod-autoscaler-downscale-stabilization="${HPA_DOWNSCALE:-5m}"

keep kube-scheduler "${net[1]}" kube-scheduler \
  --kubeconfig="$state/kube-scheduler.kubeconfig" --leader-elect=false --bind-address=127.0.0.1

for ((i = 1; i <= nodes; i++)); do
  node=$state/node-$i
  for c in /sys/fs/cgroup/*/tasks; do # cgroup v1: one tree for each controller
    mkdir -p "${c%/tasks}/$name/node-$i"
  done
  for f in cpuset.cpus cpuset.mems; do # these do not inherit
    for d in "$name" "$name/node-$i"; do
      [ ! -e /sys/fs/cgroup/cpuset/$f ] || cat /sys/fs/cgroup/cpuset/$f >"/sys/fs/cgroup/cpuset/$d/$f"
    done
  done
  [ ! -e /sys/fs/cgroup/cgroup.controllers ] || mkdir -p "/sys/fs/cgroup/$name/node-$i" # cgroup v2
  mkdir -p "$node/cni"
  export name state node i node_net pod_net service_net
  for t in containerd.toml kubelet.yaml kube-proxy.yaml cni/10-pods.conflist; do
    (set -a; eval "cat <<EOF
$(<"$here/lib/node/$(basename "$t")")
EOF") >"$node/$t"
  done
  start "containerd-$i" "${net[$i]}" containerd --config "$node/containerd.toml"
  start "kube-proxy-$i" "${net[$i]}" kube-proxy --config "$node/kube-proxy.yaml" --hostname-override "node-$i"
  until [ -S "$node/containerd.sock" ]; do sleep 0.1; done
  start "kubelet-$i" "${net[$i]}" kubelet --config "$node/kubelet.yaml" \
    --kubeconfig "$node/kubelet.kubeconfig" --root-dir "$node/kubelet" --cert-dir "$node/kubelet-pki" \
    --hostname-override "node-$i" --node-ip "$node_net.$i"
done

wait
