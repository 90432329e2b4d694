"""An independent implementation of RFC 9421 as a judge: `http-message-signatures` of PyPI. Reads cases from standard input, and
prints which it accepts."""

import base64
import datetime
import json
import sys
from types import SimpleNamespace
from unittest import mock

from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, InvalidSignature, algorithms, signatures

COVERED = ("@method", "@path", "@query", "content-digest")


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, case):
        self.keys = {case["key_id"]: case["key"].encode()}

    def resolve_public_key(self, key_id):
        return self.keys.get(key_id)

    def resolve_private_key(self, key_id):
        raise NotImplementedError


class Headers:
    """Field lines, with names in any case."""

    def __init__(self, lines):
        self.lines = lines

    def items(self):
        return list(self.lines)


def accepts(case):
    class At(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(case["now"], tz)

    algorithm = {"ed25519": algorithms.ED25519, "hmac-sha256": algorithms.HMAC_SHA256}[case["algorithm"]]
    verifier = HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=Keys(case))
    verifier.max_clock_skew = datetime.timedelta(0)
    message = SimpleNamespace(method=case["method"], url="http://app.example" + case["target"],
                              headers=Headers([(name, value) for name, value in case["fields"]]))
    try:
        with mock.patch.object(signatures.datetime, "datetime", At):
            verifier.verify(message, expect_tag="hookgate", expect_label="hookgate", require_components=COVERED,
                            body=base64.b64decode(case["body"]))
    except InvalidSignature:
        return False
    return True


print(json.dumps([accepts(case) for case in json.load(sys.stdin)]))
