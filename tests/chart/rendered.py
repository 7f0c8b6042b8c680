"""The chart as Helm renders it."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/chart"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CACHE = pathlib.Path(os.environ.get("PENSTOCK_CACHE", pathlib.Path.home() / ".cache/penstock")) / "cluster/bin"


def program(name):
    """A program by its variable of the environment ($HELM), by the PATH, or from the cluster's cache."""
    found = os.environ.get(name.upper()) or shutil.which(name) or CACHE / name
    if not pathlib.Path(found).is_file():
        raise SystemExit(f"render.py: {name} is not there: `tests/cluster/cluster build {name}` makes it, or set ${name.upper()}")
    return str(found)


class Refused(Exception):
    """Helm has not rendered it."""


@dataclasses.dataclass
class Rendered:
    text: str
    objects: list

    def of(self, *kinds):
        return [it for it in self.objects if it["kind"] in kinds]

    def get(self, kind, name=None):
        found = [it for it in self.of(kind) if name in (None, it["metadata"]["name"])]
        need(len(found) == 1, f"{len(found)} objects are {kind}/{name or ''}, not one")
        return found[0]

    def has(self, kind, name=None):
        return any(name in (None, it["metadata"]["name"]) for it in self.of(kind))


def need(condition, message):
    if not condition:
        raise AssertionError(message)


def render(values=None, release="penstock", namespace="penstock-system", args=()):
    command = [program("helm"), "template", release, str(CHART), "--namespace", namespace, *args]
    text = None
    if values is not None:
        command += ["--values", "-"]
        text = json.dumps(values)
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr.strip())
    need(not done.stderr.strip(), f"helm warns: {done.stderr.strip()}")
    documents = [it for it in yaml.load_all(done.stdout, LOADER) if it is not None]
    return Rendered(done.stdout, documents)


def pods(rendered):
    """What pods are made from: (object, metadata, spec)."""
    for it in rendered.of("Deployment", "DaemonSet"):
        yield it, it["spec"]["template"]["metadata"], it["spec"]["template"]["spec"]
    for it in rendered.of("Pod"):
        yield it, it["metadata"], it["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def env(container):
    return {it["name"]: it.get("value", it.get("valueFrom")) for it in container.get("env", [])}


def host(rendered, group="default"):
    """A group's container."""
    for _, metadata, spec in pods(rendered):
        if metadata["labels"].get("wasmcloud.com/hostgroup") == group:
            return spec["containers"][0]
    raise AssertionError(f"there is no group {group}")


def operator(rendered):
    found = [it for it in rendered.of("Deployment") if it["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"]
    need(len(found) == 1, f"{len(found)} operators")
    return found[0]["spec"]["template"]["spec"]["containers"][0]
