"""Nothing is rendered that values do not show: with every value changed, every text and number that is rendered is another.

What stays is Kubernetes' own language, or a contract of the programs, and stands in FIXED with its reason.
"""

import re

import yaml

from cases import all_on
from rendered import CHART, LOADER, Refused, need, render

# Values that may be one of a few: another one.
OTHERS = {
    "ClusterIP": "LoadBalancer", "NodePort": "LoadBalancer", "IfNotPresent": "Always", "x-forwarded": "forwarded", "begin": "continue", "text": "json", "RollingUpdate": "RollingUpdate",
    "ScheduleAnyway": "DoNotSchedule", "AlwaysAllow": "IfHealthyBudget", "RuntimeDefault": "Localhost", "ALL": "NET_RAW", "Memory": "HugePages",
    "TCP": "SCTP", "UDP": "SCTP", "restricted": "baseline", "": "", "Deployment": "Deployment", "20000-29999": "30000-31999",
}
# Values that choose what is rendered stay as they are.
KEPT = re.compile(r"runtime\.(hostGroups\.\d+\.)?(kind|protocol)|.*updateStrategy\.type")
# Where texts stay: a path in an object (kind first, `*` for list items), and why.
FIXED = [
    (r"[A-Za-z]+\.(apiVersion|kind)", "what an object is"),
    (r"[A-Za-z]+(\.spec\.template)?\.metadata\.labels\.(app\.kubernetes\.io/(managed-by|component|version)|helm\.sh/chart)", "who says it, of what version"),
    (r".*\.app\.kubernetes\.io/component", "what the chart's own selectors go by"),
    (r".*\.(wasmcloud\.com/name|penstock\.dev/shared-listener)", "how the operator and the Service know hosts' pods (api/src/labels.rs)"),
    (r"ClusterRole\.metadata\.labels\.rbac\.authorization\.k8s\.io/aggregate-to-(view|edit)", "Kubernetes' roles for people"),
    (r"(Cluster)?Role\.rules\..*", "what the operator asks the API server for: resources and verbs"),
    (r"(Cluster)?RoleBinding\.(roleRef\.(apiGroup|kind)|subjects\.\*\.kind)", "Kubernetes' own"),
    (r".*Binding\.roleRef\.name=(system:auth-delegator|extension-apiserver-authentication-reader)", "Kubernetes' own"),
    (r"RoleBinding\.metadata\.namespace=kube-system", "where Kubernetes says who its front proxy is"),
    (r"APIService\.(metadata\.name|spec\.(group|version))", "the API that is served"),
    (r"Service\.spec\.ports\.\*\.name=(scaler|metrics)", "what the leader's EndpointSlice calls them (operator/src/app.rs)"),
    (r"ClusterTriggerAuthentication\.spec\..*\.(parameter|key)=(caCert|tlsClientCert|tlsClientKey|tls\.crt|tls\.key)", "KEDA's own"),
    (r".*\.env\.\*\.(name|valueFrom\.fieldRef\.fieldPath)", "names of variables that the programs read"),
    (r".*\.env\.\*\.value=(true|false)", "switches"),
    (r".*\.protocol=TCP", "all ports are TCP"),
    (r".*=(True|False)", "switches: they are left as they are here"),
    (r"NetworkPolicy\.spec\.policyTypes\.\*", "Kubernetes' own"),
    (r"NetworkPolicy\..*matchExpressions\.\*\.(key|operator|values\.\*)", "what the chart's own selectors go by"),
    (r".*\.volumes\.\*\.name=(token|ca|cache|secrets|tmp|shared-code|shared-code-key|nats-scheduler|nats-data|scaler-ca)", "names within a pod that only the pod refers to"),
    (r".*\.volumeMounts\.\*\.name=.*", "the same"),
    (r".*\.volumes\..*items\.\*\.(key|path)=(ca\.crt|tls\.crt|tls\.key|credentials)", "keys of Secrets of type kubernetes.io/tls and of the operator's ConfigMap, and file names below global.nats.directory"),
    (r".*\.updateStrategy\.type|.*\.strategy\.type", "it chooses what is rendered (KEPT)"),
    (r"Pod\.spec\.(restartPolicy|initContainers\.\*\.restartPolicy)", "how the test works"),
    (r"Pod\.metadata\.annotations\.helm\.sh/hook", "it is a test"),
    (r"Pod\.spec\.initContainers\.\*\.env\.\*\.value=(0s|1s)", "the test's host does not linger"),
    (r"ConfigMap\.data\..*", "the dashboard: a file, with title, id and tags by value"),
    (r"PrometheusRule\.spec\.groups\.\*\.rules\..*", "the alerts: a file, each of which monitoring.alerts.rules can change or take away"),
]


def changed(value, path=""):
    """Every scalar another one."""
    if isinstance(value, dict):
        return {key: changed(it, f"{path}.{key}".lstrip(".")) for key, it in value.items()}
    if isinstance(value, list):
        return [changed(it, f"{path}.{index}") for index, it in enumerate(value)]
    if KEPT.fullmatch(path) or isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return value + 17
    if value in OTHERS:
        return OTHERS[value]
    for pattern, other in ((r"([0-9]+)(s|m|Mi|Gi)", lambda m: f"{int(m[1]) + 17}{m[2]}"), (r"(/.*)", lambda m: f"/other{m[1]}o"),
                           (r"([a-z]+)://(.*)", lambda m: f"{m[1]}://other-{m[2]}"), (r"0\.0\.0\.0", lambda m: "10.0.0.1"), (r"([0-9.]+)/16", lambda m: f"{m[1]}/17"),
                           (r"(nats\.creds|ca\.crt)", lambda m: f"other-{m[1]}")):
        found = re.fullmatch(pattern, value)
        if found:
            return other(found)
    return f"o{value}" if value[0].isalnum() else f"{value}o"


def merged(base, more):
    if isinstance(base, dict) and isinstance(more, dict):
        return base | {key: merged(base.get(key), it) for key, it in more.items()}
    return more


def leaves(value, path):
    if isinstance(value, dict):
        for key, it in value.items():
            yield from leaves(it, f"{path}.{key}")
    elif isinstance(value, list):
        for it in value:
            yield from leaves(it, f"{path}.*")
    else:
        yield f"{path}={value}"


def nothing_is_hard_coded():
    defaults = yaml.load((CHART / "values.yaml").read_text(), LOADER)
    base = merged(defaults, all_on())
    base["crds"]["install"] = False
    before = render(base)
    other = changed(base)
    other |= {"fullnameOverride": "other", "nameOverride": "another"}
    after = render(other, release="o", namespace="somewhere")
    said = {leaf for it in before.objects for leaf in leaves(it, it["kind"])}
    still = said & {leaf for it in after.objects for leaf in leaves(it, it["kind"])}
    fixed = [re.compile(pattern) for pattern, _ in FIXED]
    hard = [leaf for leaf in still if not any(it.fullmatch(leaf) or it.fullmatch(leaf.partition("=")[0]) for it in fixed)]
    need(not hard, "rendered whatever the values are:\n    " + "\n    ".join(sorted(hard)))
    return f"{len(said)} texts and numbers, {len(still)} stay"


def every_value_counts():
    """Each scalar of values.yaml, changed alone, changes what is rendered: slow, so only with --each."""
    base = merged(yaml.load((CHART / "values.yaml").read_text(), LOADER), all_on())
    before = render(base).text
    dead, count = set(), 0
    for path in scalars(base):
        value, name = at(base, path), ".".join(map(str, path))
        tries = EMPTY if value in ("", None, [], {}) and not isinstance(value, bool) else [not value] if isinstance(value, bool) else [changed(value, name)]
        count += 1
        if not any(differs(base, path, one, before) for one in tries):
            dead.add(name)
    need(dead <= CHOSEN, f"values that change nothing: {sorted(dead - CHOSEN)}")
    return f"{count} values, but for {len(dead)} that only cases can change"


def differs(base, path, value, before):
    try:
        return render(put(base, path, value)).text != before
    except Refused:
        return False


def scalars(value, path=()):
    if isinstance(value, dict) and value:
        for key, it in value.items():
            yield from scalars(it, (*path, key))
    elif isinstance(value, list) and value:
        for index, it in enumerate(value):
            yield from scalars(it, (*path, index))
    else:
        yield path


# What an empty value is tried with.
EMPTY = ["other", 3, {"a": "b"}, {"a": {"b": "c"}}, [{"name": "other"}], ["other"], ["10.9.9.0/24"], [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]]
# They may be one of a few, or need another value beside them; cases.py has them.
CHOSEN = {
    "operator.enabled", "operator.image.digest", "operator.updateStrategy.type", "operator.dnsPolicy", "runtime.kind", "runtime.protocol", "runtime.image.digest",
    "runtime.service.enabled", "runtime.schedulerNatsUrl", "runtime.dataNatsUrl", "runtime.operatorUrl", "runtime.updateStrategy.type",
    "runtime.podDisruptionBudget.enabled", "runtime.dnsPolicy", "autoscaling.service.enabled",
}


def at(value, path):
    for key in path:
        value = value[key]
    return value


def put(value, path, new):
    if not path:
        return new
    if isinstance(value, list):
        return [put(it, path[1:], new) if index == path[0] else it for index, it in enumerate(value)]
    return value | {path[0]: put(value[path[0]], path[1:], new)}


def templates_have_no_literals():
    """Numbers of two digits or more, images and addresses do not stand in templates."""
    found = []
    for path in sorted((CHART / "templates").rglob("*")):
        if path.suffix not in (".yaml", ".tpl"):
            continue
        text = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", path.read_text(), flags=re.S)
        for number, line in enumerate(text.splitlines(), 1):
            code = re.sub(r"(^|\s)#.*", "", line)
            # Helm's own measures: indents, lengths of names, units of time.
            code = re.sub(r"n?indent \d+|trunc \d+|\"(h|m|s|ms)\" \d+|\b(999|1000)\b|float64|int64|io/v1|autoscaling/v2|k8s|v1alpha1", "", code)
            if re.search(r"\d{2,}|localhost|0\.0\.0\.0|cluster\.local|penstock-(system|operator|host)|nats://|ghcr\.io", code):
                if code.strip() not in ('{{- if ne .Values.clusterDomain "cluster.local" -}}',):
                    found.append(f"{path.relative_to(CHART)}:{number}: {line.strip()}")
    need(not found, "literals in templates:\n    " + "\n    ".join(found))
    return "none"
