"""The demo's receiver of webhooks takes none that is not signed, and says what came."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from demo.receiver import Receiver

SECRET = "whsec_" + b64encode(b"a secret of this test").decode()


@pytest.fixture
def receiver():
    with Receiver(SECRET) as running:
        yield running


def call(receiver: Receiver, id: str, secret: str = SECRET) -> int:
    body, now = json.dumps({"data": {"status": "Completed"}}), datetime.now(UTC)
    headers = {"webhook-id": id, "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Webhook(secret).sign(id, now, body)
    return httpx.post(receiver.url("A-1"), content=body, headers=headers).status_code


def test_the_second_try_is_accepted(receiver):
    assert [call(receiver, "msg_1"), call(receiver, "msg_1")] == [500, 204]
    assert str(receiver.heard["A-1"]) == "Completed, accepted once, at try 2"


def test_a_forged_one_and_a_second_one_are_told_of(receiver):
    forged = call(receiver, "msg_1", "whsec_" + b64encode(b"another").decode())
    assert [forged, call(receiver, "msg_1"), call(receiver, "msg_2")] == [401, 500, 204]
    assert str(receiver.heard["A-1"]) == "2 tries, 2 webhooks, 1 accepted, 1 forged"
