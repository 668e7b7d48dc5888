"""Tokens and passwords: what lets a client in, and what it may touch then."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from urllib.parse import quote, quote_plus

import pytest

from devhost.servicebus.access import SharedAccessPolicy
from devhost.servicebus.addresses import covers, managed_entity, to_path
from devhost.servicebus.cbs import Claims
from devhost.servicebus.errors import UnauthorizedError

AUDIENCE = "sb://localhost:5672/Orders"


def token(audience=AUDIENCE, *, key="secret", name="rule", expires_in=3600, encode=quote_plus):
    resource, expiry = encode(audience), int(time.time()) + expires_in
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={resource}&sig={encode(base64.b64encode(digest).decode())}&se={expiry}&skn={name}"


@pytest.fixture
def policy():
    return SharedAccessPolicy("rule", "secret")


@pytest.mark.parametrize(
    ("value", "audience"),
    [
        (token(), AUDIENCE),
        (token(), "amqps://127.0.0.1/orders/$DeadLetterQueue"),
        (token("sb://localhost/"), AUDIENCE),
        (token(encode=lambda text: quote(text, safe="")), AUDIENCE),
        (token("sb://localhost/a b"), "sb://localhost/a b"),
    ],
)
def test_good_tokens(policy, value, audience):
    policy.check_token(value, audience)


def test_a_signature_may_come_unescaped(policy):
    # A signature with a plus sign, however many tries that takes.
    moments = (token(expires_in=60 + n, encode=lambda text: quote(text, safe="/+=")) for n in range(500))
    policy.check_token(next(value for value in moments if "+" in value), AUDIENCE)


@pytest.mark.parametrize(
    ("value", "audience", "cause"),
    [
        (token(key="other"), AUDIENCE, "not signed"),
        (token(name="other"), AUDIENCE, "not signed"),
        (token().replace("Orders", "orders"), AUDIENCE, "not signed"),
        (token(expires_in=0), AUDIENCE, "expired"),
        (token(), "sb://localhost/Orders2", "not for"),
        (token(), "sb://localhost/", "not for"),
        (token(), None, "not for"),
        (token().replace("&skn=rule", ""), AUDIENCE, "not signed"),
        ("SharedAccessSignature", AUDIENCE, "Entra"),
        ("SharedAccessSignature sr=é&sig=é&se=x", AUDIENCE, "not signed"),
        (b"bytes", AUDIENCE, "Entra"),
    ],
)
def test_bad_tokens(policy, value, audience, cause):
    with pytest.raises(UnauthorizedError, match=cause):
        policy.check_token(value, audience)


def test_passwords(policy):
    assert policy.check_password("rule", "secret")
    assert not policy.check_password("rule", "Secret") and not policy.check_password("root", "secret")


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("queue", "queue"),
        ("/queue/", "queue"),
        ("amqps://host:5672/topic/Subscriptions/s", "topic/Subscriptions/s"),
        ("sb://host/", ""),
        ("sb://host", ""),
        ("sb://host/queue?timeout=5", "queue"),
        ("", ""),
    ],
)
def test_addresses(address, path):
    assert to_path(address) == path


def test_management_nodes():
    assert managed_entity("Queue/$DeadLetterQueue/$Management") == "Queue/$DeadLetterQueue"
    assert managed_entity("queue") is None and managed_entity("$management") is None


def test_rights_are_to_what_is_below_too():
    assert covers("A", "a") and covers("a", "A/$DeadLetterQueue") and covers("", "anything")
    assert not covers("a", "ab") and not covers("a/b", "a")


def test_claims_add_up(policy):
    claims = Claims(policy)
    assert not claims and not claims.cover("a")
    claims.grant("a")
    claims.grant("b")
    assert claims and claims.cover("a") and claims.cover("B/x") and not claims.cover("c")
