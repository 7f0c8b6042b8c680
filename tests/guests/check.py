"""Compares what the guests answer with what they should. Called by check.sh; needs wasmtime and wasm-tools in PATH."""

import contextlib
import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

GUESTS, QUICKSTART = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
READY_SECONDS = 240  # a machine that is busy compiles slowly
results = {"passed": 0, "failed": 0}


def check(name, good, seen=""):
    results["passed" if good else "failed"] += 1
    if not good:
        print(f"FAILED {name}: {seen!r:.1000}", flush=True)


# --- worlds ---

WASI2, WASI3 = "0.2.12", "0.3.2"
KITCHEN2 = {
    "wasi:cli/environment", "wasi:cli/exit", "wasi:cli/stderr", "wasi:cli/stdout", "wasi:clocks/monotonic-clock",
    "wasi:config/store", "wasi:http/outgoing-handler", "wasi:http/types", "wasi:io/error", "wasi:io/poll",
    "wasi:io/streams", "wasi:random/random",
}
KITCHEN3 = {
    "wasi:cli/environment", "wasi:cli/exit", "wasi:cli/stderr", "wasi:cli/stdout", "wasi:clocks/monotonic-clock",
    "wasi:config/store", "wasi:http/client", "wasi:http/types", "wasi:random/random",
}
SERVES2, SERVES3 = {"wasi:http/incoming-handler"}, {"wasi:http/handler"}
STREAMS2 = {"wasi:http/types", "wasi:io/error", "wasi:io/streams"}
# Imported for their types, or by a world as a whole: they do not tell one guest from another.
INCIDENTAL = {"wasi:cli/types", "wasi:cli/stdin", "wasi:clocks/types"}
WORLDS = {
    "hello-wat": (STREAMS2, SERVES2),
    "leaky": (STREAMS2, SERVES2),
    "hello-p2": (STREAMS2, SERVES2),
    "hello-p3": ({"wasi:http/types"}, SERVES3),
    "kitchen-p2": (KITCHEN2, SERVES2),
    "kitchen-p3": (KITCHEN3, SERVES3),
    "consumer": (STREAMS2 | {"demo:greet/greeter"}, SERVES2),
    "provider-a": (set(), {"demo:greet/greeter"}),
    "provider-b": (set(), {"demo:greet/greeter"}),
    "relay": ({"demo:greet/letters"}, {"demo:greet/greeter"}),
    "letters": (set(), {"demo:greet/letters"}),
    "cycle-x": ({"demo:cycle/y"}, {"demo:cycle/x"}),
    "cycle-y": ({"demo:cycle/x"}, {"demo:cycle/y"}),
    "orphan": ({"nobody:offers/this", "wasi:http/types"}, SERVES2),
    "empty": (set(), set()),
}


def check_worlds():
    for name, expected in WORLDS.items():
        text = run("wasm-tools", "component", "wit", GUESTS / f"{name}.wasm")
        world = tuple(
            set(re.findall(rf"^  {kind} ([\w:-]+/[\w-]+)@", text, re.MULTILINE)) - INCIDENTAL
            for kind in ("import", "export")
        )
        check(f"world of {name}", world == expected, world)
        versions = set(re.findall(r"^  (?:im|ex)port wasi:(?:http|cli|io)/[\w-]+@([\d.]+);", text, re.MULTILINE))
        check(f"WASI version of {name}", versions <= {WASI2} or versions <= {WASI3}, versions)
    core = (GUESTS / "core.wasm").read_bytes()
    check("core is a core module", core == b"\0asm\1\0\0\0", core)


def attempt(part, *arguments, **options):
    """A part of the checks, which ends early when a guest's answer makes no sense at all."""
    try:
        part(*arguments, **options)
    except (KeyError, ValueError, OSError, subprocess.CalledProcessError) as error:
        check(part.__name__, False, error)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# --- servers ---


class Server:
    def __init__(self, folder, component, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = tempfile.TemporaryFile("w+")
        command = ["wasmtime", "serve", "-S", "cli", *options, "--addr", f"127.0.0.1:{self.port}", str(folder / component)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        self.name = component.removesuffix(".wasm")

    def ready(self):
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            time.sleep(0.1)
        check(f"{self.name} starts", False, self.output())
        return False

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        self.process.kill()
        self.process.wait()

    def ask(self, target, method="GET", body=None, headers=None, timeout=30):
        """(status, headers in lower case, body, how it ended): ended is "whole", "cut", "silent" or "refused"."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        status, got, read, ended = 0, {}, b"", "whole"
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            status, got = response.status, {name.lower(): value for name, value in response.getheaders()}
            while piece := response.read1():
                read += piece
                if len(read) > 1 << 24:
                    break
            if response.length:
                ended = "cut"
        except TimeoutError:
            ended = "silent"
        except (http.client.HTTPException, OSError):
            ended = "cut" if status else "refused"
        connection.close()
        return status, got, read, ended

    def expect(self, target, status, text=None, **request):
        seen = self.ask(target, **request)
        good = seen[0] == status and seen[3] == "whole"
        if isinstance(text, re.Pattern):
            good = good and text.fullmatch(seen[2].decode()) is not None
        elif text is not None:
            good = good and seen[2] == text.encode()
        check(f"{self.name} {request.get('method', 'GET')} {target}", good, seen)
        return seen

    def raw(self, request, seconds=10):
        """A connection on which something has been sent already."""
        connection = socket.create_connection(("127.0.0.1", self.port), seconds)
        connection.sendall(request)
        return connection


@contextlib.contextmanager
def serving(*wanted):
    """Starts all at once (compiling takes longest), gives those that became ready by name, stops all."""
    servers = [Server(*each) for each in wanted]
    try:
        yield {server.name: server for server in servers if server.ready()}
    finally:
        for server in servers:
            server.stop()


# --- guests ---


def check_hello(servers):
    servers["hello-wat"].expect("/x", 200, "hello\n")
    servers["hello-p2"].expect("/x?y", 200, "hello from /x?y\n")
    servers["hello-p3"].expect("/x?y", 200, "hello from /x?y (p3)\n")


# A greeter is one component, or one linked with what it needs itself.
LINKED = {"a": ["provider-a"], "b": ["provider-b"], "z": ["relay", "letters"]}


def check_linked(work):
    for letter, (*outer, innermost) in LINKED.items():
        linked = GUESTS / f"{innermost}.wasm"
        for name in [*reversed(outer), "consumer"]:
            needed, linked = linked, work / f"{name}-{letter}.wasm"
            run("wasm-tools", "compose", GUESTS / f"{name}.wasm", "-d", needed, "-o", linked)
        with serving((work, linked.name)) as servers:
            for server in servers.values():
                server.expect("/?name=Ada", 200, f"hello Ada from provider-{letter}")
                long = "x" * 3000
                server.expect(f"/?name={long}", 200, f"hello {long} from provider-{letter}")


def check_answers(server):
    component, get = server.name, server.expect
    get("/", 200, f"hello from {component}\n")
    seen = get("/ok", 200, "ok\n")
    check(f"{component} x-component", seen[1].get("x-component") == component, seen)
    get("/none", 404, "no such path\n")
    get("/status?code=418", 418, "")
    get("/sleep?ms=30", 200, "slept\n")
    get("/burn?ms=30", 200, "burnt\n")
    get("/after?ms=30", 200, "answered\n")
    get("/no-read", 200, "not read\n", method="POST", body=b"x" * 1000)
    get("/grow?mib=8", 200, '{"mib":8}\n')
    get("/header?name=x-a&value=a%20b", 200, "set\n")
    get("/header?name=connection&value=close", 500, re.compile("connection: .*Forbidden\n"))
    seen = get("/headers?count=20&size=50", 200, "headers\n")
    check(f"{component} big headers", seen[1].get("x-big-19") == "h" * 49, seen)
    dump = json.loads(get("/dump?a=b", 200, method="PUT", headers={"X-Y": "z"})[2])
    check(f"{component} dump", (dump["method"], dump["path"]) == ("PUT", "/dump?a=b"), dump)
    check(f"{component} dump's headers", ["x-y", "z"] in dump["headers"], dump)
    env = json.loads(get("/env", 200)[2])
    check(f"{component} environment", ["COLOUR", "blue"] in env["environment"], env)
    check(f"{component} config", env["config"] == [["size", "large"]], env)
    get("/log?out=to-stdout&err=to+stderr", 200, "logged\n")
    output = server.output()
    check(f"{component} log", "to-stdout" in output and "to stderr" in output, output)
    get(f"/fetch?url=http://127.0.0.1:{server.port}/ok", 200, '{"status":200,"body":"ok\\n"}\n')
    get("/fetch?url=http://127.0.0.1:1/", 502, re.compile(r'\{"error":".*ConnectionRefused"\}\n'))
    get("/fetch?url=ftp://a", 502, re.compile(r'\{"error":".*HttpRequestUriInvalid"\}\n'))


def check_bodies(server):
    component, get = server.name, server.expect
    large = bytes(range(256)) * 4096
    for path in ("/echo", "/pipe"):
        seen = server.ask(path, "POST", large, {"content-type": "a/b"})
        same = seen[2] == large and seen[1].get("content-type") == "a/b"
        check(f"{component} {path} of 1 MiB", same, (seen[0], seen[1], len(seen[2]), seen[3]))
    get("/upload", 200, f'{{"bytes":{len(large)},"fnv1a":"{fnv1a(large)}","end":"whole"}}\n', method="POST", body=large)
    get("/upload?ms=5&size=10", 200, re.compile(r'\{"bytes":25,.*\}\n'), method="POST", body=b"x" * 25)
    get("/stream?chunks=3&size=4", 200, "aaa\nbbb\nccc\n")
    get("/stream?chunks=2&size=3&delay=20", 200, "aa\nbb\n")
    get("/stream?chunks=4&size=1000000", 200, "".join(c * 999_999 + "\n" for c in "abcd"))
    seen = server.ask("/infinite?size=1000000")
    check(f"{component} /infinite", len(seen[2]) > 1 << 24, len(seen[2]))
    get("/ok", 200, "ok\n")
    check_echo_streams(server)
    check_trailers(server)
    seen = server.ask("/length?says=10&is=10")
    check(f"{component} right length", seen[2] == b"aaaaaaaaa\n", seen)
    seen = server.ask("/length?says=10&is=5")
    check(f"{component} short length", seen[3] != "whole", seen)
    seen = server.ask("/abandon")
    check(f"{component} /abandon", seen[3] != "whole", seen)


def check_echo_streams(server):
    connection = server.raw(b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    seen = b""
    for letter in (b"a", b"b"):
        connection.sendall(b"5\r\n" + letter * 5 + b"\r\n")
        with contextlib.suppress(TimeoutError):
            while letter * 5 not in seen and (piece := connection.recv(4096)):
                seen += piece
        check(f"{server.name} /echo as it arrives", letter * 5 in seen, seen)
    connection.close()


def check_trailers(server):
    request = b"POST /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    connection = server.raw(request + b"3\r\nabc\r\n0\r\nx-sent: yes\r\n\r\n")
    seen = b""
    with contextlib.suppress(TimeoutError):
        while piece := connection.recv(4096):
            seen += piece
    connection.close()
    check(f"{server.name} request trailers", b'{"bytes":3,"trailers":[["x-sent","yes"]]}' in seen, seen)
    check(f"{server.name} response trailers", b"\r\nx-trailer: done\r\n" in seen, seen)


def check_state(server, reused):
    # A fresh instance for each call fails each time, a warm one as often as it is told to.
    statuses = [server.ask("/flaky?id=a&times=2&code=503")[0] for _ in range(3)]
    check(f"{server.name} GET /flaky", statuses in ([503, 503, 503], [503, 503, 200]), statuses)
    states = [json.loads(server.expect("/counter", 200)[2]) for _ in range(3)]
    same = len({state["instance"] for state in states}) == 1
    counts = [state["count"] for state in states]
    check(f"{server.name} keeps its state", same == reused and counts == ([1, 2, 3] if reused else [1, 1, 1]), states)


def check_concurrent(server):
    connections = [server.raw(b"GET /concurrent?ms=1500 HTTP/1.0\r\nhost: a\r\n\r\n") for _ in range(4)]
    most = 0
    for connection in connections:
        seen = b""
        while piece := connection.recv(4096):
            seen += piece
        most = max(most, json.loads(seen.split(b"\r\n\r\n", 1)[1])["max"])
    check(f"{server.name} serves calls at once", most > 1, most)


FAULTS = ["/trap", "/panic", "/recurse", "/exit", "/no-response", "/error", "/error?code=timeout", "/hog"]


def check_faults(server):
    for path in FAULTS:
        server.expect(path, 500)
    server.expect("/grow?mib=100", 500, re.compile(r'\{"refused_after_mib":\d+\}\n'))
    seen = server.ask("/trap-after-headers")
    check(f"{server.name} /trap-after-headers", (seen[0], seen[2]) == (200, b""), seen)
    seen = server.ask("/trap-mid-body")
    check(f"{server.name} /trap-mid-body", (seen[0], seen[2]) == (200, b"first\n"), seen)
    for path, status in (("/never", 0), ("/never-after-headers", 200), ("/never-mid-body", 200)):
        seen = server.ask(path, timeout=0.5)
        check(f"{server.name} {path}", (seen[0], seen[3]) == (status, "silent"), seen)
    # Last: a spinning guest takes a thread of the server with it until it is stopped.
    seen = server.ask("/spin", timeout=0.5)
    check(f"{server.name} /spin", (seen[0], seen[3]) == (0, "silent"), seen)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


# --- the quickstart ---


def check_quickstart(servers):
    page, api, canary, js = servers["page"], servers["api"], servers["api-canary"], servers["js"]
    seen = page.expect("/", 200)
    check("page is whole", seen[2].rstrip().endswith(b"</html>") and seen[1]["content-type"].startswith("text/html"), seen[1])
    page.expect("/none", 404)
    page.expect("/", 405, method="POST", body=b"x")
    api.expect("/api/greeting?name=Ad%C3%A1+L", 200, '{"component":"api","greeting":"Hello, Adá L!","revision":"unknown"}\n')
    api.expect("/api/info", 200, re.compile(r'\{"component":"api",.*"wasi":"0.3"\}\n'))
    api.expect("/api/echo", 200, '{"bytes":9,"component":"api","echo":{"a":[1]}}\n', method="POST", body=b'{"a":[1]}')
    api.expect("/api/echo", 413, method="POST", body=b"x" * 70_000)
    api.expect("/api/ticks?count=2", 200, re.compile('.*"tick":1}\n.*"tick":2}\n'))
    api.expect("/api/none", 404, re.compile('.*"title":"No such resource".*\n'))
    api.expect("/api/info", 405, method="DELETE")
    canary.expect("/api/greeting", 200, '{"component":"api-canary","greeting":"Ahoy, world!","revision":"2-canary"}\n')
    js.expect("/js", 200, '{"component":"js","language":"TypeScript","engine":"QuickJS","wasi":"0.3"}\n')
    words = '{"component":"js","text":"Ä ana","words":2,"letters":4,"reversed":"ana Ä","palindrome":false}\n'
    js.expect("/js/words?text=%C3%84+ana", 200, words)
    js.expect("/js/none", 404)
    js.expect("/js", 405, method="POST", body=b"x")
    for server in servers.values():
        seen = server.ask("/none-at-all")
        check(f"{server.name} names itself", seen[1].get("x-component") == server.name, seen)


def main():
    attempt(check_worlds)
    with serving(*((GUESTS, f"hello-{kind}.wasm") for kind in ("wat", "p2", "p3"))) as servers:
        attempt(check_hello, servers)
    with tempfile.TemporaryDirectory() as work:
        attempt(check_linked, pathlib.Path(work))
    for kind in ("p2", "p3"):
        kitchen = f"kitchen-{kind}.wasm"
        offered = ("-S", "config", "-S", "config-var=size=large", "--env", "COLOUR=blue")
        # wasmtime reuses instances for 0.3 unless told otherwise, and never for 0.2.
        with serving((GUESTS, kitchen, *offered)) as servers:
            for server in servers.values():
                attempt(check_state, server, reused=kind == "p3")
                attempt(check_answers, server)
                attempt(check_bodies, server)
                if kind == "p3":
                    attempt(check_concurrent, server)
        limits = ("-W", "max-memory-size=67108864")
        with serving((GUESTS, kitchen, *offered, *limits)) as servers:
            for server in servers.values():
                attempt(check_faults, server)
    with tempfile.TemporaryDirectory() as work:
        canary = pathlib.Path(work) / "api-canary.wasm"
        canary.symlink_to(QUICKSTART / "api.wasm")
        settings = ("--env", "COMPONENT=api-canary", "--env", "REVISION=2-canary", "--env", "GREETING=Ahoy")
        with serving(
            (QUICKSTART, "page.wasm"), (QUICKSTART, "api.wasm"), (QUICKSTART, "js.wasm"), (canary.parent, canary.name, *settings)
        ) as servers:
            attempt(check_quickstart, servers)
    print(f"{results['passed']} passed, {results['failed']} failed")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
