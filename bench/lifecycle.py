"""Shared by bench/reloads and bench/drains: an app, senders, a gateway in its own process. Loopback only, stdlib only."""

import hashlib
import hmac
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

PATH = "/webhook/leases"
PATIENCE = 30.0


def binary():
    for path in (os.environ.get("HOOKGATE"), "target/release/hookgate"):
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    sys.exit("no hookgate: cargo build --release, or set HOOKGATE")


def sign(key, body):
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


class App:
    """An app that answers 200 to everything, keeps connections alive, and records the number of each event."""

    def __init__(self):
        self.seen = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listener.accept()
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        with stream:
            while (body := read_message(stream)) is not None:
                self.seen.add(json.loads(body[1])["n"])
                stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def read_message(stream):
    """The head and content of one message with a content-length; None if the connection ends before its first byte."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            piece = stream.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            if data:
                raise ConnectionError("half a message")
            return None
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        piece = stream.recv(65536)
        if not piece:
            raise ConnectionError("half a message")
        body += piece
    return head, body


class Sender:
    """One client of the gateway, with one connection at a time."""

    def __init__(self, port, keep_alive=True):
        self.port, self.keep_alive, self.stream = port, keep_alive, None

    def send(self, number, key):
        """The status; "refused" or "no connection" if there was no connection; "lost" if it ended without an answer."""
        body = json.dumps({"meta": {"object": "leases"}, "n": number}).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
            f"propify-signature: {sign(key, body)}\r\ncontent-length: {len(body)}\r\n"
            + ("" if self.keep_alive else "connection: close\r\n")
            + "\r\n"
        )
        if self.stream is None:
            try:
                self.stream = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
                self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except ConnectionRefusedError:
                return "refused"
            except OSError:
                return "no connection"
        try:
            self.stream.sendall(head.encode() + body)
            answer = read_message(self.stream)
        except OSError:
            answer = None
        if answer is None:
            self.close()
            return "lost"
        head = answer[0].lower()
        if b"\r\nconnection: close" in head or not self.keep_alive:
            self.close()
        return int(head.split(b" ")[1])

    def close(self):
        if self.stream is not None:
            self.stream.close()
            self.stream = None


class Gateway:
    """A hookgate whose log lines are read as they arrive."""

    def __init__(self, folder, inherited=None):
        command = [binary(), "--config", os.path.join(folder, "gateway.toml"), "run"]
        stdin = subprocess.DEVNULL
        if inherited is not None:
            # The socket is descriptor 3, as under systemd.
            shell = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0 </dev/null'
            command, stdin = ["/bin/sh", "-c", shell, "sh", *command], inherited
        self.process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        line = self.wait_for("listening")
        self.port = int(line["addresses"].split(",")[0].rsplit(":", 1)[1])

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.decode())

    def wait_for(self, message):
        deadline = time.monotonic() + PATIENCE
        while True:
            line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            event = json.loads(line) if line.startswith("{") else {"message": line}
            if event["message"] == message:
                return event
            if event.get("level") == "ERROR" or not line.startswith("{"):
                raise SystemExit(f"the gateway says: {line}")

    def hangup(self):
        self.process.send_signal(signal.SIGHUP)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self):
        return self.process.wait(timeout=PATIENCE * 4)

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def configure(folder, app, port=0, more="", secrets='{ file = "mounted/propify" }'):
    text = f"""
        [server]
        listen = "127.0.0.1:{port}"
        workers = 2
        {more}
        [log]
        access = "off"
        format = "json"
        [signature]
        scheme = "propify"
        secrets = [{secrets}]
        [[routes]]
        path = "{PATH}"
        upstream = "http://127.0.0.1:{app.port}"
    """
    with open(os.path.join(folder, "gateway.toml"), "w") as file:
        file.write(text)
