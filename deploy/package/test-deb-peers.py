"""The gateway's two counterparts: an app on a loopback port, and systemd's notify socket. Prints what each receives."""

import http.server
import socket
import sys
import threading

port, notify = int(sys.argv[1]), sys.argv[2]


class App(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print("POST", self.path, flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def listen():
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(notify)
    while True:
        print(systemd.recv(4096).decode(), flush=True)


app = http.server.ThreadingHTTPServer(("127.0.0.1", port), App)
threading.Thread(target=listen, daemon=True).start()
app.serve_forever()
