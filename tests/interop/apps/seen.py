"""What an app writes down of a request that it has read: one line of JSON each, in the file that SEEN names."""

import json
import os


def handler_of(path):
    """As apps do that route by themselves, on the decoded path."""
    if path == "/webhook/leases":
        return "leases"
    if path == "/hooks/admin":
        return "admin"
    if path.startswith("/hooks/"):
        return "tenant"
    if path.startswith("/partner/"):
        return "partner"
    return "other"


def write(handler, path, content, fields):
    line = {"handler": handler, "path": path, "content": content.hex(), "fields": fields}
    with open(os.environ["SEEN"], "a", encoding="utf-8") as seen:
        seen.write(json.dumps(line) + "\n")


def fields_of(environ):
    """The variables that CGI makes of fields (RFC 3875, section 4.1), as the names that an app has in mind."""
    fields = {
        name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_LENGTH"):
        fields["content-length"] = environ["CONTENT_LENGTH"]
    return fields
