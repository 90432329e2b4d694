"""A Flask app with its routes, on Werkzeug's own server."""

import os

import flask

import seen

app = flask.Flask(__name__)


def note(handler):
    path = flask.request.path
    fields = {name.lower(): value for name, value in flask.request.headers.items()}
    seen.write(handler, path, flask.request.get_data(), fields)
    return "ok\n"


app.add_url_rule("/webhook/leases", "leases", lambda: note("leases"), methods=["POST"])
app.add_url_rule("/hooks/admin", "admin", lambda: note("admin"), methods=["POST"])
app.add_url_rule("/hooks/<tenant>", "tenant", lambda tenant: note("tenant"), methods=["POST"])
app.add_url_rule("/partner/<path:rest>", "partner", lambda rest: note("partner"), methods=["POST"])
app.add_url_rule("/<path:rest>", "other", lambda rest: note("other"), methods=["POST"])
app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
