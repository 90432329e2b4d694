"""A WSGI app (PEP 3333), for uWSGI."""

import seen


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    # As much as uWSGI thinks there is.
    content = environ["wsgi.input"].read()
    seen.write(seen.handler_of(path), path, content, seen.fields_of(environ))
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "3")])
    return [b"ok\n"]
