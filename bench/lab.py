"""Shared by attacks and slowhttp: a gateway under test, its upstream, good traffic. Loopback only."""

import hashlib
import hmac
import json
import multiprocessing
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time

SECRET = "bench secret, not for use"
CONTENT = b'{"meta":{"object":"leases"},"record_id":"1","diff":{"new":{"status":"approved"}}}'
PATH = "/webhook"
fork = multiprocessing.get_context("fork")


def signature(content):
    return hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()


def event(content, tag, length=None):
    """A request as the sender makes it. `length` claims more content than follows."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"propify-signature: {tag}\r\nContent-Length: {len(content) if length is None else length}\r\n\r\n"
    )
    return head.encode() + content


def raise_descriptors():
    """Raises the limit on descriptors to the hard limit, and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def read_response(sock, buffer):
    """Reads one response with a content-length. Returns its status, and whether it closes the connection."""
    head = read_message(sock, buffer)
    return int(head.split(b" ", 2)[1]), b"connection: close" in head


def read_message(sock, buffer):
    """Removes one message with a content-length, or without content, from the buffer. Returns its head in lower case."""
    while b"\r\n\r\n" not in buffer:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError("closed before a message")
        buffer += piece
    end = buffer.index(b"\r\n\r\n") + 4
    head = bytes(buffer[:end]).lower()
    found = re.search(rb"\r\ncontent-length: *(\d+)", head)
    whole = end + (int(found.group(1)) if found else 0)
    while len(buffer) < whole:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError("closed within a message")
        buffer += piece
    del buffer[:whole]
    return head


class Upstream:
    """An upstream in its own process that answers every request with 200 and two bytes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.process = fork.Process(target=self._listen, daemon=True)
        self.process.start()

    def _listen(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    @staticmethod
    def _serve(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray()
        try:
            while True:
                read_message(sock, buffer)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            sock.close()

    def stop(self):
        self.process.terminate()
        self.process.join()
        self.listener.close()


class Gateway:
    """A hookgate in its own process, with its log in a file."""

    def __init__(self, binary, upstream, server="", limits="", access="all", routes="", descriptors=None):
        """`routes` is appended after the usual route; `descriptors` is the soft and hard limit on open files."""
        self.folder = tempfile.TemporaryDirectory(prefix="hookgate-bench-")
        folder = pathlib.Path(self.folder.name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = folder / "gateway.toml"
        config.write_text(
            f"""
[server]
listen = "127.0.0.1:{self.port}"
workers = 2
{server}
[limits]
{limits}
[log]
format = "json"
access = "{access}"
[signature]
scheme = "propify"
secrets = [{{ env = "BENCH_SECRET" }}]
[[routes]]
path = "{PATH}"
upstream = "http://127.0.0.1:{upstream.port}"
{routes}
"""
        )
        self.log = open(folder / "log", "wb")
        self.command = [binary, "--config", str(config)]
        self.environment = dict(os.environ, BENCH_SECRET=SECRET)
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))) if descriptors else None
        self.process = subprocess.Popen(
            self.command,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.environment,
            preexec_fn=limit,
        )
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit("the gateway does not start:\n" + (folder / "log").read_text())

    def resident(self):
        """The current memory in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def most(self):
        """The most memory that its configuration can take, as it reports itself."""
        told = subprocess.run([*self.command, "check", "--json"], env=self.environment, stdout=subprocess.PIPE, check=True)
        return json.loads(told.stdout)["memory"]["most"]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Singles:
    """Sends events one after the other, each over a new connection and with its own time limit."""

    def __init__(self, port, count, every, patience):
        self.port, self.patience = port, patience
        self.times, self.failures = [], []
        self.threads = []
        for _ in range(count):
            thread = threading.Thread(target=self._send, daemon=True)
            thread.start()
            self.threads.append(thread)
            time.sleep(every)

    def _send(self):
        begun = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=self.patience) as sock:
                sock.sendall(event(CONTENT, signature(CONTENT)))
                status, _ = read_response(sock, bytearray())
        except OSError as error:
            self.failures.append(type(error).__name__)
            return
        if status == 200:
            self.times.append(time.monotonic() - begun)
        else:
            self.failures.append(str(status))

    def result(self):
        """The times of the events that were served, and the reasons why the others were not."""
        for thread in self.threads:
            thread.join()
        return self.times, self.failures


class Good:
    """A sender with a steady rate of events: most over one connection, every tenth over a new one."""

    def __init__(self, port, seconds, rate):
        self.receiver, sender = fork.Pipe(duplex=False)
        self.process = fork.Process(target=self._send, args=(port, seconds, rate, sender), daemon=True)
        self.process.start()
        sender.close()

    @staticmethod
    def _send(port, seconds, rate, result):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        request = event(CONTENT, signature(CONTENT))
        latencies, failures, kept = [], [], None
        start = time.monotonic()
        for number in range(int(seconds * rate)):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            fresh = number % 10 == 0
            begun = time.monotonic()
            try:
                if fresh or kept is None:
                    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                else:
                    sock = kept
                sock.sendall(request)
                status, ends = read_response(sock, bytearray())
                latencies.append(time.monotonic() - begun)
                if status != 200:
                    failures.append(str(status))
                if fresh or ends:
                    sock.close()
                if not fresh:
                    kept = None if ends else sock
            except OSError as error:
                # Includes a kept-alive connection that the gateway has closed: a real sender would send again.
                failures.append(type(error).__name__)
                kept = None
        result.send((latencies, failures))

    def result(self):
        latencies, failures = self.receiver.recv()
        self.process.join()
        latencies.sort()
        if not latencies:
            return float("nan"), float("nan"), failures, 0
        at = lambda part: latencies[min(len(latencies) - 1, int(len(latencies) * part))]
        return at(0.5), at(0.99), failures, len(latencies)
