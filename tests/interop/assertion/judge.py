"""The verifier for Python of docs/assertion.md as a judge. Reads cases from standard input, and prints which it accepts."""

import base64
import json
import sys

from assertion import NotFromGateway, ed25519, hmac_sha256, verify


def accepts(case):
    keys = {case["key_id"]: ed25519(case["key"].encode()) if case["algorithm"] == "ed25519" else hmac_sha256(case["key"].encode())}
    headers = {}
    for name, value in case["fields"]:
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    try:
        verify(case["method"], case["target"], headers, base64.b64decode(case["body"]), keys, case["now"])
    except NotFromGateway:
        return False
    return True


print(json.dumps([accepts(case) for case in json.load(sys.stdin)]))
