#!/usr/bin/env python3
"""Renders the chart with many values and looks at what comes of it. No cluster is needed.

usage: tests/chart/render.py [--only TEXT] [--each] [--keep FOLDER]

--only: cases whose name has TEXT. --each: also change every value alone and see that it counts (minutes). --keep: write what is
rendered to FOLDER. Needs helm and kubectl ($HELM, $KUBECTL, the PATH, or what `tests/cluster/cluster build core helm` has made) and PyYAML.
With $ADMITS (tests/cluster/tools/admits, the API server's own validation) every rendering is held against that, too.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import checks
import compare
import hardcoded
import sources
from cases import CASES, REFUSALS
from rendered import CHART, ROOT, Refused, need, program, render


def generated():
    done = subprocess.run([sys.executable, str(ROOT / "deploy/chart.py"), "--check"], capture_output=True, text=True)
    need(done.returncode == 0, done.stderr.strip())


def lint():
    done = subprocess.run([program("helm"), "lint", "--strict", str(CHART)], capture_output=True, text=True)
    need(done.returncode == 0, done.stdout + done.stderr)
    return done.stdout.strip().splitlines()[-1]


def case(it, folder):
    values = it.values if it.crds else {"crds": {"install": False}} | it.values
    found = render(values, it.release, it.namespace)
    for check in checks.ALWAYS + ([] if it.relaxed else checks.STRICT):
        check(found)
    it.expect(found)
    file = folder / f"{it.name.replace(' ', '-').replace('/', '-')}.yaml"
    file.write_text(found.text)
    if admits := os.environ.get("ADMITS"):
        environment = os.environ | ({"RELAXED": "1"} if it.relaxed else {})
        done = subprocess.run([admits, str(file)], capture_output=True, text=True, env=environment)
        need(done.returncode == 0, done.stdout + done.stderr)


def refusal(it):
    try:
        render({"crds": {"install": False}} | it.values)
    except Refused as error:
        need(it.says in str(error), f"the sentence is another: {error}")
        return
    need(False, "it was rendered")


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("--only", default="")
    options.add_argument("--each", action="store_true")
    options.add_argument("--keep")
    given = options.parse_args()
    failed = passed = 0
    start = time.monotonic()

    def run(name, work, *arguments):
        nonlocal failed, passed
        if given.only not in name:
            return
        try:
            said = work(*arguments)
            passed += 1
            if said:
                print(f"ok    {name}: {said}")
        except (AssertionError, Refused, KeyError, IndexError, TypeError) as error:
            failed += 1
            print(f"FAIL  {name}: {type(error).__name__}: {error}")

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(given.keep or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        run("what is generated is up to date", generated)
        run("versions", sources.versions)
        run("lint", lint)
        for it in CASES:
            run(it.name, case, it, folder)
        for it in REFUSALS:
            run(f"refused: {it.name}", refusal, it)
        run("deploy/ is in the chart", compare.deploy_is_in_the_chart)
        run("the operator may do its work", compare.the_operator_may_do_its_work)
        run("every flag can be set", sources.every_flag_can_be_set)
        run("metrics exist", sources.metrics_exist)
        run("nothing is hard-coded", hardcoded.nothing_is_hard_coded)
        run("templates have no literals", hardcoded.templates_have_no_literals)
        if given.each:
            run("every value counts", hardcoded.every_value_counts)
    print(f"{passed} passed, {failed} failed: {len(CASES)} cases, {len(REFUSALS)} refusals, {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
