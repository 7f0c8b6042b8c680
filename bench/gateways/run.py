#!/usr/bin/env python3
"""Penstock's router beside nginx, Envoy, Caddy and a plain hyper server: all with one static answer, on one CPU, in one run.

usage: bench/gateways/run.py [--rounds N] [--seconds N] [--only NAME,...] [--protocols NAME,...] [--no-readme] [--swap]

Every server is pinned to CPU 0 and the load (h2load) to CPU 1, so that rates are rates per core. In each round every server is
measured once for each protocol, one after the other; the table has medians, and ratios of the same round. Latency is taken at
one rate for all, half of what the slowest one can do. Memory is taken from processes that have served nothing else.
`make bench-gateways` installs what this needs and builds it.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
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
HOST, PATH = "service-7.example.com", "/team-0/app-0/items/7?x=1"
BODY = b"hello, world\n"
PROTOCOLS = ["h1", "h2c", "h1+tls", "h2+tls"]
CONNECTIONS = {"h1": 64, "h2c": 16, "h1+tls": 64, "h2+tls": 16}
STREAMS = {"h2c": 16, "h2+tls": 16}
# h2load looks at its clock every 10 ms for each connection and sends what fell due since. Connections of a lower rate send one
# request at a time, and a server that stands still for less than that keeps no request from being sent.
PER_CONNECTION = 100
IDLE = 10_000
# A measurement during which other processes took more than this share of the CPUs is made again, so often at most, and the least
# disturbed one counts. The rule knows nothing of the result, and is the same for every server.
DISTURBED, TRIES = 0.1, 3


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Server:
    """A server that runs, with a port for each protocol that it has."""

    def __init__(self, name, command, ports, env=None, log=None, announces=(), cpus="0"):
        self.name, self.ports = name, dict(ports)
        self.log = open(log, "w+")
        self.process = subprocess.Popen(
            ["taskset", "-c", cpus, *command], stdout=subprocess.PIPE if announces else self.log, stderr=self.log,
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
            started.append(Server(name, *arguments, log=folder / f"{name}.log", **more))

    one = {"TOKIO_WORKER_THREADS": "1"}
    tls = ["--certificate", folder / "cert.pem", "--key", folder / "key.pem"]
    start("hyper", [TARGET / "plain_hyper", *tls], {}, env=one, announces=[["h1"], ["h2c"], ["h1+tls", "h2+tls"]])
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


def h2load(server, protocol, *arguments):
    """What h2load printed, once it is sure that every answer was right."""
    scheme = "https" if "tls" in protocol else "http"
    command = ["taskset", "-c", "1", "h2load", f"--connect-to=127.0.0.1:{server.ports[protocol]}", *map(str, arguments)]
    command += ["--h1"] if "h1" in protocol else []
    done = subprocess.run([*command, f"{scheme}://{HOST}{PATH}"], capture_output=True, text=True, check=True).stdout
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done)
    succeeded, failed = int(counts.group(1)), sum(int(counts.group(n)) for n in (2, 3, 4))
    if failed or succeeded == 0 or any(int(codes.group(n)) for n in (2, 3, 4)):
        sys.exit(f"{server.name} {protocol}: not every answer is right:\n{done}")
    return succeeded, done


def streams(protocol, most):
    return [] if "h1" in protocol else ["-m", most]


def check(server, protocol):
    """A server that answers with less is fast for the wrong reason."""
    _, done = h2load(server, protocol, "-n", 100, "-c", 4, *streams(protocol, 4))
    bodies = int(re.search(r"headers .*\((\d+)\) data", done).group(1))
    if bodies != 100 * len(BODY):
        sys.exit(f"{server.name} {protocol}: {bodies} bytes in the bodies of 100 answers:\n{done}")


def busy():
    """Seconds for which the CPUs were busy or taken away by the hypervisor, but not with interrupts, which belong to nobody."""
    fields = [int(it) for it in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[n] for n in (0, 1, 2, 7)) / os.sysconf("SC_CLK_TCK")


def undisturbed(server, run):
    best = None
    for attempt in range(1, TRIES + 1):
        own = lambda: server.cpu() + sum(os.times()[:4])
        start, busy_before, own_before = time.monotonic(), busy(), own()
        result = run()
        others = (busy() - busy_before - (own() - own_before)) / (time.monotonic() - start) / os.cpu_count()
        result |= {"others": max(0, others), "attempts": attempt}
        if best is None or result["others"] < best["others"]:
            best = result
        if best["others"] <= DISTURBED:
            break
    return best | {"attempts": attempt}


def full(server, protocol, seconds):
    """At full speed: answers a second, and the server's CPU time for each."""
    load = ["-c", CONNECTIONS[protocol], *streams(protocol, STREAMS.get(protocol))]
    h2load(server, protocol, "-D", 1, *load)
    before = server.cpu()
    answers, done = h2load(server, protocol, "-D", seconds, *load)
    used = server.cpu() - before
    rate = answers / seconds
    return {"rate": rate, "answers": answers, "cpu_us": used / answers * 1e6, "raw": done}


def steady(server, protocol, seconds, rate):
    """At a given rate: how long requests take, in microseconds."""
    connections = -(-round(rate) // PER_CONNECTION)
    with tempfile.NamedTemporaryFile() as log:
        load = ["-c", connections, "--rps", f"{rate / connections:.2f}", f"--log-file={log.name}", *streams(protocol, 16)]
        answers, done = h2load(server, protocol, "-D", seconds, "--warm-up-time", 1, *load)
        lines = (line.split("\t") for line in log.read().decode().splitlines())
        times = sorted(int(fields[2]) for fields in lines if len(fields) == 3)
    at = {f"p{p}": times[min(len(times) - 1, int(len(times) * p / 100))] for p in (50, 99, 99.9)}
    return {"rate": len(times) / seconds, "answers": answers, "raw": done} | at


def http2_request():
    """The preface, empty SETTINGS and one HEADERS frame without Huffman coding (RFC 9113 section 3.4, RFC 7541 section 6)."""
    text = lambda value: bytes([len(value)]) + value.encode()
    block = b"\x82\x86\x04" + text(PATH) + b"\x01" + text(HOST)
    frame = lambda kind, flags, stream, payload: len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 0x5, 1, block)


def idle(server, protocol):
    """MiB that 10,000 connections take which have been used once, and that the server then has in all."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() if "h1" in protocol else http2_request()
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["http/1.1" if "h1" in protocol else "h2"])
    check(server, protocol)
    before, held = server.memory(), []
    for _ in range(IDLE):
        it = socket.create_connection(("127.0.0.1", server.ports[protocol]), 10)
        it = tls.wrap_socket(it, server_hostname=HOST) if "tls" in protocol else it
        it.sendall(request)
        held.append(it)
    for it in held:
        answer = b""
        while BODY not in answer:
            answer, more = answer[-64:], it.recv(4096)
            if not more:
                sys.exit(f"{server.name} {protocol}: a connection is closed instead of answered")
            answer += more
    time.sleep(0.5)
    after = server.memory()
    for it in held:
        it.close()
    # A server that sets its connections aside at its start has their memory in the total alone.
    return after - before, after


def table(rows):
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def versions():
    def first(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().splitlines()[0].strip()

    def found(pattern, *command):
        match = re.search(pattern, subprocess.run(command, capture_output=True, text=True).stdout)
        return match.group(1) if match else "of an unknown version"

    envoy = next(TOOLS.glob("envoy/lib/python*/site-packages/envoy/_bin/envoy"))
    return ", ".join([
        first("nginx", "-v").removeprefix("nginx version: "), "envoy " + found(r"/(\d+\.\d+\.\d+)/", envoy, "--version"),
        "caddy " + found(r"caddyserver/caddy/v2\s+v(\S+)", "go", "version", "-m", TOOLS / "bin/caddy"), first("h2load", "--version").replace(" nghttp2/", " "),
        first("rustc", "--version"),
    ])


def each(arguments, folder, protocol, run):
    """Starts every server, runs this on it, and ends them all."""
    started = servers(folder, arguments.only)
    try:
        return [(it.name, run(it, protocol)) for it in started]
    finally:
        for it in started:
            it.stop()


def median(all, key):
    return statistics.median(it[key] for it in all)


def ratio(ours, theirs, key):
    ratios = [a[key] / b[key] for a, b in zip(ours, theirs)]
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def disturbance(raw):
    all = [it["others"] for it in raw if "others" in it]
    over = sum(it > DISTURBED for it in all)
    return (f"Other processes took {statistics.median(all):.0%} of the CPUs in the middle measurement and {max(all):.0%} in the worst; "
            f"{over} of {len(all)} stayed above {DISTURBED:.0%} after {TRIES} attempts.")


def compare(arguments, folder):
    raw, samples, started = [], {}, servers(folder, arguments.only)
    note = lambda text: print(text, file=sys.stderr, flush=True)

    def keep(number, protocol, server, load, result):
        samples.setdefault((protocol, server.name, load), []).append(result)
        raw.append({"round": number, "protocol": protocol, "server": server.name, "load": load} | result)
        note(f"round {number}: {protocol:7} {server.name:10} {load} " + " ".join(f"{key} {value:,.1f}" for key, value in result.items() if key != "raw"))

    def rounds(protocol):
        for number in range(arguments.rounds):
            for server in started if number % 2 == 0 else started[::-1]:
                yield number, server

    try:
        for protocol in arguments.protocols:
            for server in started:
                check(server, protocol)
            for number, server in rounds(protocol):
                keep(number, protocol, server, "full", undisturbed(server, lambda: full(server, protocol, arguments.seconds)))
            half = min(median(samples[protocol, it.name, "full"], "rate") for it in started) / 2
            for number, server in rounds(protocol):
                keep(number, protocol, server, "half", undisturbed(server, lambda: steady(server, protocol, arguments.seconds, half)))
    finally:
        for it in started:
            it.stop()
    memory = {}
    for protocol in arguments.protocols:
        # Anew for each: what a process has once had from the system it does not ask for again.
        for name, (taken, total) in each(arguments, folder, protocol, idle):
            memory.setdefault(name, {})[protocol] = f"{taken:,.0f} of {total:,.0f}"
            raw.append({"protocol": protocol, "server": name, "idle_mib": taken, "total_mib": total})
            note(f"{protocol:7} {name:10} {taken:.0f} of {total:.0f} MiB for {IDLE:,} idle connections")

    names = sorted(memory, key="penstock hyper nginx envoy caddy".split().index)
    speeds = [["protocol", "server", "req/s", "penstock : it", "CPU us/req", "penstock : it"]]
    latencies = [["protocol", "req/s", "server", "p50 us", "p99 us", "p99.9 us"]]
    for protocol in arguments.protocols:
        for name in names:
            all, calm = samples[protocol, name, "full"], samples[protocol, name, "half"]
            ours = samples.get((protocol, "penstock", "full"))
            ratios = ["", ""] if name == "penstock" or not ours else [ratio(ours, all, key) for key in ("rate", "cpu_us")]
            speeds.append([protocol, name, f"{median(all, 'rate'):,.0f}", ratios[0], f"{median(all, 'cpu_us'):.1f}", ratios[1]])
            latencies.append([protocol, f"{median(calm, 'rate'):,.0f}", name, *[f"{median(calm, f'p{p}'):,.0f}" for p in (50, 99, 99.9)]])
    idles = [["MiB for 10,000 idle", *arguments.protocols]]
    idles += [[name, *[memory[name][protocol] for protocol in arguments.protocols]] for name in names]
    return raw, "\n\n".join([disturbance(raw), *map(table, [speeds, latencies, idles])])


def swap(arguments, folder):
    """Live traffic while a table of 100,000 routes is built and swapped, and without."""
    raw, samples = [], {}
    often = ["--swap-every", "300"]
    kinds = {"none": [], "in the background": often, "on a thread": [*often, "--swap-on", "thread"], "on a worker": [*often, "--swap-on", "worker"]}
    for number in range(arguments.rounds):
        for kind, more in list(kinds.items())[:: 1 if number % 2 == 0 else -1]:
            server = Server("penstock", [TARGET / "native", "--routes", "100000", *more], {}, log=folder / "native.log",
                            announces=[["h1", "h2c"]], cpus="0,1", env={"TOKIO_WORKER_THREADS": "2"})
            try:
                before = server.memory("VmRSS")
                result = undisturbed(server, lambda: steady(server, "h1", arguments.seconds, arguments.rate))
                peak = server.memory("VmHWM")
            finally:
                server.stop()
            built = [float(it) for it in re.findall(r"built in ([\d.]+) ms", server.process.stdout.read())]
            result |= {"swaps": len(built), "built_ms": statistics.median(built) if built else 0, "before": before, "peak": peak}
            samples.setdefault(kind, []).append(result)
            raw.append({"round": number, "server": "penstock", "swaps_built": kind} | result)
            print(f"round {number}: {kind:17} p50 {result['p50']} us, p99 {result['p99']} us, {len(built)} swaps", file=sys.stderr, flush=True)
    rows = [["swaps built", "req/s", "p50 us", "p99 us", "by p99 without", "p99.9 us", "swaps", "built in ms", "MiB", "at most"]]
    for kind, all in samples.items():
        by = "" if kind == "none" else ratio(all, samples["none"], "p99")
        rows.append([kind, f"{median(all, 'rate'):,.0f}", f"{median(all, 'p50'):,.0f}", f"{median(all, 'p99'):,.0f}", by, f"{median(all, 'p99.9'):,.0f}",
                     *[f"{median(all, key):.0f}" for key in ("swaps", "built_ms", "before", "peak")]])
    return raw, disturbance(raw) + "\n\n" + table(rows)


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
    parser.add_argument("--protocols", type=lambda it: it.split(","), default=PROTOCOLS, help="only these of " + ", ".join(PROTOCOLS))
    parser.add_argument("--no-readme", action="store_true", help="leaves bench/README.md and bench/results as they are")
    parser.add_argument("--swap", action="store_true", help="instead: live traffic while a table of 100,000 routes is swapped")
    parser.add_argument("--rate", type=int, default=10_000, help="requests a second for --swap (default 10,000)")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    os.sched_setaffinity(0, {1})
    # So that the servers end with this program when it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        certificate(folder)
        raw, text = (swap if arguments.swap else compare)(arguments, folder)
    given = " ".join(sys.argv[1:])
    said = f"- {time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs, {os.uname().sysname} {os.uname().release}; {versions()}\n"
    said += f"- `bench/gateways/run.py{' ' + given if given else ''}`\n\n{text}"
    if not arguments.no_readme:
        write("swap" if arguments.swap else "gateways", raw, said)
    print(said)


if __name__ == "__main__":
    main()
