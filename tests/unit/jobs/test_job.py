"""A job as submitted: same input same digest, and nothing sensitive or large travels."""

from __future__ import annotations

import json
import re

import pytest

from jobs.errors import InvalidInputError, NotAJobError, UnknownKindError
from jobs.job import Envelope, open_envelope, parse
from tests.orders import order


def job(kind: str = "order", input=None, **fields):
    return parse(Envelope(kind=kind, id="J-1", input=order("c-1") if input is None else input, **fields))


def test_the_order_of_keys_makes_no_difference():
    shuffled = dict(reversed(order("c-1").items()))
    assert job(input=shuffled).digest == job().digest


@pytest.mark.parametrize("field", ["customer", "card", "lines"])
def test_another_value_is_another_input(field):
    other = order("c-2", quantity=2) | {"card": "tok_other"}
    assert job(input=order("c-1") | {field: other[field]}).digest != job().digest


def test_what_is_sensitive_does_not_travel():
    travelling = json.dumps(job().travelling_input)
    assert json.loads(travelling) == {"currency": "EUR", "lines": [{"sku": "MUG", "quantity": 1}]}
    assert not re.search("Ada|example|tok_|James", travelling)
    assert job().claim == "order/J-1.json"


def test_a_large_input_travels_as_a_claim():
    properties = {f"p{number}": "x" * 200 for number in range(50)}
    small = job("analytics", {"event": "seen", "properties": dict(list(properties.items())[:2])})
    assert small.claim is None
    assert small.travelling_input["event"] == "seen"
    large = job("mail", {"to": "ada@example.com", "subject": "Long", "text": "x" * 40_000})
    assert large.claim == "mail/J-1.json"
    assert large.travelling_input == {}


@pytest.mark.parametrize("text", [[], "order", None, 1, {}, {"input": {}}])
def test_what_has_no_kind_is_no_job(text):
    with pytest.raises(NotAJobError):
        open_envelope(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": "a/b"},
        {"id": "a b"},
        {"id": "-a"},
        {"id": "é"},
        {"id": "x" * 81},
        {"id": "a\n"},
        {"id": 5},
        {"kind": 5},
        {"kind": "x" * 100},
        {"input": []},
        {"correlationId": "a\nb"},
        {"enqueuedAt": "yesterday"},
        {"enqueuedAt": "2026-11-22T10:00:00"},
        {"priority": "high"},
        {"surprise": 1},
    ],
)
def test_odd_envelopes_are_refused(fields):
    with pytest.raises(InvalidInputError) as caught:
        open_envelope({"kind": "order", "id": "J-1", "input": {}} | fields)
    assert caught.value.fields[0]["field"] == next(iter(fields))


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(UnknownKindError, match="analytics, mail, order"):
        job("cake")


def test_the_moment_of_enqueueing_counts_as_submission():
    envelope = open_envelope({"kind": "order", "id": "J-1", "enqueuedAt": "2026-11-22T11:00:00+01:00"})
    submitted = job(enqueued_at=envelope.enqueued_at)
    assert submitted.submitted_at == "2026-11-22T10:00:00.000000Z"
