#!/usr/bin/env python3
"""Penstock's router beside nginx, Envoy, Caddy and a plain hyper server: all with one static answer, on one CPU, in one run.

usage: bench/gateways/run.py [--rounds N] [--seconds N] [--only NAME,...] [--swap]

Every server is pinned to CPU 0 and the load (h2load) to CPU 1, so that rates are rates per core. In each round every server is
measured once for each protocol, one after the other; the table has medians, and ratios of the same round. Latency is taken at
one rate for all, half of what the slowest one can do. `make bench-gateways` installs what this needs and builds it.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "bench/gateways"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TOOLS = pathlib.Path(os.environ.get("PENSTOCK_CACHE", pathlib.Path.home() / ".cache/penstock")) / "tools"
# One of the 10,000 routes of Penstock's table (bench/src/routes.rs).
HOST, PATH = "service-7.example.com", "/team-3/app-7/items/7?x=1"
PATH = "/team-0/app-0/items/7?x=1"
PROTOCOLS = ["h1", "h2c", "h1+tls", "h2+tls"]
CONNECTIONS = {"h1": 64, "h2c": 16, "h1+tls": 64, "h2+tls": 16}
STREAMS = {"h2c": 16, "h2+tls": 16}
IDLE = 10_000


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Server:
    """A server that runs, with a port for each protocol that it has."""

    def __init__(self, name, command, ports, env=None, log=None, announces=()):
        self.name, self.ports = name, dict(ports)
        self.log = open(log, "w+")
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", *command], stdout=subprocess.PIPE if announces else self.log, stderr=self.log,
            text=True, start_new_session=True, env={**os.environ, **(env or {})},
        )
        for protocols in announces:
            port = int(re.search(r":(\d+)\s*$", self.process.stdout.readline()).group(1))
            self.ports.update(dict.fromkeys(protocols, port))
        for port in set(self.ports.values()):
            self.wait(port)

    def wait(self, port):
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.log.seek(0)
                    sys.exit(f"{self.name} does not listen on {port}:\n{self.log.read()}")
                time.sleep(0.05)

    def pids(self):
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.owns(pid)]

    def owns(self, pid):
        try:
            return os.getpgid(int(pid)) == self.process.pid
        except ProcessLookupError:
            return False

    def cpu(self):
        """Seconds of CPU time of all its processes."""
        total = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def memory(self, field="VmRSS"):
        """MiB of all its processes."""
        total = 0
        for pid in self.pids():
            found = re.search(field + r":\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
            total += int(found.group(1)) if found else 0
        return total / 1024

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )


def servers(folder, only):
    """Starts them, each with its configuration from this folder."""
    def configured(file):
        ports = {name: free_port() for name in ["h1", "h2c", "tls", "admin"]}
        text = (HERE / file).read_text()
        for name, port in ports.items():
            text = text.replace(f"@{name}@", str(port))
        path = folder / file
        path.write_text(text.replace("@folder@", str(folder)))
        return path, ports

    started = []

    def start(name, *arguments, **more):
        if not only or any(part in name for part in only):
            started.append(Server(name, *arguments, log=folder / f"{name.split()[0]}.log", **more))

    one = {"TOKIO_WORKER_THREADS": "1"}
    start("hyper h1", [TARGET / "plain_hyper"], {}, env=one, announces=[["h1"]])
    start("hyper h2", [TARGET / "plain_hyper", "--http2"], {}, env=one, announces=[["h2c"]])
    tls = ["--certificate", folder / "cert.pem", "--key", folder / "key.pem"]
    start("penstock", [TARGET / "native", *tls], {}, env=one, announces=[["h1", "h2c"], ["h1+tls", "h2+tls"]])
    config, ports = configured("nginx.conf")
    of = {"h1": ports["h1"], "h2c": ports["h2c"], "h1+tls": ports["tls"], "h2+tls": ports["tls"]}
    start("nginx", ["nginx", "-c", config, "-p", folder], of)
    config, ports = configured("envoy.yaml")
    of = {"h1": ports["h1"], "h2c": ports["h1"], "h1+tls": ports["tls"], "h2+tls": ports["tls"]}
    envoy = next(TOOLS.glob("envoy/lib/python*/site-packages/envoy/_bin/envoy"))
    start("envoy", [envoy, "-c", config, "--concurrency", "1", "-l", "error", "--disable-hot-restart"], of)
    config, ports = configured("Caddyfile")
    of = {"h1": ports["h1"], "h2c": ports["h1"], "h1+tls": ports["tls"], "h2+tls": ports["tls"]}
    home = {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    start("caddy", [TOOLS / "bin/caddy", "run", "--adapter", "caddyfile", "--config", config], of, env=home)
    return started


def h2load(server, protocol, seconds, rate=None):
    """What h2load says: answers a second; with a rate, the latencies of all requests in microseconds."""
    connections = CONNECTIONS[protocol]
    scheme = "https" if "tls" in protocol else "http"
    command = ["taskset", "-c", "1", "h2load", "-c", str(connections), "-D", str(seconds), "--warm-up-time", "1"]
    command += ["--h1"] if "h1" in protocol else ["-m", str(STREAMS[protocol])]
    command += [f"--connect-to=127.0.0.1:{server.ports[protocol]}"]
    log = None
    if rate:
        log = tempfile.NamedTemporaryFile()
        command += ["--rps", str(max(1, round(rate / connections))), f"--log-file={log.name}"]
    done = subprocess.run([*command, f"{scheme}://{HOST}{PATH}"], capture_output=True, text=True, check=True)
    counts = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    succeeded, failed = int(counts.group(2)), sum(int(counts.group(n)) for n in (3, 4, 5))
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    if failed or succeeded == 0 or any(int(codes.group(n)) for n in (2, 3, 4)):
        sys.exit(f"{server.name} {protocol}: not every answer is right:\n{done.stdout}")
    result = {"rate": float(re.search(r"finished in .*, ([\d.]+) req/s", done.stdout).group(1)), "answers": succeeded, "raw": done.stdout}
    if log:
        times = sorted(int(line.split("\t")[2]) for line in log.read().decode().splitlines() if line.count("\t") == 2)
        result |= {f"p{p}": times[min(len(times) - 1, int(len(times) * p / 100))] for p in (50, 99, 99.9)}
    return result


def measure(server, protocol, seconds):
    before = server.cpu()
    result = h2load(server, protocol, seconds)
    # The warm-up counts for neither: h2load does not count its answers, and so its CPU time is taken off in proportion.
    used = (server.cpu() - before) * seconds / (seconds + 1)
    return result | {"cpu_us": used / result["answers"] * 1e6}


def idle(server):
    """MiB that 10,000 connections take which have been used once."""
    before, held = server.memory(), []
    for _ in range(IDLE):
        it = socket.create_connection(("127.0.0.1", server.ports["h1"]), 10)
        it.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        held.append(it)
    for it in held:
        if not it.recv(4096).startswith(b"HTTP/1.1 200"):
            sys.exit(f"{server.name}: a connection is not answered")
    time.sleep(0.5)
    taken = server.memory() - before
    for it in held:
        it.close()
    return taken


def table(rows):
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def versions():
    def first(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().splitlines()[0].strip()

    envoy = next(TOOLS.glob("envoy/lib/python*/site-packages/envoy/_bin/envoy"))
    return ", ".join([
        first("nginx", "-v").removeprefix("nginx version: "), "envoy " + first(envoy, "--version").split("/")[1],
        "caddy " + first(TOOLS / "bin/caddy", "version").split()[0], first("h2load", "--version").replace(" nghttp2/", " "),
        first("rustc", "--version"),
    ])


def compare(arguments, folder):
    started = servers(folder, arguments.only)
    raw, samples = [], {}
    try:
        for number in range(arguments.rounds):
            for protocol in PROTOCOLS:
                able = [it for it in started if protocol in it.ports]
                for server in able if number % 2 == 0 else able[::-1]:
                    result = measure(server, protocol, arguments.seconds)
                    samples.setdefault((protocol, server.name.split()[0]), []).append(result)
                    raw.append({"round": number, "protocol": protocol, "server": server.name, "load": "full"} | result)
                    print(f"round {number}: {protocol:7} {server.name:10} {result['rate']:>9.0f}/s {result['cpu_us']:>6.1f} us", file=sys.stderr)
        for protocol in PROTOCOLS:
            slowest = min(it["rate"] for (of, _), all in samples.items() if of == protocol for it in all)
            for number in range(arguments.rounds):
                for server in [it for it in started if protocol in it.ports]:
                    result = h2load(server, protocol, arguments.seconds, rate=slowest / 2)
                    samples[(protocol, server.name.split()[0])][number] |= {f"steady_{key}": result[key] for key in ("rate", "p50", "p99", "p99.9")}
                    raw.append({"round": number, "protocol": protocol, "server": server.name, "load": "half"} | result)
        memory = {it.name.split()[0]: idle(it) for it in started if "h1" in it.ports}
    finally:
        for it in started:
            it.stop()
    rows = [["protocol", "server", "req/s", "penstock : it", "CPU us/req", "at req/s", "p50 us", "p99 us", "p99.9 us"]]
    for protocol in PROTOCOLS:
        for name in ["penstock", "hyper", "nginx", "envoy", "caddy"]:
            all = samples.get((protocol, name))
            if not all:
                continue
            middle = lambda key: statistics.median(it[key] for it in all)
            ours = samples.get((protocol, "penstock"), [])
            ratios = [a["rate"] / b["rate"] for a, b in zip(ours, all)]
            ratio = "" if name == "penstock" or not ratios else f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"
            rows.append([protocol, name, f"{middle('rate'):,.0f}", ratio, f"{middle('cpu_us'):.1f}", f"{middle('steady_rate'):,.0f}",
                         f"{middle('steady_p50'):,.0f}", f"{middle('steady_p99'):,.0f}", f"{middle('steady_p99.9'):,.0f}"])
    idle_rows = [["server", f"MiB for {IDLE:,} idle connections"]] + [[name, f"{mib:.0f}"] for name, mib in memory.items()]
    return raw, table(rows) + "\n\n" + table(idle_rows)


def swap(arguments, folder):
    """Live traffic while a table of 100,000 routes is built and swapped, and without."""
    size, raw, quiet = 100_000, [], {}
    for number in range(arguments.rounds):
        for label, more in [("without", []), ("with", ["--swap-every", "300"])]:
            # Both CPUs: a host builds its tables on a thread beside those that serve.
            server = Server("penstock", [TARGET / "native", "--routes", str(size), *more], {}, log=folder / "native.log", announces=[["h1", "h2c"]])
            subprocess.run(["taskset", "-a", "-p", "-c", "0,1", str(server.process.pid)], check=True, capture_output=True)
            first = server.memory("VmHWM")
            result = h2load(server, "h1", arguments.seconds, rate=arguments.rate)
            peak = server.memory("VmHWM")
            os.set_blocking(server.process.stdout.fileno(), False)
            built = [float(it) for it in re.findall(r"built in ([\d.]+) ms", server.process.stdout.read() or "")]
            server.stop()
            result |= {"swaps": len(built), "built_ms": statistics.median(built) if built else 0, "first": first, "peak": peak}
            quiet.setdefault(label, []).append(result)
            raw.append({"round": number, "server": "penstock", "load": label} | result)
            print(f"round {number}: {label:8} swaps p50 {result['p50']} us p99 {result['p99']} us, {len(built)} swaps", file=sys.stderr)
    rows = [["swaps", "req/s", "p50 us", "p99 us", "p99.9 us", "swaps", "built in ms", "MiB before", "MiB at most"]]
    for label, all in quiet.items():
        middle = lambda key: statistics.median(it[key] for it in all)
        rows.append([label, f"{middle('rate'):,.0f}", *[f"{middle(f'p{p}'):,.0f}" for p in (50, 99, 99.9)], f"{middle('swaps'):.0f}",
                     f"{middle('built_ms'):.0f}", f"{middle('first'):.0f}", f"{middle('peak'):.0f}"])
    ratios = [a["p99"] / b["p99"] for a, b in zip(quiet["with"], quiet["without"])]
    text = f"p99 with swaps by p99 without: **{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}); goal 1.2 at most."
    return raw, table(rows) + "\n\n" + text


def write(name, raw, text):
    """Raw figures into bench/results, the table between its marks in bench/README.md."""
    (ROOT / f"bench/results/{name}.jsonl").write_text("".join(json.dumps(it) + "\n" for it in raw))
    readme = ROOT / "bench/README.md"
    before, rest = readme.read_text().split(f"<!-- {name} -->", 1)
    after = rest.split(f"<!-- /{name} -->", 1)[1]
    readme.write_text(f"{before}<!-- {name} -->\n\n{text}\n\n<!-- /{name} -->{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each server and protocol (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of each (default 4)")
    parser.add_argument("--only", type=lambda it: it.split(","), help="only servers whose names contain one of these")
    parser.add_argument("--swap", action="store_true", help="instead: live traffic while a table of 100,000 routes is swapped")
    parser.add_argument("--rate", type=int, default=10_000, help="requests a second for --swap (default 10,000)")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        certificate(folder)
        raw, text = (swap if arguments.swap else compare)(arguments, folder)
    given = " ".join(sys.argv[1:])
    said = f"- {time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs, {os.uname().sysname} {os.uname().release}; {versions()}\n"
    said += f"- `bench/gateways/run.py{' ' + given if given else ''}`\n\n{text}"
    write("swap" if arguments.swap else "gateways", raw, said)
    print(said)


if __name__ == "__main__":
    main()
