#!/usr/bin/env python3
"""The senders' own libraries for Python as judges. Reads and prints what judge.mjs reads and prints."""

import json
import sys
import time

import hook0
from gocardless_pro import webhooks as gocardless
from gocardless_pro.errors import InvalidSignatureError
from slack_sdk.signature import SignatureVerifier


def coinbase_verifies(attempt):
    # The Coinbase Developer Platform sends its webhooks with Hook0.
    try:
        hook0.verify_webhook_signature(
            attempt["fields"]["x-hook0-signature"], attempt["body"].encode(), attempt["fields"], attempt["secret"],
            tolerance=300)
    except hook0.Hook0ClientError:
        return False
    return True


def gocardless_verifies(attempt):
    try:
        gocardless.parse(attempt["body"], attempt["secret"], attempt["fields"]["webhook-signature"])
    except InvalidSignatureError:
        return False
    return True


def slack_verifies(attempt):
    fields = attempt["fields"]
    return SignatureVerifier(attempt["secret"]).is_valid(
        attempt["body"], fields["x-slack-request-timestamp"], fields["x-slack-signature"])


def slack_signs(attempt):
    now = str(int(time.time()))
    made = SignatureVerifier(attempt["secret"]).generate_signature(timestamp=now, body=attempt["body"])
    return {"x-slack-request-timestamp": now, "x-slack-signature": made}


JUDGES = {"coinbase": (coinbase_verifies, None), "gocardless": (gocardless_verifies, None), "slack": (slack_verifies, slack_signs)}

case = json.load(sys.stdin)
verifies, signs = JUDGES[case["sender"]]
accepted = [verifies(attempt) for attempt in case["attempts"]]
print(json.dumps({"accepted": accepted, "signed": signs and signs(case["attempts"][0])}))
