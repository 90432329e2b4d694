#!/usr/bin/env python3
"""An app behind hookgate's queue that handles each event once, though it may be delivered twice.

hookgate delivers at least once. All deliveries of an event have one id, in the field `x-hookgate-event-id`. The app records the id
in the same transaction as what the event changes: then either both happened, or neither.
"""

import json
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer

database = sqlite3.connect(os.environ.get("DATABASE", "app.db"))
database.execute("create table if not exists handled (event_id text primary key)")
database.execute("create table if not exists lease (id text primary key, changes integer not null)")


def handle(event_id, event):
    """Handles an event, unless it was handled before. Returns whether it was new."""
    with database:
        if database.execute("insert or ignore into handled values (?)", (event_id,)).rowcount == 0:
            return False
        database.execute(
            "insert into lease values (?, 1) on conflict (id) do update set changes = changes + 1",
            (event["record_id"],),
        )
        return True


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"]))
        is_new = handle(self.headers["x-hookgate-event-id"], json.loads(content))
        # An event that was handled before is answered 200 as well: it needs no further delivery.
        answer = json.dumps({"new": is_new}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), App)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
