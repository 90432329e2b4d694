"""Shared by bench/run, bench/scaling and bench/calls: hookgate and its peers, their upstream, the load generator, and the
cost measurement. Loopback only; only processes that it started are ended."""

import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
BUILD = pathlib.Path(os.environ.get("BENCH_BUILD") or os.path.join(CACHE, "hookgate-bench")).resolve()
TOOL = BUILD / "target/release/benchtool"

SECRET = "bench-secret-0123456789abcdef"
LIMIT = 1 << 20
SIZES = {"512B": 512, "4K": 4096, "64K": 65536, "1M": 1 << 20}
ANSWER = b'{"ok":true}'

# Whether the peer verifies, and the largest body that it can be configured for.
PEERS = {
    "haproxy": (True, LIMIT),
    "haproxy-stock": (True, LIMIT),
    "haproxy-16k": (True, 14000),
    "nginx-lua": (True, LIMIT),
    "nginx-njs": (True, LIMIT),
    "go": (True, LIMIT),
    "go-debian": (True, LIMIT),
    "node": (True, LIMIT),
    "node-express": (True, LIMIT),
    "haproxy-plain": (False, 1 << 40),
    "nginx-plain": (False, 1 << 40),
    "relay": (False, 4096),
    "direct": (False, 1 << 40),
}

# The peers that also take TLS.
TLS_PEERS = [name for name in PEERS if name.startswith(("haproxy", "nginx"))]

# The files or programs that each peer needs.
NEEDS = {
    "go": "go/benchgo",
    "go-debian": "go-debian/benchgo",
    "node-express": "node-express/node_modules",
    "relay": "target/release/benchtool",
}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def is_there(peer):
    if peer == "direct":
        return True
    if peer in NEEDS:
        return (BUILD / NEEDS[peer]).exists()
    return shutil.which(peer.split("-")[0]) is not None


def build_hookgate():
    """The release binary of this tree, rebuilt if needed."""
    command = ["cargo", "build", "--release", "--locked", "--bin", "hookgate", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        sys.exit("hookgate does not build")
    for line in built.stdout.splitlines():
        executable = json.loads(line).get("executable")
        if executable:
            return executable
    sys.exit("cargo built no binary")


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sign(body, key=SECRET):
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def family(pid):
    """A process and all of its descendants."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as children:
                for child in children.read().split():
                    found += family(int(child))
    except OSError:
        pass
    return found


def resident_kib(pid):
    total = 0
    for member in family(pid):
        try:
            status = pathlib.Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        total += int(found.group(1)) if found else 0
    return total


def cpu_ns(pids):
    """The CPU time in nanoseconds of all threads of the processes."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total


def machine(given=False):
    """The machine and the versions behind the figures. `given`: the binary was not built from this tree."""

    def output_of(pattern, *command):
        try:
            out = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)
        except OSError:
            return None
        found = re.search(pattern, out.stdout + out.stderr)
        return found.group(1) if found else None

    changed = output_of(r"(\S)", "git", "status", "--porcelain", "src")
    commit = output_of(r"(\S+)", "git", "log", "-1", "--format=%h", "--", "src")
    programs = {
        "rustc": output_of(r"rustc (\S+)", "rustc", "--version"),
        "HAProxy": output_of(r"version (\d[\d.]*)", "haproxy", "-v"),
        "nginx": output_of(r"nginx/(\S+)", "nginx", "-v"),
        "Go": output_of(r"go(\d\S+)", BUILD / "gopip/go/bin/go", "version"),
        "Node": output_of(r"v(\S+)", "node", "--version"),
    }
    return {
        "cpu": re.sub(r"\(R\)", "", output_of(r"model name\s*: (.*)", "cat", "/proc/cpuinfo") or "unknown").strip(),
        "cores": os.cpu_count(),
        "kernel": os.uname().release.split("-")[0],
        "load": os.getloadavg()[0],
        "source": "a given binary" if given else f"commit `{commit}`" + (" with changes" if changed else ""),
        "date": time.strftime("%Y-%m-%d"),
        "programs": [f"{name} {version}" for name, version in programs.items() if version],
    }


class Peer:
    """A running peer: its process and its port."""

    def __init__(self, name, port, process=None):
        self.name, self.port, self.process = name, port, process

    def pids(self):
        return family(self.process.pid) if self.process else []

    def resident_kib(self):
        return resident_kib(self.process.pid)


class Rig:
    """An upstream, and the peers in front of it.

    `variants` are hookgates by name: the binary, the setting of its access log, and a template for its configuration. `pin`
    is `one` (everything on one core), `split` (the proxy on its own core) or `none`. With `tls`, the peers take TLS only.
    """

    def __init__(self, variants, threads=1, pin="one", port=18100, tls=False):
        if not TOOL.exists():
            sys.exit("run bench/setup first")
        raise_descriptors()
        self.variants, self.threads, self.started = variants, threads, []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hookgate-bench."))
        self.upstream_port, self.next_port = port, port + 1
        cores = os.cpu_count()
        self.proxy_cpus = self.load_cpus = None
        if pin == "one":
            self.proxy_cpus = self.load_cpus = {cores - 1}
            if cores > 1:
                os.sched_setaffinity(0, {0})  # keeps the driver itself off the measured core
        elif pin == "split":
            self.proxy_cpus, self.load_cpus = {cores - 1}, {cores - 2}
        self.bodies = {name: self._body(name, size) for name, size in SIZES.items()}
        self.certificates = self._certificates() if tls else None
        upstream = self._spawn([TOOL, "upstream", "--port", self.upstream_port], self.load_cpus, "upstream.log")
        self._await(self.upstream_port, upstream, "the upstream")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in reversed(self.started):
            self._end(process)
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            say("logs are in", self.folder)

    def _body(self, name, size):
        """Content that resembles JSON, is varied, and is the same in every run."""
        unit = hashlib.sha256(name.encode()).hexdigest()
        text = '{"event":"contact.created","data":"' + unit * (size // 64 + 1)
        body = text[: size - 2].encode() + b'"}'
        path = self.folder / f"body-{name}"
        path.write_bytes(body)
        return path, body, sign(body)

    def _certificates(self):
        """Pairs with keys on P-256 and for RSA, in a folder."""
        folder = self.folder / "certificates"
        folder.mkdir()
        keys = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}
        for kind, key in keys.items():
            name = "localhost" if kind == "ecdsa" else "rsa.localhost"
            command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", *key, "-subj", f"/CN={name}"]
            command += ["-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE"]
            pair = [folder / f"{kind}.crt", folder / f"{kind}.key"]
            subprocess.run([*command, "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
            pair[1].chmod(0o600)
            (folder / f"{kind}.pem").write_text(pair[0].read_text() + pair[1].read_text())
        return folder

    def _spawn(self, command, cpus, log, environment=None, **how):
        with open(self.folder / log, "ab") as output:
            how = {"stdout": output, "stderr": output, **how}
            process = subprocess.Popen(
                [str(part) for part in command],
                preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
                env=environment,
                cwd=self.folder,
                **how,
            )
        self.started.append(process)
        return process

    def _await(self, port, process, name):
        for _ in range(200):
            if process.poll() is not None:
                raise SystemExit(f"{name} ended with {process.returncode} before it listened")
            try:
                socket.create_connection(("127.0.0.1", port), 0.5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{name} does not listen on {port}")

    def _end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                for pid in reversed(family(process.pid)):
                    os.kill(pid, signal.SIGKILL)
                process.wait()

    def start(self, name, before=()):
        """Starts a peer or a hookgate. `before` is a command that wraps it."""
        if name == "direct":
            return Peer(name, self.upstream_port)
        port, self.next_port = self.next_port, self.next_port + 1
        run = self.folder / f"{name}-{port}"
        run.mkdir()
        variant = self.variants.get(name)
        environment = dict(
            os.environ,
            PORT=str(port),
            UPSTREAM_PORT=str(self.upstream_port),
            SECRET=SECRET,
            BODY_LIMIT=str(LIMIT),
            THREADS=str(self.threads),
            RUN=str(run),
            BUILD=str(BUILD),
        )
        if self.certificates:
            environment["CERTIFICATES"] = str(self.certificates)
        if variant:
            environment.update(HOOKGATE=str(variant["binary"]), ACCESS=variant.get("access", "off"))
            if variant.get("config"):
                environment["CONFIG"] = str(variant["config"])
        script = HERE / "peers" / ("hookgate" if variant else name) / "start"
        process = self._spawn([*before, script], self.proxy_cpus, f"{run.name}/output", environment)
        self._await(port, process, name)
        return Peer(name, port, process)

    def end(self, peer):
        if peer.process:
            self._end(peer.process)
            self.started.remove(peer.process)

    def verifies(self, name):
        return name in self.variants or PEERS[name][0]

    def takes(self, name, size):
        return SIZES[size] <= (LIMIT if name in self.variants else PEERS[name][1])

    def upstream_counts(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=10)
        connection.request("GET", "/__stats")
        counts = json.loads(connection.getresponse().read())
        connection.close()
        return counts

    def _request(self, size, valid):
        path, _, tag = self.bodies[size]
        if not valid:
            tag = tag[:-1] + ("0" if tag[-1] != "0" else "1")
        return ["--body", path, "--header", f"propify-signature: {tag}"]

    def _tls(self, peer, kind="ecdsa", groups="x25519"):
        """TLS as the load generator takes it. nginx and HAProxy have no other group than X25519 in common with all clients."""
        if not self.certificates or not peer.process:
            return []
        name = "localhost" if kind == "ecdsa" else "rsa.localhost"
        return ["--tls", name, "--ca", self.certificates / f"{kind}.crt", "--groups", groups]

    def _connection(self, peer, timeout):
        """A connection of Python's own client."""
        if not self.certificates or not peer.process:
            return http.client.HTTPConnection("127.0.0.1", peer.port, timeout=timeout)
        context = ssl.create_default_context(cafile=self.certificates / "ecdsa.crt")
        return http.client.HTTPSConnection("localhost", peer.port, timeout=timeout, context=context)

    def _tool(self, *arguments):
        how = {"preexec_fn": (lambda: os.sched_setaffinity(0, self.load_cpus)) if self.load_cpus else None}
        command = [str(part) for part in (TOOL, *arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, **how)

    def load(self, peer, size, connections, seconds, warmup=0.1, valid=True, rate=0, path="/hook", fields=()):
        """Sends requests as fast as they are answered, or `rate` per second. None if the rate was not reached."""
        pids = ",".join(map(str, peer.pids())) or "0"
        done = self._tool(
            *("load", "--port", peer.port, "--conns", connections, "--seconds", seconds, "--warmup", warmup),
            *("--rate", rate, "--pids", pids, "--path", path, *self._request(size, valid), *self._tls(peer)),
            *(word for field in fields for word in ("--header", field)),
        )
        if done.returncode:
            say(f"the load on {peer.name} failed:", done.stderr.strip()[-300:])
            return None
        return json.loads(done.stdout)

    def handshakes(self, peer, seconds, kind="ecdsa", groups="x25519", resume=False, request=False):
        """Handshakes on 8 connections at a time, each with a request if asked for."""
        pids = ",".join(map(str, peer.pids()))
        done = self._tool(
            *("handshakes", "--port", peer.port, "--conns", 8, "--seconds", seconds, "--warmup", 0.1, "--pids", pids),
            *("--resume", "yes" if resume else "no", *self._tls(peer, kind, groups)),
            *(self._request("512B", True) if request else []),
        )
        if done.returncode:
            say(f"the handshakes with {peer.name} failed:", done.stderr.strip()[-300:])
            return None
        return json.loads(done.stdout)

    def h2load(self, peer, size, connections, streams, requests, http1=False):
        """HTTP/2 by h2load, or HTTP/1.1 by the same generator. None if the peer does not speak it. The handshakes count too."""
        path, _, tag = self.bodies[size]
        command = ["h2load", "-n", requests, "-c", connections, "-m", streams, "-d", path]
        command += ["-H", f"propify-signature: {tag}", "-H", "content-type: application/json"]
        command += ["--h1"] if http1 else ["--npn-list", "h2"]
        before = cpu_ns(peer.pids())
        done = subprocess.run(
            [*map(str, command), "--connect-to", f"127.0.0.1:{peer.port}", f"https://localhost:{peer.port}/hook"],
            capture_output=True,
            text=True,
            preexec_fn=(lambda: os.sched_setaffinity(0, self.load_cpus)) if self.load_cpus else None,
            timeout=180,
        )
        used = cpu_ns(peer.pids()) - before
        spoken = re.search(r"Application protocol: (\S+)", done.stdout)
        if not spoken or spoken.group(1) != ("http/1.1" if http1 else "h2"):
            return None
        good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
        rps = float(re.search(r"([\d.]+) req/s", done.stdout).group(1))
        return {"requests": requests, "s2xx": good, "rps": rps, "cpu_us": used / 1000 / requests}

    def hold(self, peer, connections):
        """Opens connections and makes one request on each. The returned process holds them until it ends."""
        command = [TOOL, "idle", "--port", peer.port, "--conns", connections, *self._request("512B", True)]
        command += self._tls(peer)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        holder = self._spawn(command, self.load_cpus, "idle.log", **pipes)
        words = holder.stdout.readline().split()
        return holder, int(words[1]) if len(words) == 4 else 0

    def let_go(self, holder):
        holder.stdin.close()
        holder.wait()

    def bare_hash(self, size):
        """Microseconds for one bare HMAC-SHA256 of the body: the lower bound of any verifier."""
        return json.loads(self._tool("hash", "--body", self.bodies[size][0], "--seconds", 0.15).stdout)["cpu_us"]

    def wrk(self, peer, size, connections, seconds, valid):
        """As `load`, by an independent generator, which reports less."""
        path, _, _ = self.bodies[size]
        tag = self._request(size, valid)[-1].split(": ")[1]
        before = cpu_ns(peer.pids())
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(HERE / "wrk/post.lua")]
            + [f"{'https://localhost' if self._tls(peer) else 'http://127.0.0.1'}:{peer.port}/hook"],
            capture_output=True,
            text=True,
            env=dict(os.environ, BODY_FILE=str(path), SIGNATURE=tag),
            preexec_fn=(lambda: os.sched_setaffinity(0, self.load_cpus)) if self.load_cpus else None,
            timeout=180,
        )
        counted = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("JSON "))[5:])
        count = counted["requests"]
        cpu_us = (cpu_ns(peer.pids()) - before) / 1000 / max(count, 1)
        return {"rps": count / (counted["us"] / 1e6), "cpu_us": cpu_us, "requests": count}

    def faults(self, peer, sizes):
        """Checks that the peer verifies and forwards. Returns the failures as text."""
        verifies, found = self.verifies(peer.name), []
        for size in sizes:
            if not self.takes(peer.name, size):
                continue
            _, body, tag = self.bodies[size]
            for valid in (True, False):
                what = f"{size}, {'good' if valid else 'bad'} signature"
                want = 200 if valid or not verifies else 401
                before = self.upstream_counts()
                fields = {
                    "propify-signature": tag if valid else "0" * 64,
                    "x-body-sha256": hashlib.sha256(body).hexdigest(),
                    "content-type": "application/json",
                }
                connection = self._connection(peer, 20)
                try:
                    for _ in range(2):  # twice: the connection must be kept alive
                        connection.request("POST", "/hook?x=1", body, fields)
                        response = connection.getresponse()
                        text = response.read()
                        if response.status != want:
                            found.append(f"{what}: status {response.status}, not {want}")
                        elif want == 200 and text != ANSWER:
                            found.append(f"{what}: the upstream's answer was changed: {text[:60]!r}")
                except (OSError, http.client.HTTPException) as error:
                    found.append(f"{what}: {error!r}")
                connection.close()
                after = self.upstream_counts()
                reached, changed = after["checked"] - before["checked"], after["bad"] - before["bad"]
                if reached != (2 if want == 200 else 0) or changed:
                    found.append(f"{what}: {reached} requests reached the upstream, {changed} with other bodies")
        return found
