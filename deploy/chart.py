#!/usr/bin/env python3
"""Writes what is generated in deploy/chart: the resource definitions, values.schema.json and README.md's table of values.

usage: deploy/chart.py [--check]

--check writes nothing and fails if something is not as it would be written. The definitions are those of deploy/crds
(`make generate`); types and texts come from values.yaml and its `# --` comments, and what they cannot say from HINTS below.
Needs PyYAML (Debian: python3-yaml).
"""

import fnmatch
import json
import pathlib
import re
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
CHART = HERE / "chart"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"

TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}
FREE = {"type": "object"}
DURATION = {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
PROMETHEUS_DURATION = {"type": "string", "pattern": "^$|^([0-9]+(ms|[smhdwy]))+$"}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
PATH = {"type": "string", "pattern": "^/.+"}
NAME = {"type": "string", "pattern": "^$|^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
PORT_NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 15}
FOLDER = {"type": "string", "pattern": "^/.+[^/]$"}
NATS_URL = {"type": "string", "pattern": r"^$|^(nats|tls|ws|wss)://\S+$"}
NETWORKS = {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$"}}
TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}}
OBJECTS = {"type": "array", "items": FREE}
NAMED = {"type": "array", "items": {"type": "object", "required": ["name"]}}
LABELS = {"type": "object", "additionalProperties": TEXT}
COUNT_OR_PERCENT = {"anyOf": [NUMBER, {"type": "string", "pattern": "^[0-9]+%$"}]}


def one_of(*values):
    return {"type": "string", "enum": list(values)}


def or_null(schema):
    if "type" in schema and "enum" not in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return {**schema, "type": kinds + ["null"]} if "null" not in kinds else schema
    return {"anyOf": [schema, {"type": "null"}]}


# By path, the first that fits. A value that is not here has the type of its default; an object with keys allows no others, one
# without keys allows all.
HINTS = [
    ("*.labels", LABELS), ("*.annotations", LABELS), ("*podLabels", LABELS), ("*podAnnotations", LABELS), ("common*", LABELS),
    ("*.ruleLabels", LABELS), ("*nodeSelector", LABELS),
    ("extraObjects", {"type": "array", "items": {"type": ["object", "string"]}}),
    ("clusterDomain", {"type": "string", "minLength": 1}),
    ("namespace.name", NAME), ("*.namespace", NAME), ("*ullnameOverride", {**NAME, "maxLength": 63}), ("*.serviceAccount.name", NAME),
    ("*ervice.name", NAME), ("operator.lease", NAME), ("operator.caName", {**NAME, "minLength": 1}), ("*ecretName", NAME),
    ("global.nats.*Url", NATS_URL), ("runtime.*NatsUrl", NATS_URL), ("global.nats.directory", FOLDER),
    ("global.nats.subjectPrefix", {"type": "string", "pattern": r"^$|^[^\s.*>]+(\.[^\s.*>]+)*$"}),
    ("*.pullSecrets", NAMED),
    ("*.image.repository", {"type": "string", "minLength": 1}),
    ("*.image.tag", {"type": ["string", "number"]}),
    ("*.image.digest", {"type": "string", "pattern": "^$|^sha256:[0-9a-f]{64}$"}),
    ("*.image.pullPolicy", one_of("Always", "IfNotPresent", "Never")),
    ("operator.watchNamespaces", {"type": "array", "items": {**NAME, "minLength": 1}, "uniqueItems": True}),
    ("operator.listenerPorts", {"type": "string", "pattern": "^[1-9][0-9]{0,4}-[1-9][0-9]{0,4}$"}),
    ("*Address", {"type": "string", "minLength": 1}), ("operator.audience", {"type": "string", "minLength": 1}),
    ("operator.propagationDelay", DURATION), ("operator.hostGrace", DURATION), ("operator.leaseDuration", DURATION),
    ("operator.writers", {"type": "integer", "minimum": 1, "maximum": 65535}),
    ("operator.certificateNames", TEXTS),
    ("*.logFormat", one_of("text", "json")),
    ("*.ports.*", PORT), ("*.portNames.*", PORT_NAME), ("*.portName", PORT_NAME), ("*.http.port", PORT), ("*ervice.port", PORT),
    ("*.adminPort", PORT), ("*.scalerPort", PORT), ("*.metricsPort", PORT), ("*.nodePort", or_null(PORT)),
    ("*.service*.type", one_of("ClusterIP", "NodePort", "LoadBalancer")), ("*.sharedService.type", one_of("ClusterIP", "NodePort", "LoadBalancer")),
    ("*.containerName", PORT_NAME | {"maxLength": 63}),
    ("*ommand", TEXTS), ("*rgs", TEXTS),
    ("*.env", NAMED), ("*.extraVolumes", NAMED), ("*.extraVolumeMounts", NAMED), ("*ontainers", NAMED), ("*.extraPorts", OBJECTS),
    ("*.resources", FREE), ("*Probe", or_null(FREE)), ("*ecurityContext", FREE),
    ("*.updateStrategy", {"type": "object", "required": ["type"], "additionalProperties": False, "properties": {
        "type": one_of("RollingUpdate", "Recreate", "OnDelete"), "rollingUpdate": or_null(FREE)}}),
    ("*.podDisruptionBudget.enabled", {"type": ["boolean", "null"]}),
    ("*.maxUnavailable", or_null(COUNT_OR_PERCENT)), ("*.minAvailable", or_null(COUNT_OR_PERCENT)),
    ("*.unhealthyPodEvictionPolicy", one_of("", "AlwaysAllow", "IfHealthyBudget")),
    ("*.dnsPolicy", one_of("", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")),
    ("*.topologySpreadConstraints", {"type": "array", "items": {"type": "object", "required": ["maxSkew", "topologyKey", "whenUnsatisfiable"]}}),
    ("runtime.kind", one_of("", "DaemonSet", "Deployment")), ("runtime.replicas", or_null(NUMBER)),
    ("runtime.protocol", one_of("control", "nats")), ("runtime.service.enabled", {"type": ["boolean", "null"]}),
    ("runtime.operatorUrl", {"type": "string", "pattern": "^$|^https://[^/]+:[0-9]+$"}),
    ("runtime.tokenExpirationSeconds", {"type": "integer", "minimum": 600}),
    ("runtime.*File", PATH), ("autoscaling.scalerClientCa.file", PATH), ("*ConfigMapName", NAME), ("autoscaling.keda.name", {**NAME, "minLength": 1}), ("runtime.*Dir", FOLDER), ("runtime.sharedCode.directory", FOLDER), ("runtime.sharedCode.keyFile", PATH),
    ("runtime.volumes", {"type": "object", "required": ["cache", "secrets", "tmp"], "additionalProperties": False,
                         "properties": dict.fromkeys(["cache", "secrets", "tmp"], FREE)}),
    ("runtime.drain*", DURATION), ("runtime.maxInstances", or_null({"type": "integer", "minimum": 1})),
    ("tests.maxInstances", {"type": "integer", "minimum": 1}),
    ("runtime.defaultMemoryMib", {"type": "integer", "minimum": 1, "maximum": 4096}),
    ("runtime.insecureRegistries", TEXTS), ("runtime.trustedProxies", NETWORKS), ("runtime.proxyProtocolFrom", NETWORKS),
    ("runtime.forwarding", one_of("off", "x-forwarded", "forwarded")),
    ("runtime.traceContext", one_of("off", "continue", "begin", "begin-sampled")),
    ("monitoring.*.interval", PROMETHEUS_DURATION), ("monitoring.*.scrapeTimeout", PROMETHEUS_DURATION),
    ("monitoring.dashboard.tags", TEXTS),
    ("monitoring.alerts.rules", {"type": "object", "additionalProperties": {"type": ["object", "null"]}}),
    ("*.extraClusterRules", OBJECTS), ("*.extraRules", OBJECTS),
]

# Keys of wasmCloud's chart that say nothing here: they are let pass, and NOTES.txt tells that they have no effect.
WITHOUT_EFFECT = {
    "": {"nats": FREE, "gateway": FREE},
    "global.certificates": {"generate": {"type": "boolean"}, "natsCertSecretName": TEXT},
    "operator": {"hostNamespaces": TEXTS},
    "group": {"webgpu": FREE, "plugins": OBJECTS, "hostPlugins": OBJECTS},
}
# wasmCloud's name for image.pullPolicy.
PULL_POLICY = {"pull_policy": one_of("", "Always", "IfNotPresent", "Never")}
# Of all groups together.
NOT_OF_GROUPS = ["hostGroups", "serviceAccount", "sharedService"]


def comments(text):
    """`# --` comments of values.yaml by path."""
    found, path, pending = {}, [], []
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("# -- "):
            pending = [bare[5:]]
            continue
        if bare.startswith("# ") and pending:
            pending.append(bare[2:])
            continue
        key = re.match(r"( *)([A-Za-z_]+):(?: |$)", line)
        if not key:
            pending = [] if not bare else pending
            continue
        depth = len(key[1]) // 2
        path = path[:depth] + [key[2]]
        if pending:
            found[".".join(path)] = " ".join(pending)
        pending = []
    return found


def schema_of(value, path, texts):
    hint = next((hint for pattern, hint in HINTS if fnmatch.fnmatchcase(path, pattern)), None)
    if hint is not None:
        schema = dict(hint)
    elif isinstance(value, bool):
        schema = {"type": "boolean"}
    elif isinstance(value, int):
        schema = dict(NUMBER)
    elif isinstance(value, str):
        schema = dict(TEXT)
    elif isinstance(value, list):
        schema = {"type": "array"}
    elif isinstance(value, dict) and not value:
        schema = dict(FREE)
    elif isinstance(value, dict):
        below = {key: schema_of(it, f"{path}.{key}".lstrip("."), texts) for key, it in value.items()}
        if path.endswith(".image") and "repository" in value:
            below |= PULL_POLICY
        schema = {"type": "object", "additionalProperties": False, "properties": below | WITHOUT_EFFECT.get(path, {})}
    else:
        raise SystemExit(f"chart.py: {path} has no default, so HINTS must say what it is")
    if path in texts:
        schema["description"] = texts[path].replace("`", "")
    return schema


def schema(values, texts):
    whole = schema_of({key: it for key, it in values.items() if key != "runtime"}, "", texts)
    # As a dependency of another chart it gets that chart's `global`.
    whole["properties"]["global"]["additionalProperties"] = True
    runtime = schema_of({key: it for key, it in values["runtime"].items() if key != "hostGroups"}, "runtime", texts)
    own = {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 40,
                 "description": "The group's name, by which a workload's hostSelector knows it."},
        "namespace": {**NAME, "description": "Where the hosts are, if they are driven over NATS."},
        "fullnameOverride": {**NAME, "maxLength": 63, "description": "The name of the group's objects."},
    }
    below = {key: nullable(it) for key, it in runtime["properties"].items() if key not in NOT_OF_GROUPS}
    group = {"type": "object", "required": ["name"], "additionalProperties": False, "properties": own | below | WITHOUT_EFFECT["group"]}
    runtime["properties"]["hostGroups"] = {"type": "array", "items": group, "description": texts["runtime.hostGroups"]}
    whole["properties"]["runtime"] = runtime
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of Penstock's chart",
            "$comment": "Generated from values.yaml by deploy/chart.py. Do not edit.", **whole}


def nullable(schema):
    """In a group `null` takes away what `runtime` says."""
    schema = dict(schema)
    if schema.get("additionalProperties") is False:
        schema["properties"] = {key: nullable(it) for key, it in schema["properties"].items()}
        schema.pop("required", None)
    elif isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = nullable(schema["additionalProperties"])
    return or_null(schema)


def table(values, texts):
    rows = ["| Key | Default | Meaning |", "|---|---|---|"]

    def walk(value, path):
        if path in texts:
            shown = json.dumps(value, ensure_ascii=False)
            if len(shown) > 60:
                shown = "see values.yaml"
            elif value == "" or value is None:
                shown = ""
            else:
                shown = f"`{shown}`"
            rows.append(f"| `{path}` | {shown} | {texts[path]} |".replace("\\|", "|"))
        elif isinstance(value, dict) and value:
            for key, it in value.items():
                walk(it, f"{path}.{key}".lstrip("."))
        else:
            raise SystemExit(f"chart.py: {path} has no `# --` comment in values.yaml")

    walk(values, "")
    return "\n".join(rows)


def generated():
    text = (CHART / "values.yaml").read_text()
    values, texts = yaml.safe_load(text), comments(text)
    readme = (CHART / "README.md").read_text()
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    files = {CHART / "files/crds" / it.name: it.read_text() for it in sorted((HERE / "crds").glob("*.yaml"))}
    files[CHART / "values.schema.json"] = json.dumps(schema(values, texts), indent=1, ensure_ascii=False) + "\n"
    files[CHART / "README.md"] = f"{before}{BEGIN}\n{table(values, texts)}\n{END}{after}"
    return files


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        raise SystemExit(__doc__)
    check = bool(sys.argv[1:])
    files = generated()
    stale = [it for it in (CHART / "files/crds").glob("*.yaml") if it not in files]
    wrong = stale + [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if check:
        for path in wrong:
            print(f"chart.py: {path.relative_to(HERE.parent)} is not up to date: run deploy/chart.py", file=sys.stderr)
        return 1 if wrong else 0
    for path in stale:
        path.unlink()
    for path in wrong:
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path])
        print(path.relative_to(HERE.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
