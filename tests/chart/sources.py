"""The chart beside the programs: every flag can be set, defaults are the same, every metric exists."""

import json
import re

import yaml

from cases import all_on
from rendered import CHART, LOADER, ROOT, env, host, need, operator, render

ARGS = {"operator": ["operator/src/args.rs"], "host": ["host/src/args.rs", "host/src/args/fronts.rs"]}
# Set by the chart, and read by no program yet. One that a program reads must leave this list.
PENDING = {
    "PENSTOCK_ALLOW_SHARED_HOSTS", "PENSTOCK_CA_NAME", "PENSTOCK_NATS_SUBJECT_PREFIX",
    *(f"PENSTOCK_{side}_NATS_{what}" for side in ("SCHEDULER", "DATA")
      for what in ("URL", "CREDENTIALS", "TLS", "TLS_FIRST", "TLS_CA", "TLS_CERTIFICATE", "TLS_KEY")),
}
# Defaults that the chart leaves to the program, or makes from names and namespaces, and so are not compared.
DERIVED = {"POD_NAMESPACE", "POD_NAME", "POD_IP", "PENSTOCK_OPERATOR"}


def flags(program):
    """Variables of the environment with their defaults, as clap's attributes have them."""
    found = {}
    for path in ARGS[program]:
        for attribute in re.findall(r"#\[arg\((.*?)\)\]\s*pub|#\[arg\((.*?)\)\]\s*[a-z_]+:", (ROOT / path).read_text(), re.S):
            text = "".join(attribute)
            name = re.search(r'env = "([A-Z0-9_]+)"', text)
            default = re.search(r'default_value = "([^"]*)"', text) or re.search(r"default_value_t = ([0-9]+)", text)
            if name:
                found[name[1]] = default and default[1]
    need(len(found) > 15, f"{program}: only {len(found)} flags were found, so this test reads args.rs wrongly")
    return found


def every_flag_can_be_set():
    plain, full = render({"crds": {"install": False}}), render(all_on())
    said = []
    for program, container in (("operator", operator), ("host", host)):
        known, default, most = flags(program), env(container(plain)), env(container(full))
        missing = known.keys() - most.keys()
        need(not missing, f"no value of the chart sets {sorted(missing)} of penstock-{program}")
        unknown = {name for name in most if name.startswith("PENSTOCK_")} - known.keys() - PENDING
        need(not unknown, f"penstock-{program} reads no {sorted(unknown)}")
        read = PENDING & known.keys()
        need(not read, f"penstock-{program} reads {sorted(read)} now: take them off PENDING")
        for name, value in known.items():
            if value is not None and name not in DERIVED:
                need(default.get(name) == value, f"{name} is {default.get(name)} by the chart, and {value} by penstock-{program} itself")
        said.append(f"{len(known)} of penstock-{program}")
    waiting = {name for it in (operator(full), host(full)) for name in env(it)} & PENDING
    return f"{', '.join(said)}; {len(waiting)} are read by neither yet"


def metrics():
    """Names in the documentation's tables, with `_suffix` written out: all but the last part of the name before it goes on."""
    found = set()
    for page in ("docs/host.md", "docs/operator.md"):
        for line in (ROOT / page).read_text().splitlines():
            if not line.startswith("| `penstock_"):
                continue
            names = re.findall(r"`([a-z_]+)`", line.split("|")[1])
            found.add(names[0])
            stem = names[0]
            for name in names[1:]:
                found |= {f"{stem[:at]}{name}" for at in range(1, len(stem)) if stem[at] == "_"}
    return found


def metrics_exist():
    known = metrics()
    board = json.loads((CHART / "files/dashboard.json").read_text())
    rules = yaml.load((CHART / "files/alerts.yaml").read_text(), LOADER)
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    expressions += [it["query"]["query"] for it in board["templating"]["list"] if isinstance(it["query"], dict)]
    expressions += [rule["expr"] for rule in rules.values()]
    used = {name for text in expressions for name in re.findall(r"penstock_[a-z_]+", text)}
    for name in used:
        bare = re.sub(r"_(bucket|sum|count)$", "", name)
        need(name in known or bare in known, f"{name} is not in docs/host.md or docs/operator.md")
    sources = "".join((ROOT / path).read_text() for path in ("host/src/app/metrics.rs", "operator/src/metrics.rs"))
    for name in used:
        last = re.sub(r"_(bucket|sum|count|total)$", "", name).removeprefix("penstock_operator_").removesuffix("_seconds")
        need(last in sources, f"{name} is documented, and not counted")
    for name, rule in rules.items():
        need(name.startswith("Penstock") and rule["labels"]["severity"] in ("critical", "warning", "info"), f"{name}: {rule}")
        need({"summary", "description"} == rule["annotations"].keys(), f"{name}: annotations")
    return f"{len(used)} of {len(known)} in {len(expressions)} expressions"


def versions():
    chart = yaml.load((CHART / "Chart.yaml").read_text(), LOADER)
    cargo = re.search(r'\[workspace\.package\][^\[]*?^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.S | re.M)[1]
    need(chart["version"] == chart["appVersion"] == cargo, f"the chart is {chart['version']} ({chart['appVersion']}), the workspace {cargo}")
    return cargo
