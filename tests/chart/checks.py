"""What must be so whatever the values are."""

import re

from rendered import containers, need, pods

# Of the restricted pod security standard.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
CLUSTER_WIDE = {"APIService", "ClusterRole", "ClusterRoleBinding", "ClusterTriggerAuthentication", "CustomResourceDefinition", "Namespace"}
# Roles that Kubernetes has.
OF_KUBERNETES = {"system:auth-delegator", "extension-apiserver-authentication-reader"}
NAME = re.compile(r"[a-z0-9]([-a-z0-9.:]*[a-z0-9])?")


def matches(selector, labels):
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for it in selector.get("matchExpressions", []):
        need(it["operator"] == "In", f"an operator that this test does not know: {it}")
        if labels.get(it["key"]) not in it["values"]:
            return False
    return True


def identity(it):
    return it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]


def objects(rendered):
    seen = set()
    for it in rendered.objects:
        need({"apiVersion", "kind", "metadata"} <= it.keys(), f"no object: {it}")
        key = identity(it)
        need(key not in seen, f"{key} is there twice")
        seen.add(key)
        need(NAME.fullmatch(key[2]), f"{key}: the name is none")
        limit = 63 if it["kind"] in ("Service", "Deployment", "DaemonSet", "Pod") else 253
        need(len(key[2]) <= limit, f"{key}: the name is longer than {limit}")
        need((key[1] is None) == (it["kind"] in CLUSTER_WIDE), f"{key}: its namespace is {key[1]}")
        labels = it["metadata"].get("labels", {})
        if it["kind"] != "CustomResourceDefinition":
            nothing(it, key)
        for name, value in labels.items():
            need(isinstance(value, str) and len(value) <= 63, f"{key}: label {name} is {value!r}")
        for name, value in it["metadata"].get("annotations", {}).items():
            need(isinstance(value, str), f"{key}: annotation {name} is {value!r}")


def nothing(value, at):
    """No null, which says that a value was looked for under a name that it does not have."""
    if isinstance(value, dict):
        for key, it in value.items():
            need(it is not None, f"{at}: {key} is null")
            nothing(it, (*at, key))
    elif isinstance(value, list):
        for it in value:
            need(it is not None, f"{at}: a null")
            nothing(it, at)
    elif isinstance(value, str):
        need("%!" not in value and "<nil>" not in value and "map[" not in value, f"{at}: {value!r}")


def security(rendered):
    """The restricted standard, and what the project asks for beyond it."""
    for it, _, spec in pods(rendered):
        at = identity(it)
        pod = spec.get("securityContext", {})
        need(pod.get("runAsNonRoot") is True and pod.get("runAsUser", 1) != 0, f"{at}: it may be root")
        need(pod.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"), f"{at}: no seccomp profile")
        need(not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), f"{at}: it shares its node's namespaces")
        for volume in spec.get("volumes", []):
            need(len(volume) == 2 and volume.keys() - {"name"} <= VOLUMES, f"{at}: a volume that is not allowed: {volume}")
        for container in containers(spec):
            own = container.get("securityContext", {})
            need(own.get("allowPrivilegeEscalation") is False, f"{at}: privileges may grow")
            need(own.get("readOnlyRootFilesystem") is True, f"{at}: its root can be written")
            need(own.get("capabilities") == {"drop": ["ALL"]}, f"{at}: it keeps capabilities")
            need(not own.get("privileged"), f"{at}: it is privileged")
            need(not any("hostPort" in port for port in container.get("ports", [])), f"{at}: it takes its node's ports")
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                need("host" not in container.get(probe, {}).get("httpGet", {}), f"{at}: {probe} asks elsewhere")
        need("resources" in spec["containers"][0], f"{at}: no resources")


def secrets_stay_in_memory(rendered):
    for it, metadata, spec in pods(rendered):
        if metadata["labels"].get("app.kubernetes.io/component") not in ("host", "test"):
            continue
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        need(volumes["secrets"]["emptyDir"]["medium"] == "Memory", f"{identity(it)}: secrets may reach a disk")
        need(spec["automountServiceAccountToken"] is False, f"{identity(it)}: hosts have a token for the API server")


def wiring(rendered):
    """What refers to something inside a pod finds it."""
    for it, _, spec in pods(rendered):
        at = identity(it)
        volumes = [volume["name"] for volume in spec.get("volumes", [])]
        need(len(volumes) == len(set(volumes)), f"{at}: volumes {volumes}")
        mounted = set()
        ports = {}
        for container in containers(spec):
            names = [variable["name"] for variable in container.get("env", [])]
            need(len(names) == len(set(names)), f"{at}: a variable is there twice: {names}")
            for variable in container.get("env", []):
                need(isinstance(variable.get("value", ""), str), f"{at}: {variable} is no text")
            mounts = container.get("volumeMounts", [])
            mounted |= {mount["name"] for mount in mounts}
            paths = [mount["mountPath"] for mount in mounts]
            need(len(paths) == len(set(paths)), f"{at}: mounts {paths}")
            own = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            need(len(own) == len(container.get("ports", [])), f"{at}: port names {container.get('ports')}")
            ports |= own
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                for way in ("httpGet", "tcpSocket"):
                    port = container.get(probe, {}).get(way, {}).get("port")
                    need(port is None or isinstance(port, int) or port in own, f"{at}: {probe} asks port {port}")
        need(mounted <= set(volumes), f"{at}: mounts without volumes: {mounted - set(volumes)}")


def selectors(rendered):
    """What selects finds what it means, and nothing of another component."""
    made = [(it, metadata["labels"], spec) for it, metadata, spec in pods(rendered)]
    for it, labels, spec in made:
        if it["kind"] == "Pod":
            continue
        at, selector = identity(it), it["spec"]["selector"]
        need(matches(selector, labels), f"{at}: it does not select its own pods")
        others = [identity(other) for other, theirs, _ in made if other is not it and same_namespace(other, it) and matches(selector, theirs)]
        need(not others, f"{at}: it selects the pods of {others} too")
        for spread in spec.get("topologySpreadConstraints", []):
            need(matches(spread["labelSelector"], labels), f"{at}: it spreads other pods")
    for it in rendered.of("Service"):
        if it["metadata"]["labels"]["app.kubernetes.io/component"] == "autoscaling":
            need("selector" not in it["spec"], f"{identity(it)}: the leader writes its endpoints")
            continue
        chosen = [one for one in made if same_namespace(one[0], it) and matches({"matchLabels": it["spec"]["selector"]}, one[1])]
        need(chosen, f"{identity(it)}: it selects nothing")
        need(all(one[0]["kind"] != "Pod" for one in chosen), f"{identity(it)}: it selects the test")
        for port in it["spec"]["ports"]:
            for _, _, spec in chosen:
                have = {p.get("name"): p["containerPort"] for c in spec["containers"] for p in c.get("ports", [])}
                target = port["targetPort"]
                need(target in have or target in have.values(), f"{identity(it)}: port {target} is not there: {have}")
    for it in rendered.of("PodDisruptionBudget"):
        chosen = [one for one in made if same_namespace(one[0], it) and matches(it["spec"]["selector"], one[1])]
        need(len(chosen) == 1, f"{identity(it)}: it selects {len(chosen)}")
    for it in rendered.of("NetworkPolicy"):
        chosen = [one for one in made if same_namespace(one[0], it) and matches(it["spec"]["podSelector"], one[1])]
        need(len(chosen) == 1, f"{identity(it)}: it selects {len(chosen)}")
    for it in rendered.of("PodMonitor"):
        chosen = [one for one in made if one[0]["metadata"]["namespace"] in it["spec"]["namespaceSelector"]["matchNames"]
                  and matches(it["spec"]["selector"], one[1])]
        need(len(chosen) == 1, f"{identity(it)}: it selects {len(chosen)}")
        ports = {port["name"] for container in chosen[0][2]["containers"] for port in container["ports"]}
        need(all(end["port"] in ports for end in it["spec"]["podMetricsEndpoints"]), f"{identity(it)}: ports {ports}")
    for it in rendered.of("ServiceMonitor"):
        chosen = [s for s in rendered.of("Service") if s["metadata"]["namespace"] in it["spec"]["namespaceSelector"]["matchNames"]
                  and matches(it["spec"]["selector"], s["metadata"]["labels"])]
        need(len(chosen) == 1, f"{identity(it)}: it selects {len(chosen)} Services")
        ports = {port["name"] for port in chosen[0]["spec"]["ports"]}
        need(all(end["port"] in ports for end in it["spec"]["endpoints"]), f"{identity(it)}: ports {ports}")


def same_namespace(a, b):
    return a["metadata"].get("namespace") == b["metadata"].get("namespace")


def policies_let_in(rendered):
    """Every port of a pod that has a policy can be reached by somebody."""
    for it in rendered.of("NetworkPolicy"):
        open_ports = [(p["port"], p.get("endPort", p["port"])) for rule in it["spec"]["ingress"] for p in rule.get("ports", [])]
        for _, metadata, spec in pods(rendered):
            if not (metadata["labels"] and matches(it["spec"]["podSelector"], metadata["labels"])):
                continue
            shared = metadata["labels"].get("penstock.dev/shared-listener") != "false"
            for port in spec["containers"][0]["ports"][:2 if not shared else None]:
                number = port["containerPort"]
                inside = any(first <= number <= last for first, last in open_ports)
                need(inside or not shared, f"{identity(it)}: port {number} is shut")


def accounts(rendered):
    """Roles exist for bindings, accounts for subjects and pods; hosts have no binding."""
    known = {identity(it)[1:] for it in rendered.of("ServiceAccount")}
    roles = {identity(it) for it in rendered.of("Role", "ClusterRole")}
    hosts = {(it["metadata"]["namespace"], spec["serviceAccountName"]) for it, metadata, spec in pods(rendered)
             if metadata["labels"].get("app.kubernetes.io/component") in ("host", "test")}
    for it in rendered.of("RoleBinding", "ClusterRoleBinding"):
        reference = it["roleRef"]
        namespace = it["metadata"].get("namespace") if reference["kind"] == "Role" else None
        need(reference["name"] in OF_KUBERNETES or (reference["kind"], namespace, reference["name"]) in roles, f"{identity(it)}: there is no {reference}")
        for subject in it["subjects"]:
            account = (subject["namespace"], subject["name"])
            need(account in known or subject["name"] not in {name for _, name in known}, f"{identity(it)}: no account {account}")
            need(account not in hosts or subject["name"] == "default", f"{identity(it)}: hosts may do something")
    for it in rendered.of("Role", "ClusterRole"):
        for rule in it["rules"]:
            reads = set(rule["verbs"]) <= {"get", "list", "watch"}
            need("*" not in rule["verbs"] and (reads or "*" not in rule["resources"]), f"{identity(it)}: too much: {rule}")


# With what values the restricted standard is left on purpose, a case says so.
ALWAYS = [objects, wiring, selectors, policies_let_in, accounts]
STRICT = [security, secrets_stay_in_memory]
