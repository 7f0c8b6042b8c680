# shellcheck shell=bash disable=SC2034
# Settings shared by the scripts; each may be overridden from the environment.
name=${CLUSTER_NAME:-penstock}
state=${CLUSTER_STATE:-/tmp/$name.cluster} # short: unix socket paths live here
cache=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}/cluster
bin=$cache/bin
images=$cache/images

kube_version=1.36.3
helm_version=3.21.4
gateway_api_version=1.6.3
gateway_api_sum=h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=

# These addresses exist only inside the network namespaces made by net.sh.
node_net=10.89.0   # node i is $node_net.i
pod_net=10.244     # node i's pods are $pod_net.i.0/24
service_net=10.96  # $service_net.0.0/16

# The kubelet sets these for the whole machine; 'down' puts them back.
kubelet_sysctls=(vm.overcommit_memory vm.panic_on_oom kernel.panic
  kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
