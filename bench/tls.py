"""The parts of `bench/run --tls` that have no counterpart over plain HTTP: handshakes, and HTTP/2."""

import rig
from markdown import median, table

# How each kind of handshake is asked for, and how many of 100 handshakes may be of the other kind (resumed or full).
HANDSHAKES = {
    "full P-256": ({}, 0),
    "full P-256, client's groups": ({"groups": "default"}, 0),
    "full RSA 2048": ({"kind": "rsa"}, 0),
    "resumed P-256": ({"resume": True}, 5),
    "full P-256 and a request": ({"request": True}, 0),
}

# HTTP/1.1 and HTTP/2 by the same generator: connections, streams on each, requests, and what HTTP/2 is compared with: HTTP/1.1
# with about as many requests under way.
HTTP2 = {
    "HTTP/1.1: 1": (1, 1, 4000, None),
    "HTTP/1.1: 64": (64, 1, 12000, None),
    "HTTP/2: 1 × 1": (1, 1, 4000, "HTTP/1.1: 1"),
    "1 × 32": (1, 32, 12000, "HTTP/1.1: 64"),
    "8 × 8": (8, 8, 12000, "HTTP/1.1: 64"),
    "64 × 1": (64, 1, 12000, "HTTP/1.1: 64"),
}

# How much CPU time each part takes, and the peer that hookgate is compared with.
PARTS = {
    "handshakes": ("CPU per handshake", HANDSHAKES, "nginx-lua"),
    "http2": ("CPU per request by h2load", HTTP2, "haproxy"),
}


def in_turn(asked, live, cells, data, measure):
    """Measures every cell with every peer, in rounds. `measure` returns figures, and what is wrong with them."""
    for number in range(asked.rounds):
        for cell in cells:
            for peer in live if number % 2 == 0 else reversed(live):
                measured, wrong = measure(peer, cell)
                if wrong:
                    data["faults"] = True
                    rig.say(f"FAULT {peer.name} {cell}: {measured}")
                if measured:
                    data.setdefault(peer.name, {}).setdefault(cell, []).append(measured)
        rig.say(f"round {number + 1} of {asked.rounds}")


def handshakes(lab, asked, live, data):
    def measure(peer, cell):
        how, others = HANDSHAKES[cell]
        measured = lab.handshakes(peer, asked.seconds, **how)
        if measured is None:
            return None, True
        expected = measured["resumed" if how.get("resume") else "full"]
        return measured, measured["errors"] or expected * 100 < measured["requests"] * (100 - others)

    in_turn(asked, live, HANDSHAKES, data, measure)


def http2(lab, asked, live, data):
    def measure(peer, cell):
        connections, streams, requests, http1 = HTTP2[cell]
        measured = lab.h2load(peer, "512B", connections, streams, requests, http1 is None)
        if measured is None:
            rig.say(f"{peer.name} does not offer what {cell} needs")
            return None, False
        return measured, measured["s2xx"] != measured["requests"]

    in_turn(asked, live, HTTP2, data, measure)


def series(data, name, cell):
    return [measured["cpu_us"] for measured in data.get(name, {}).get(cell, [])]


def ratio(data, name, cell, base, base_cell=None):
    pairs = zip(series(data, name, cell), series(data, base, base_cell or cell))
    return median([own / other for own, other in pairs])


def tables(runs):
    """The tables of one run, or the medians of several: titles and Markdown."""

    def rows(part, names, columns, value):
        return [
            [name, *(median([value(data.get(part, {}), name, column) for data in runs]) for column in columns)]
            for name in names
        ]

    own = lambda data, name, cell: median(series(data, name, cell))
    for part, (what, cells, base) in PARTS.items():
        names = [name for name in runs[0]["names"] if any(name in data.get(part, {}) for data in runs)]
        if not names:
            continue
        yield f"{what}, in microseconds", table(["", *cells], rows(part, names, cells, own))
        if base in names:
            to_base = lambda data, name, cell: ratio(data, name, cell, base)
            yield f"{what}, as a ratio to {base}'s", table(["", *cells], rows(part, names, cells, to_base))
    newer = [cell for cell, (*_, http1) in HTTP2.items() if http1]
    names = [name for name in runs[0]["names"] if any(to_http1(data, name, newer[0]) for data in runs)]
    if names:
        how = lambda data, name, cell: to_http1({"http2": data}, name, cell)
        yield "CPU per request over HTTP/2, as a ratio to its own over HTTP/1.1", table(
            ["", *newer], rows("http2", names, newer, how)
        )


def to_http1(data, name, cell):
    """What a request over HTTP/2 takes, as a ratio to the same program's HTTP/1.1 with about as many requests under way."""
    return ratio(data.get("http2", {}), name, cell, name, HTTP2[cell][3])
