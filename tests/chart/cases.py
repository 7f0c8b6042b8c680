"""Values, and what must come of them."""

import dataclasses
import typing

from rendered import env, host, need, operator, pods

NO_CRDS = {"crds": {"install": False}}


@dataclasses.dataclass
class Case:
    name: str
    values: dict
    expect: typing.Callable = lambda it: None
    # Leaves the restricted standard on purpose.
    relaxed: bool = False
    release: str = "penstock"
    namespace: str = "penstock-system"
    crds: bool = False


@dataclasses.dataclass
class Refusal:
    name: str
    values: dict
    # What the sentence must say.
    says: str


def groups(*items):
    return {"runtime": {"hostGroups": list(items)}}


def is_(actual, wanted):
    need(actual == wanted, f"it is {actual!r}, and should be {wanted!r}")


def spec_of(rendered, kind, name):
    return rendered.get(kind, name)["spec"]["template"]["spec"]


def names(rendered, kind):
    return sorted(it["metadata"]["name"] for it in rendered.of(kind))


def all_on():
    """Everything that is off by default."""
    return {
        "commonLabels": {"team": "platform"},
        "commonAnnotations": {"example.com/owner": "platform"},
        "global": {
            "image": {"pullSecrets": [{"name": "pull"}]},
            "nats": {"schedulerUrl": "nats://scheduler:4222", "dataUrl": "nats://data:4222", "subjectPrefix": "west",
                     "schedulerCredentials": {"secretName": "scheduler-creds"}, "dataCredentials": {"secretName": "data-creds"}},
            "tls": {"enabled": True, "first": True},
            "certificates": {"caSecretName": "nats-ca", "dataCaSecretName": "data-ca", "operatorCertSecretName": "operator-cert",
                             "runtimeCertSecretName": "runtime-cert", "dataCertSecretName": "data-cert"},
        },
        "namespace": {"name": "penstock-hosts", "create": True},
        "operator": {"watchNamespaces": ["shop", "billing"], "certificateNames": ["operator.example.com"]},
        "runtime": {
            "insecureRegistries": ["registry.example:5000"], "trustedProxies": ["10.244.0.0/16"], "proxyProtocolFrom": ["10.9.0.0/16"],
            "loadReports": True, "maxInstances": 1000, "operatorName": "operator.example.com",
            "sharedCode": {"enabled": True, "volume": {"persistentVolumeClaim": {"claimName": "code"}}, "secretName": "code-key"},
            "hostGroups": [{"name": "default", "service": {"type": "NodePort", "nodePort": 30080, "appProtocol": "http"}},
                           {"name": "big", "replicas": 3, "service": {"name": "big"}}],
        },
        "autoscaling": {"scalerClientCa": {"secretName": "keda-ca"}, "externalMetrics": {"enabled": True}, "keda": {"enabled": True, "clientCertSecretName": "keda-cert"}},
        "networkPolicy": {"egress": {"enabled": True}, "listenersFrom": [{"namespaceSelector": {}}], "controlFrom": [{"namespaceSelector": {}}]},
        "monitoring": {"serviceMonitor": {"enabled": True, "scrapeTimeout": "10s"}, "podMonitor": {"enabled": True, "scrapeTimeout": "10s"},
                       "dashboard": {"enabled": True}, "alerts": {"enabled": True, "interval": "1m"}},
    }


# === what is expected ===

def default(it):
    is_(operator(it)["image"], "localhost/penstock-operator:0.1.0")
    is_(host(it)["image"], "localhost/penstock-host:0.1.0")
    is_(it.get("Deployment", "penstock-operator")["spec"]["replicas"], 2)
    need("nats" not in it.text.lower(), "NATS is asked for")
    need(not it.of("ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap", "Namespace"), "something is on that should be off")
    is_(len(it.of("CustomResourceDefinition")), 6)
    for definition in it.of("CustomResourceDefinition"):
        is_(definition["metadata"]["annotations"], {"helm.sh/resource-policy": "keep"})
    is_(names(it, "PodDisruptionBudget"), ["penstock-operator"])


def watched(it):
    is_(env(operator(it))["PENSTOCK_WATCH_NAMESPACES"], "shop,billing")
    is_(sorted(r["metadata"]["namespace"] for r in it.of("Role")), ["billing", "penstock-system", "shop"])
    is_(sorted(r["metadata"]["namespace"] for r in it.of("RoleBinding")), ["billing", "penstock-system", "shop"])
    wide = {resource for rule in it.get("ClusterRole", "penstock-operator")["rules"] for resource in rule["resources"]}
    is_(wide, {"nodes", "tokenreviews", "customresourcedefinitions"})


def two_groups(it):
    is_(names(it, "DaemonSet"), ["penstock-host-default"])
    is_(names(it, "Deployment"), ["penstock-host-big", "penstock-operator"])
    big = it.get("Deployment", "penstock-host-big")["spec"]
    is_(big["replicas"], 3)
    is_(big["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
    is_(names(it, "PodDisruptionBudget"), ["penstock-host-big", "penstock-operator"])
    is_(host(it, "big")["resources"], {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "8Gi"}})
    is_(host(it)["resources"]["limits"], {"memory": "2Gi"})


def everything_of_a_pod(it):
    spec = spec_of(it, "Deployment", "penstock-host-a")
    for key in ("nodeSelector", "tolerations", "affinity", "dnsConfig", "hostAliases"):
        need(spec.get(key), f"{key} is not there")
    is_((spec["priorityClassName"], spec["runtimeClassName"], spec["schedulerName"], spec["dnsPolicy"]), ("high", "gvisor", "mine", "None"))
    is_(spec["topologySpreadConstraints"][0]["labelSelector"], {"matchLabels": {"own": "yes"}})
    is_([one["name"] for one in spec["initContainers"]], ["before"])
    is_([one["name"] for one in spec["containers"]], ["host", "beside"])
    is_(spec["volumes"][-1], {"name": "more", "emptyDir": {}})
    container = host(it, "a")
    is_(container["volumeMounts"][-1], {"name": "more", "mountPath": "/more"})
    is_(container["lifecycle"], {"preStop": {"sleep": {"seconds": 1}}})
    is_(container["ports"][-1], {"name": "debug", "containerPort": 6060})
    metadata = it.get("Deployment", "penstock-host-a")["spec"]["template"]["metadata"]
    is_((metadata["labels"]["tier"], metadata["annotations"]), ("one", {"a": "b"}))
    is_(it.get("Deployment", "penstock-host-a")["metadata"]["annotations"], {"c": "d"})


def own_environment(it):
    for container, name in ((host(it), "PENSTOCK_DRAIN_DELAY"), (operator(it), "PENSTOCK_WRITERS")):
        found = env(container)
        is_((found["RUST_BACKTRACE"], found[name]), ("1", "mine"))
        is_(container["envFrom"], [{"secretRef": {"name": "more"}}])
        is_(container["args"], ["--log=debug"])


def wasmcloud_file(it):
    is_(env(operator(it))["PENSTOCK_WATCH_NAMESPACES"], "shop")
    is_(env(operator(it))["PENSTOCK_ALLOW_SHARED_HOSTS"], "false")
    is_(operator(it)["imagePullPolicy"], "Always")
    is_(operator(it)["image"], "mirror.example/penstock-operator:0.1.0")
    group = it.get("Deployment", "penstock-host-default")["spec"]
    is_(group["replicas"], 3)
    is_(group["template"]["spec"]["imagePullSecrets"], [{"name": "pull"}])
    own = host(it)
    is_(own["resources"]["limits"], {"cpu": "500m", "memory": "512Mi"})
    is_(env(own)["PENSTOCK_SCHEDULER_NATS_URL"], "nats://other:4222")
    is_(env(own)["PENSTOCK_DATA_NATS_URL"], "nats://data:4222")
    is_((env(own)["RUST_LOG"], own["args"]), ("info", ["--log=info"]))
    is_({p["name"]: p["containerPort"] for p in own["ports"]}["shared"], 9191)
    is_(env(operator(it))["PENSTOCK_SHARED_PORT"], "9191")
    is_(it.get("Service", "penstock-host-default")["spec"]["type"], "ClusterIP")


def wash_host(it):
    own = host(it, "wash")
    is_(own["image"], "ghcr.io/wasmcloud/wash:2.1.0")
    is_(own["args"], ["host", "--host-group=wash", "--scheduler-nats-url=$(PENSTOCK_SCHEDULER_NATS_URL)", "--wasip3"])
    need("readinessProbe" not in own and "livenessProbe" not in own, "it is asked for pages that it does not have")
    volumes = {volume["name"] for volume in spec_of(it, "Deployment", "penstock-host-wash")["volumes"]}
    is_(volumes, {"cache", "secrets", "tmp"})
    is_(it.get("Deployment", "penstock-host-wash")["metadata"]["namespace"], "tenants")
    is_({n["metadata"]["namespace"] for n in it.of("ServiceAccount")}, {"penstock-system", "tenants"})
    is_(env(operator(it))["PENSTOCK_SHARED_PORT"], "8000")
    is_({"PENSTOCK_OPERATOR", "PENSTOCK_TOKEN_FILE"} & env(own).keys(), set())


def nats_with_everything(it):
    for container, sides in ((operator(it), ["SCHEDULER"]), (host(it), ["SCHEDULER", "DATA"])):
        found = env(container)
        for side in sides:
            folder = f"/etc/penstock/nats/{side.lower()}"
            for name, value in (("CREDENTIALS", "credentials"), ("TLS_CA", "ca.crt"), ("TLS_CERTIFICATE", "tls.crt"), ("TLS_KEY", "tls.key")):
                is_(found[f"PENSTOCK_{side}_NATS_{name}"], f"{folder}/{value}")
            is_((found[f"PENSTOCK_{side}_NATS_TLS"], found[f"PENSTOCK_{side}_NATS_TLS_FIRST"]), ("true", "true"))
            need(any(mount["mountPath"] == folder for mount in container["volumeMounts"]), f"{folder} is not mounted")
        is_(found["PENSTOCK_NATS_SUBJECT_PREFIX"], "west")
    need("PENSTOCK_DATA_NATS_URL" not in env(operator(it)), "the operator has no use for components' NATS")


def shared_code(it):
    found = env(host(it))
    is_((found["PENSTOCK_SHARED_CODE_DIR"], found["PENSTOCK_SHARED_CODE_KEY"]), ("/var/cache/penstock-shared", "/var/run/penstock/shared-code/key"))


def monitored(it):
    is_(it.get("ServiceMonitor")["metadata"]["labels"]["release"], "prometheus")
    is_(names(it, "PodMonitor"), ["penstock-host-a", "penstock-host-b"])
    is_(it.get("PodMonitor", "penstock-host-a")["metadata"]["namespace"], "monitoring")


def alerts(it):
    rules = {rule["alert"]: rule for group in it.get("PrometheusRule")["spec"]["groups"] for rule in group["rules"]}
    is_(rules["PenstockWorkloadSheds"]["for"], "10m")
    is_(rules["PenstockWorkloadSheds"]["labels"], {"severity": "warning", "team": "web"})
    need("PenstockBackendEjected" not in rules, "a rule that was taken away is there")
    is_(rules["Mine"]["expr"], "up == 0")
    need(len(rules) > 15, f"only {len(rules)} rules")


def network_egress(it):
    for policy in it.of("NetworkPolicy"):
        is_(policy["spec"]["policyTypes"], ["Ingress", "Egress"])
        need(policy["spec"]["egress"], "nothing may be reached")
    ports = [p["port"] for rule in it.get("NetworkPolicy", "penstock-operator")["spec"]["egress"] for p in rule["ports"]]
    is_(ports, [53, 53, 443, 6443])


def operator_elsewhere(it):
    need(not it.has("Deployment") and not it.has("ClusterRole", "penstock-operator") and not it.has("Pod"), "there is an operator")
    is_(env(host(it))["PENSTOCK_OPERATOR"], "https://operator.example.com:9443")


def cluster_domain(it):
    is_(env(host(it))["PENSTOCK_OPERATOR"], "https://penstock-operator.penstock-system.svc.k8s.example:9443")
    is_(env(operator(it))["PENSTOCK_CERTIFICATE_NAMES"], "x.example,penstock-operator.penstock-system.svc.k8s.example,penstock-autoscaling.penstock-system.svc.k8s.example")


def host_network(it):
    is_(spec_of(it, "DaemonSet", "penstock-host-default")["hostNetwork"], True)
    first = it.get("NetworkPolicy", "penstock-operator")["spec"]["ingress"][0]
    need("from" not in first, "hosts in their nodes' network are shut out")


def dual_stack(it):
    for service in it.of("Service"):
        is_(service["spec"]["ipFamilyPolicy"], "PreferDualStack")
    is_(env(operator(it))["PENSTOCK_CONTROL_ADDRESS"], "[::]:9443")
    is_(env(host(it))["PENSTOCK_ADMIN"], "[::]:8081")
    is_(env(operator(it))["PENSTOCK_LISTENER_ADDRESS"], "[::]")


def other_ports(it):
    is_(env(operator(it))["PENSTOCK_CONTROL_ADDRESS"], "0.0.0.0:19443")
    is_(env(host(it))["PENSTOCK_OPERATOR"], "https://penstock-operator.penstock-system.svc.cluster.local:7443")
    is_(env(operator(it))["PENSTOCK_SHARED_PORT"], "18000")
    is_(operator(it)["livenessProbe"]["httpGet"]["port"], "http-admin")
    rule = it.get("NetworkPolicy", "penstock-host-default")["spec"]["ingress"][0]["ports"]
    is_(rule[0], {"protocol": "TCP", "port": 31000, "endPort": 31999})


def external_metrics(it):
    is_(it.get("APIService")["spec"]["service"], {"name": "penstock-autoscaling", "namespace": "penstock-system", "port": 443})
    is_(names(it, "ClusterRoleBinding"), ["penstock-operator", "penstock-operator-auth-delegator", "penstock-operator-external-metrics"])


def keda(it):
    own = operator(it)
    is_(env(own)["PENSTOCK_SCALER_CLIENT_CA"], "/etc/penstock/scaler-ca/ca.crt")
    is_(own["volumeMounts"][0]["mountPath"], "/etc/penstock/scaler-ca")
    is_(len(it.get("ClusterTriggerAuthentication")["spec"]["secretTargetRef"]), 2)
    is_([rule for rule in it.get("NetworkPolicy", "penstock-operator")["spec"]["ingress"] if rule["ports"][0]["port"] == 9444], [{"ports": [{"protocol": "TCP", "port": 9444}]}])


def test_pod(it):
    pod = it.get("Pod", "penstock-test-join")
    is_(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
    need("wasmcloud.com/name" not in pod["metadata"]["labels"], "workloads would be placed on it")
    is_(pod["metadata"]["labels"]["app.kubernetes.io/component"], "test")
    beside = pod["spec"]["initContainers"][0]
    is_((beside["restartPolicy"], beside["startupProbe"]["httpGet"]), ("Always", {"path": "/readyz", "port": "admin"}))
    policy = it.get("NetworkPolicy", "penstock-operator")["spec"]["ingress"][0]["from"][0]["podSelector"]
    need("test" in policy["matchExpressions"][0]["values"], "it is shut out")


def long_names(it):
    need(all(len(one["metadata"]["name"]) <= 63 for one in it.of("DaemonSet", "Deployment", "Service")), "a name is too long")


POD = {
    "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "wasm", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}},
    "dnsConfig": {"nameservers": ["10.0.0.10"]}, "dnsPolicy": "None", "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a.example"]}],
    "priorityClassName": "high", "runtimeClassName": "gvisor", "schedulerName": "mine",
    "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"own": "yes"}}}],
    "initContainers": [{"name": "before", "image": "x:1", "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}}],
    "extraContainers": [{"name": "beside", "image": "x:1", "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}], "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}, "extraPorts": [{"name": "debug", "containerPort": 6060}],
    "podLabels": {"own": "yes", "tier": "one"}, "podAnnotations": {"a": "b"}, "annotations": {"c": "d"},
}
POD_INGRESS = {key: [{"ports": [{"port": 6060}]}] for key in ("extraOperatorIngress", "extraRuntimeIngress")}
OWN_ENV = {"envFrom": [{"secretRef": {"name": "more"}}], "extraArgs": ["--log=debug"]}
# As somebody may have it who runs wasmCloud's chart.
WASMCLOUD = {
    "global": {"image": {"registry": "mirror.example", "pullSecrets": [{"name": "pull"}]}, "nameOverride": "",
               "nats": {"schedulerUrl": "nats://scheduler:4222", "dataUrl": "nats://data:4222"}, "tls": {"enabled": True},
               "certificates": {"generate": False, "caSecretName": "wasmcloud-ca", "natsCertSecretName": "wasmcloud-nats-tls",
                                "operatorCertSecretName": "wasmcloud-operator-tls", "runtimeCertSecretName": "wasmcloud-runtime-tls",
                                "dataCertSecretName": "wasmcloud-data-tls"}},
    "nats": {"enabled": True, "image": {"tag": "2.11"}},
    "gateway": {"enabled": False},
    "operator": {"image": {"pull_policy": "Always"}, "service": {"type": "ClusterIP"}, "watchNamespaces": ["shop"], "hostNamespaces": ["shop"],
                 "allowSharedHosts": False, "serviceAccount": {"create": True, "name": "", "annotations": {}}},
    "runtime": {"image": {"pull_policy": "IfNotPresent"}, "serviceAccount": {"create": True}, "hostGroups": [
        {"name": "default", "replicas": 3, "service": {"type": "ClusterIP"}, "webgpu": {"enabled": False}, "http": {"enabled": True, "port": 9191},
         "schedulerNatsUrl": "nats://other:4222", "env": [{"name": "RUST_LOG", "value": "info"}], "extraArgs": ["--log=info"],
         "resources": {"requests": {"memory": "64Mi", "cpu": "250m"}, "limits": {"memory": "512Mi", "cpu": "500m"}}}]},
}
WASH = {
    "name": "wash", "protocol": "nats", "kind": "Deployment", "namespace": "tenants", "schedulerNatsUrl": "nats://scheduler:4222",
    "image": {"registry": "ghcr.io", "repository": "wasmcloud/wash", "tag": "2.1.0"}, "http": {"port": 9191},
    "args": ["host", "--host-group=wash", "--scheduler-nats-url=$(PENSTOCK_SCHEDULER_NATS_URL)"], "extraArgs": ["--wasip3"],
    "livenessProbe": None, "readinessProbe": None,
}

CASES = [
    Case("the defaults", {}, default, crds=True),
    Case("another release name", {}, lambda it: is_(names(it, "DaemonSet"), ["edge-penstock-host-default"]), release="edge"),
    Case("another namespace of Helm's", {}, lambda it: is_({o["metadata"].get("namespace") for o in it.of("Service")}, {"wasm"}), namespace="wasm"),
    Case("a namespace beside the release's", {"namespace": {"name": "wasm"}},
         lambda it: is_({o["metadata"]["namespace"] for o in it.objects if "namespace" in o["metadata"]}, {"wasm"})),
    Case("a namespace that is made", {"namespace": {"name": "wasm", "create": True}},
         lambda it: is_(it.get("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")),
    Case("fullnameOverride", {"fullnameOverride": "wasm"}, lambda it: is_(names(it, "Service"), ["wasm", "wasm-autoscaling", "wasm-operator"])),
    Case("nameOverride", {"nameOverride": "wasm"}, lambda it: is_(names(it, "Service"), ["penstock-wasm", "penstock-wasm-autoscaling", "penstock-wasm-operator"])),
    Case("global.fullnameOverride", {"global": {"fullnameOverride": "wasm"}}, lambda it: is_(names(it, "DaemonSet"), ["wasm-host-default"])),
    Case("very long names", groups({"name": "g" * 40}) | {"fullnameOverride": "x" * 63}, long_names),
    Case("all names given", {"operator": {"fullnameOverride": "op", "lease": "lead", "caName": "authority", "serviceAccount": {"name": "op-sa"}, "service": {"name": "op-svc"}},
                             "runtime": {"serviceAccount": {"name": "host-sa"}, "sharedService": {"name": "front"}, "hostGroups": [{"name": "a", "fullnameOverride": "hosts"}]}},
         lambda it: (is_(names(it, "Service"), ["front", "op-svc", "penstock-autoscaling"]), is_(names(it, "ServiceAccount"), ["host-sa", "op-sa"]),
                     is_(env(operator(it))["PENSTOCK_HOST_SERVICE_ACCOUNT"], "host-sa"), is_(env(operator(it))["PENSTOCK_LEASE"], "lead"))),
    Case("common labels and annotations", {"commonLabels": {"team": "x", "app.kubernetes.io/component": "no"}, "commonAnnotations": {"note": "y"}},
         lambda it: [is_((o["metadata"]["labels"]["team"], o["metadata"]["annotations"]["note"]), ("x", "y")) for o in it.objects], crds=True),
    Case("images of a registry", {"global": {"image": {"registry": "registry.example/team"}}},
         lambda it: is_(host(it)["image"], "registry.example/team/penstock-host:0.1.0")),
    Case("images by tag", {"operator": {"image": {"tag": "1.2"}}, "runtime": {"image": {"tag": 3, "registry": ""}}},
         lambda it: is_((operator(it)["image"], host(it)["image"]), ("localhost/penstock-operator:1.2", "penstock-host:3"))),
    Case("an image by digest", {"runtime": {"image": {"digest": "sha256:" + "a" * 64, "tag": "ignored"}}},
         lambda it: is_(host(it)["image"], "localhost/penstock-host@sha256:" + "a" * 64)),
    Case("without the definitions", {"crds": {"install": False}}, lambda it: need(not it.has("CustomResourceDefinition"), "they are there"), crds=True),
    Case("definitions that go with the release", {"crds": {"keep": False, "annotations": {"a": "b"}}},
         lambda it: [is_(o["metadata"]["annotations"], {"a": "b"}) for o in it.of("CustomResourceDefinition")], crds=True),
    Case("namespaces that are watched", {"operator": {"watchNamespaces": ["shop", "billing"]}}, watched),
    Case("its own namespace is watched too", {"operator": {"watchNamespaces": ["penstock-system"]}}, lambda it: is_(len(it.of("Role")), 2)),
    Case("without Gateway API", {"rbac": {"gatewayApi": False}}, lambda it: need("gateway.networking.k8s.io" not in it.text, "it is there")),
    Case("roles of somebody else", {"rbac": {"create": False}, "operator": {"serviceAccount": {"create": False, "name": "theirs"}}},
         lambda it: need(not it.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"), "there are roles")),
    Case("no roles for people", {"rbac": {"aggregate": False}}, lambda it: is_(names(it, "ClusterRole"), ["penstock-operator"])),
    Case("more rules", {"rbac": {"extraClusterRules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}],
                                 "extraRules": [{"apiGroups": [""], "resources": ["endpoints"], "verbs": ["get"]}]}},
         lambda it: is_([r["resources"] for r in it.get("ClusterRole", "penstock-operator")["rules"]][-1], ["endpoints"])),
    Case("accounts with annotations", {"operator": {"serviceAccount": {"annotations": {"role": "a"}}}, "runtime": {"serviceAccount": {"annotations": {"role": "b"}}}},
         lambda it: is_(it.get("ServiceAccount", "penstock-host")["metadata"]["annotations"], {"role": "b"})),
    Case("one operator", {"operator": {"replicas": 1, "podDisruptionBudget": {"enabled": False}}}, lambda it: need(not it.has("PodDisruptionBudget"), "a budget")),
    Case("budgets by what must be there", {"operator": {"replicas": 3, "podDisruptionBudget": {"minAvailable": 2}}, "runtime": {"podDisruptionBudget": {"enabled": True, "minAvailable": "50%"}}},
         lambda it: (is_(it.get("PodDisruptionBudget", "penstock-operator")["spec"]["minAvailable"], 2), is_(it.get("PodDisruptionBudget", "penstock-host-default")["spec"]["minAvailable"], "50%"))),
    Case("the operator is elsewhere", {"operator": {"enabled": False}, "runtime": {"operatorUrl": "https://operator.example.com:9443"}}, operator_elsewhere),
    Case("another cluster domain", {"clusterDomain": "k8s.example", "operator": {"certificateNames": ["x.example"]}}, cluster_domain),
    Case("a DaemonSet and a Deployment", groups({"name": "default"}, {"name": "big", "replicas": 3, "resources": {"limits": {"memory": "8Gi"}}}), two_groups),
    Case("no groups", groups(), lambda it: need(not it.has("DaemonSet") and not it.has("Service", "penstock"), "there are hosts")),
    Case("a Deployment of none", groups({"name": "default", "replicas": 0}), lambda it: is_(it.get("Deployment", "penstock-host-default")["spec"]["replicas"], 0)),
    Case("a Deployment for all groups", {"runtime": {"kind": "Deployment", "hostGroups": [{"name": "a"}, {"name": "b", "kind": "DaemonSet"}]}},
         lambda it: (is_(it.get("Deployment", "penstock-host-a")["spec"]["replicas"], 1), need(it.has("DaemonSet", "penstock-host-b"), "no DaemonSet"))),
    Case("everything of a pod", {"operator": POD, "networkPolicy": POD_INGRESS, **groups({"name": "a", "replicas": 1, **POD})}, everything_of_a_pod),
    Case("everything of a pod, for all groups", {"networkPolicy": POD_INGRESS, "runtime": {**POD, "hostGroups": [{"name": "a", "replicas": 1}, {"name": "b", "nodeSelector": {"more": "x"}}]}}, everything_of_a_pod),
    Case("a group takes away what all have", {"runtime": {"nodeSelector": {"disk": "fast"}, "hostGroups": [{"name": "a", "nodeSelector": {"disk": None, "x": "y"}, "livenessProbe": None, "resources": None}]}},
         lambda it: (is_(spec_of(it, "DaemonSet", "penstock-host-a")["nodeSelector"], {"x": "y"}), need("livenessProbe" not in host(it, "a"), "a probe")), relaxed=True),
    Case("a group says false and 0", {"runtime": {"loadReports": True, "minReadySeconds": 5, "enableServiceLinks": True, "hostGroups": [{"name": "a", "loadReports": False, "minReadySeconds": 0, "enableServiceLinks": False}]}},
         lambda it: (need("PENSTOCK_LOAD_REPORTS" not in env(host(it, "a")), "it reports"), is_(it.get("DaemonSet")["spec"]["minReadySeconds"], 0))),
    Case("probes", {"operator": {"startupProbe": {"tcpSocket": {}, "failureThreshold": 9}, "livenessProbe": None}, "runtime": {"readinessProbe": {"httpGet": {"path": "/livez", "port": "peer"}}}},
         lambda it: (is_(operator(it)["startupProbe"]["tcpSocket"], {"port": "admin"}), need("livenessProbe" not in operator(it), "a probe"), is_(host(it)["readinessProbe"]["httpGet"]["port"], "peer"))),
    Case("replaced when deleted", {"runtime": {"updateStrategy": {"type": "OnDelete"}}, "operator": {"updateStrategy": {"type": "Recreate"}}},
         lambda it: is_((it.get("DaemonSet")["spec"]["updateStrategy"], it.get("Deployment")["spec"]["strategy"]), ({"type": "OnDelete"}, {"type": "Recreate"}))),
    Case("variables and arguments", {"operator": {**OWN_ENV, "env": [{"name": "RUST_BACKTRACE", "value": "1"}, {"name": "PENSTOCK_WRITERS", "value": "mine"}]},
                                     "runtime": {**OWN_ENV, "env": [{"name": "RUST_BACKTRACE", "value": "1"}, {"name": "PENSTOCK_DRAIN_DELAY", "value": "mine"}]}}, own_environment),
    Case("another command", {"runtime": {"command": ["/bin/mine"], "args": ["a"], "extraArgs": ["b"], "image": {"repository": "mine"}}},
         lambda it: is_((host(it)["command"], host(it)["args"], host(it)["image"]), (["/bin/mine"], ["a", "b"], "localhost/mine:0.1.0"))),
    Case("every setting of a host", {"runtime": {"insecureRegistries": ["a:5000", "b"], "trustedProxies": ["10.0.0.0/8", "fd00::/8"], "proxyProtocolFrom": ["10.1.0.0/16"],
                                                 "forwarding": "forwarded", "traceContext": "off", "loadReports": True, "maxInstances": 1000000, "defaultMemoryMib": 64, "logFormat": "json", "operatorName": "op.example"}},
         lambda it: is_([env(host(it))[f"PENSTOCK_{name}"] for name in ("INSECURE_REGISTRIES", "TRUSTED_PROXIES", "MAX_INSTANCES", "FORWARDING", "LOAD_REPORTS", "OPERATOR_NAME")],
                        ["a:5000,b", "10.0.0.0/8,fd00::/8", "1000000", "forwarded", "true", "op.example"])),
    Case("folders", {"runtime": {"cacheDir": "/data/cache", "secretsDir": "/data/secrets", "tmpDir": "/scratch", "tokenFile": "/id/t", "caFile": "/trust/all.pem"}},
         lambda it: is_(sorted(m["mountPath"] for m in host(it)["volumeMounts"]), ["/data/cache", "/data/secrets", "/id", "/scratch", "/trust"])),
    Case("a cache that outlives the pod", groups({"name": "a", "replicas": 1, "volumes": {"cache": {"emptyDir": None, "persistentVolumeClaim": {"claimName": "c"}}}}),
         lambda it: is_(spec_of(it, "Deployment", "penstock-host-a")["volumes"][2], {"name": "cache", "persistentVolumeClaim": {"claimName": "c"}})),
    Case("shared code", {"runtime": {"sharedCode": {"enabled": True, "volume": {"persistentVolumeClaim": {"claimName": "code"}}, "secretName": "code-key"}}}, shared_code),
    Case("a long drain", {"runtime": {"drainDelay": "10s", "drainTimeout": "4m30s", "terminationGracePeriodSeconds": 300}},
         lambda it: is_(env(host(it))["PENSTOCK_DRAIN_TIMEOUT"], "4m30s")),
    Case("other ports and their names", {"operator": {"ports": {"control": 19443, "admin": 18080}, "portNames": {"admin": "http-admin"}, "service": {"port": 7443, "adminPort": 7080}, "listenerPorts": "31000-31999"},
                                         "runtime": {"ports": {"admin": 18081, "peer": 19444}, "portNames": {"http": "web"}, "http": {"port": 18000}}}, other_ports),
    Case("groups that call their port as they like", groups({"name": "a"}, {"name": "b", "portNames": {"http": "web"}}),
         lambda it: is_(it.get("Service", "penstock")["spec"]["ports"][0]["targetPort"], 8000)),
    Case("a group without the shared listener", groups({"name": "a"}, {"name": "b", "http": {"enabled": False}}),
         lambda it: is_([m["labels"]["penstock.dev/shared-listener"] for _, m, _ in pods(it) if "penstock.dev/shared-listener" in m["labels"]], ["true", "false"])),
    Case("no shared listener", {"runtime": {"http": {"enabled": False}}}, lambda it: is_(env(operator(it))["PENSTOCK_SHARED_PORT"], "0")),
    Case("no shared Service", {"runtime": {"sharedService": {"enabled": False}}}, lambda it: is_(names(it, "Service"), ["penstock-autoscaling", "penstock-operator"])),
    Case("Services for the world", {"runtime": {"sharedService": {"type": "LoadBalancer", "port": 8080, "nodePort": 30080, "appProtocol": "http", "labels": {"a": "b"}, "annotations": {"c": "d"},
                                                                 "spec": {"externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP"}}, "hostGroups": [{"name": "a", "service": {"type": "NodePort", "name": "mine"}}]}},
         lambda it: (is_(it.get("Service", "penstock")["spec"]["externalTrafficPolicy"], "Local"), is_(it.get("Service", "mine")["spec"]["type"], "NodePort"))),
    Case("both families of addresses", {"autoscaling": {"service": {"spec": {"ipFamilyPolicy": "PreferDualStack"}}},
                                        "operator": {"bindAddress": "[::]", "listenerAddress": "[::]", "service": {"spec": {"ipFamilyPolicy": "PreferDualStack"}}},
                                        "runtime": {"bindAddress": "[::]", "sharedService": {"spec": {"ipFamilyPolicy": "PreferDualStack"}}}}, dual_stack),
    Case("the nodes' network", {"runtime": {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet", "updateStrategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}}, host_network, relaxed=True),
    Case("NATS for the control plane", {"global": {"nats": {"schedulerUrl": "nats://a:4222,nats://b:4222"}}},
         lambda it: is_((env(operator(it))["PENSTOCK_SCHEDULER_NATS_URL"], "PENSTOCK_DATA_NATS_URL" in env(host(it))), ("nats://a:4222,nats://b:4222", False))),
    Case("NATS for components only", groups({"name": "a", "dataNatsUrl": "tls://d:4222"}),
         lambda it: is_([name for name in env(host(it, "a")) if "NATS" in name], ["PENSTOCK_DATA_NATS_URL"])),
    Case("NATS with everything", {"global": all_on()["global"]}, nats_with_everything),
    Case("certificates without TLS are left alone", {"global": {"nats": {"schedulerUrl": "nats://a:4222"}, "certificates": {"caSecretName": "ca", "operatorCertSecretName": "cert"}}},
         lambda it: need("nats-scheduler" not in it.text, "they are mounted")),
    Case("a wasmCloud user's values", WASMCLOUD, wasmcloud_file),
    Case("wasmCloud's hosts", groups({"name": "default"}, WASH), wash_host),
    Case("no policies", {"networkPolicy": {"enabled": False}}, lambda it: need(not it.has("NetworkPolicy"), "policies")),
    Case("policies for what is reached", {"networkPolicy": {"egress": {"enabled": True}}}, network_egress),
    Case("policies for who comes", {"networkPolicy": {"adminFrom": [], "listenersFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "controlFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
                                                      "extraOperatorIngress": [{"from": [{"podSelector": {}}]}], "extraRuntimeIngress": [{"from": [{"podSelector": {}}]}]}},
         lambda it: is_(it.get("NetworkPolicy", "penstock-host-default")["spec"]["ingress"][0]["from"], [{"ipBlock": {"cidr": "10.0.0.0/8"}}])),
    Case("monitors", {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}, "podMonitor": {"enabled": True, "namespace": "monitoring", "relabelings": [{"action": "drop"}]}},
                      **groups({"name": "a"}, {"name": "b"}, WASH)}, monitored),
    Case("external metrics", {"autoscaling": {"externalMetrics": {"enabled": True}}}, external_metrics),
    Case("external metrics with roles of somebody else", {"autoscaling": {"externalMetrics": {"enabled": True}}, "rbac": {"create": False}},
         lambda it: need(it.has("APIService") and not it.of("ClusterRoleBinding", "ClusterRole", "RoleBinding"), "there are roles")),
    Case("KEDA that shows who it is", {"autoscaling": {"scalerClientCa": {"secretName": "keda-ca"}, "keda": {"enabled": True, "clientCertSecretName": "cert"}},
                                       "networkPolicy": {"scalerFrom": []}}, keda),
    Case("no autoscaling Service", {"autoscaling": {"service": {"enabled": False}}}, lambda it: is_(names(it, "Service"), ["penstock", "penstock-operator"])),
    Case("a dashboard", {"monitoring": {"dashboard": {"enabled": True, "title": "Wasm", "annotations": {"grafana_folder": "Edge"}}}},
         lambda it: need('"title":"Wasm"' in it.get("ConfigMap")["data"]["penstock.json"], "the title is another")),
    Case("alerts", {"monitoring": {"alerts": {"enabled": True, "ruleLabels": {"team": "web"}, "rules": {"PenstockWorkloadSheds": {"for": "10m"}, "PenstockBackendEjected": None, "Mine": {"expr": "up == 0"}}}}}, alerts),
    Case("the test", {}, test_pod),
    Case("no test", {"tests": {"enabled": False}}, lambda it: need(not it.has("Pod"), "a test")),
    Case("further objects", {"extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-x", "namespace": "there"}}, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z, namespace: there}\n"]},
         lambda it: is_(names(it, "ConfigMap"), ["penstock-x", "z"])),
    Case("everything on", all_on(), lambda it: need(it.has("Namespace", "penstock-hosts"), "no namespace"), crds=True),
]

REFUSALS = [
    Refusal("a key that is misspelt", {"operator": {"replica": 2}}, "replica"),
    Refusal("a group's key that is misspelt", groups({"name": "a", "imagee": {}}), "imagee"),
    Refusal("a text for a number", {"operator": {"replicas": "two"}}, "replicas"),
    Refusal("a group without a name", groups({"replicas": 1}), "name"),
    Refusal("a name that is none", groups({"name": "Big"}), "Big"),
    Refusal("a name twice", groups({"name": "a"}, {"name": "a"}), "the name is there twice"),
    Refusal("two names that become one", groups({"name": "g" * 39 + "a"}, {"name": "g" * 39 + "b"}) | {"fullnameOverride": "x" * 40}, "set fullnameOverride"),
    Refusal("a kind that is none", groups({"name": "a", "kind": "StatefulSet"}), "kind"),
    Refusal("ports that are none", {"operator": {"listenerPorts": "1:2"}}, "listenerPorts"),
    Refusal("ports the wrong way round", {"operator": {"listenerPorts": "300-200"}}, "begins after its end"),
    Refusal("a port among the listeners'", {"runtime": {"ports": {"peer": 20001}}}, "is one of operator.listenerPorts"),
    Refusal("two shared ports", groups({"name": "a"}, {"name": "b", "http": {"port": 9000}}), "the port is one for all groups"),
    Refusal("a duration that is none", {"runtime": {"drainDelay": "5 seconds"}}, "drainDelay"),
    Refusal("a grace that is too short", {"runtime": {"drainTimeout": "2m"}}, "requests would be cut"),
    Refusal("a grace that is just too short", {"runtime": {"drainTimeout": "1m25s"}}, "requests would be cut"),
    Refusal("external metrics without a Service", {"autoscaling": {"service": {"enabled": False}, "externalMetrics": {"enabled": True}}}, "asks through autoscaling.service"),
    Refusal("a network that is none", {"runtime": {"trustedProxies": ["everybody"]}}, "everybody"),
    Refusal("a digest that is none", {"operator": {"image": {"digest": "latest"}}}, "digest"),
    Refusal("a level that is none", {"runtime": {"forwarding": "on"}}, "forwarding"),
    Refusal("hosts over NATS without NATS", groups({"name": "a", "protocol": "nats"}), "schedulerNatsUrl"),
    Refusal("Penstock's hosts elsewhere", groups({"name": "a", "namespace": "b"}), "tokens of its own namespace only"),
    Refusal("hosts without an operator", {"operator": {"enabled": False}}, "say where the operator is"),
    Refusal("a budget that cannot be counted", {"runtime": {"podDisruptionBudget": {"enabled": True}}}, "set minAvailable to a number"),
    Refusal("shared code without a key", {"runtime": {"sharedCode": {"enabled": True, "volume": {"emptyDir": {}}}}}, "secretName"),
    Refusal("making the release's namespace", {"namespace": {"create": True}}, "Helm keeps the release in"),
    Refusal("a NATS URL that is none", {"global": {"nats": {"schedulerUrl": "nats:4222"}}}, "schedulerUrl"),
]
