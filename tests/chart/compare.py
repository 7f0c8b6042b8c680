"""The chart beside deploy/: what is there must be here, and no right more."""

import itertools
import json
import subprocess

import yaml

from rendered import LOADER, ROOT, need, program, render

# Names here that are others there.
RENAMED = {("DaemonSet", "penstock-host"): "penstock-host-default"}
# Labels that the chart chooses itself, and what is said by selecting them.
OWN = {"labels", "selector", "labelSelector", "matchLabels"}
EVERYWHERE = "*"
# What the operator asks the API server for, by its sources (operator/src/controller/{watch,write}.rs, certificate.rs, leader.rs,
# hosts/identity.rs): where, group, resource, verbs. `own` is its own namespace, `work` where workloads are.
READ, WRITE = ["list", "watch"], ["create", "patch", "delete"]
NEEDED = [
    ("work", "runtime.wasmcloud.dev", "workloaddeployments", READ), ("work", "runtime.wasmcloud.dev", "workloaddeployments/status", ["patch"]),
    ("work", "runtime.wasmcloud.dev", "workloadreplicasets", READ + WRITE), ("work", "runtime.wasmcloud.dev", "workloadreplicasets/status", ["patch"]),
    ("work", "runtime.wasmcloud.dev", "workloads", READ + WRITE), ("work", "runtime.wasmcloud.dev", "workloads/status", ["patch"]),
    ("own", "runtime.wasmcloud.dev", "hosts", READ + WRITE), ("own", "runtime.wasmcloud.dev", "hosts/status", ["patch"]),
    ("work", "penstock.dev", "trafficpolicies", READ),
    ("work", "runtime.wasmcloud.dev", "workloaddeployments/scale", ["patch"]), ("work", "autoscaling", "horizontalpodautoscalers", READ),
    ("work", "discovery.k8s.io", "endpointslices", READ + WRITE),
    ("work", "", "services", READ), ("work", "", "services/status", ["patch"]),
    ("work", "", "configmaps", READ), ("work", "", "secrets", READ),
    ("work", "gateway.networking.k8s.io", "httproutes", READ), ("work", "gateway.networking.k8s.io", "httproutes/status", ["patch"]),
    ("work", "gateway.networking.k8s.io", "grpcroutes", READ), ("work", "gateway.networking.k8s.io", "grpcroutes/status", ["patch"]),
    ("work", "gateway.networking.k8s.io", "referencegrants", READ),
    ("work", "events.k8s.io", "events", ["create"]), ("own", "events.k8s.io", "events", ["create"]),
    ("own", "", "pods", READ),
    ("own", "discovery.k8s.io", "endpointslices", ["create"]),
    *(("own", "discovery.k8s.io", f"endpointslices:penstock-autoscaling-{family}", ["patch"]) for family in ("ipv4", "ipv6")),
    ("own", "", "secrets", ["create"]), ("own", "", "secrets:penstock-ca", ["get", "update"] + READ),
    ("own", "", "configmaps", ["create"]), ("own", "", "configmaps:penstock-ca", ["get", "patch"] + READ),
    ("own", "coordination.k8s.io", "leases", ["create"]), ("own", "coordination.k8s.io", "leases:penstock-operator", ["update"] + READ),
    ("cluster", "", "nodes", READ), ("cluster", "authentication.k8s.io", "tokenreviews", ["create"]),
    *(("cluster", "apiextensions.k8s.io", f"customresourcedefinitions:{name}", READ) for name in (
        "httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io", "referencegrants.gateway.networking.k8s.io",
        "trafficpolicies.penstock.dev")),
]


def kustomized():
    done = subprocess.run([program("kubectl"), "kustomize", str(ROOT / "deploy")], capture_output=True, text=True, check=True)
    objects = [it for it in yaml.load_all(done.stdout, LOADER) if it]
    for path in sorted((ROOT / "deploy/autoscaling").glob("*.yaml")):
        objects += [it for it in yaml.load_all(path.read_text(), LOADER) if it]
    return objects


def rights(objects, account):
    """What an account may do: (namespace, group, resource, name, verb)."""
    roles = {(it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]): it["rules"] for it in objects if it["kind"] in ("Role", "ClusterRole")}
    found = set()
    for it in objects:
        if it["kind"] not in ("RoleBinding", "ClusterRoleBinding") or not any(subject["name"] == account for subject in it["subjects"]):
            continue
        namespace = it["metadata"].get("namespace")
        kind = it["roleRef"]["kind"]
        role = kind, namespace if kind == "Role" else None, it["roleRef"]["name"]
        if role not in roles:
            # One that Kubernetes has.
            found.add((namespace or EVERYWHERE, "", f"role {role[2]}", EVERYWHERE, "have"))
            continue
        for rule in roles[role]:
            found |= set(itertools.product([namespace or EVERYWHERE], rule["apiGroups"], rule["resources"], rule.get("resourceNames", [EVERYWHERE]), rule["verbs"]))
    return found


def allowed(found, namespace, group, resource, name, verb):
    return any((where, group, resource, who, verb) in found for where in {namespace, EVERYWHERE} for who in {name, EVERYWHERE})


def aggregated(objects):
    """What people may do by Kubernetes' own roles."""
    found = {}
    for it in objects:
        for label in it["metadata"].get("labels", {}) if it["kind"] == "ClusterRole" else ():
            if "aggregate-to" in label:
                found.setdefault(label, set()).update(json.dumps(rule, sort_keys=True) for rule in it["rules"])
    return found


def within(less, more, at):
    """All that "less" says, "more" says too."""
    if isinstance(less, dict):
        for key, it in less.items():
            if key not in OWN:
                need(key in more, f"{at}.{key} is not there")
                within(it, more[key], f"{at}.{key}")
    elif isinstance(less, list) and less and isinstance(less[0], dict):
        for it in less:
            name = it.get("name", it.get("path"))
            same = [one for one in more if one.get("name", one.get("path")) == name]
            need(same, f"{at}: {name} is not there")
            within(it, same[0], f"{at}[{name}]")
    else:
        need(less == more, f"{at} is {more!r}, and {less!r} in deploy/")


def deploy_is_in_the_chart():
    there = kustomized()
    # deploy/ makes its namespace, which Helm does itself; here it is made by a release that is kept elsewhere.
    values = {"namespace": {"name": "penstock-system", "create": True},
              "autoscaling": {"externalMetrics": {"enabled": True}, "keda": {"enabled": True}}}
    here = render(values, namespace="default").objects
    by_name = {(it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]): it for it in here}
    for it in there:
        kind, namespace, name = it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]
        name = RENAMED.get((kind, name), name)
        own = by_name.get((kind, namespace, name))
        need(own, f"{kind} {name} is not in the chart")
        if kind in ("Role", "ClusterRole") or kind == "NetworkPolicy":
            # Roles are compared by what they allow; policies are on here in any case, and let in who may come.
            continue
        if kind == "CustomResourceDefinition":
            need(own["spec"] == it["spec"], f"{name} is another definition")
            continue
        within({key: value for key, value in it.items() if key != "metadata"}, own, f"{kind}/{name}")
        if kind == "Namespace":
            need(it["metadata"]["labels"].items() <= (own["metadata"]["labels"] | {"app.kubernetes.io/part-of": "penstock"}).items(), "the namespace's labels")
    extra = rights(here, "penstock-operator")
    base = rights(there, "penstock-operator")
    more = [it for it in extra if not allowed(base, *it)]
    need(not more, f"rights beyond those of deploy/: {sorted(more)}")
    need(aggregated(here) == aggregated(there), "people may do other things than by deploy/")
    gone = len([it for it in base if not allowed(extra, *it)])
    return f"{len(there)} objects; {len(extra)} rights for {len(base)}, {gone} of those no more"


def the_operator_may_do_its_work():
    for watched in ([], ["shop", "penstock-system"], ["shop"]):
        values = {"crds": {"install": False}, "operator": {"watchNamespaces": watched}}
        found = rights(render(values).objects, "penstock-operator")
        for where, group, resource, verbs in NEEDED:
            resource, _, name = resource.partition(":")
            namespaces = {"own": ["penstock-system"], "cluster": [EVERYWHERE], "work": watched or [EVERYWHERE]}[where]
            for namespace, verb in itertools.product(namespaces, verbs):
                need(allowed(found, namespace, group, resource, name or EVERYWHERE, verb), f"watching {watched}: it may not {verb} {group}/{resource} {name} in {namespace}")
        if watched:
            wide = {(group, resource) for namespace, group, resource, _, _ in found if namespace == EVERYWHERE}
            need(wide == {("", "nodes"), ("authentication.k8s.io", "tokenreviews"), ("apiextensions.k8s.io", "customresourcedefinitions")}, f"rights in the whole cluster: {wide}")
    return f"{len(NEEDED)} needs, three scopes"
