"""A job as submitted: same input same digest, and nothing sensitive or large travels."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from jobs.catalog import KINDS
from jobs.errors import InvalidInputError, NotAJobError, UnknownKindError
from jobs.job import Envelope, open_envelope, parse
from tests.orders import order


def job(kind: str = "order", input=None, **fields):
    return parse(Envelope(**{"kind": kind, "id": "J-1", "input": order("c-1") if input is None else input, **fields}))


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
    with pytest.raises(UnknownKindError, match="analytics, approval, mail, order"):
        job("cake")


def test_the_moment_of_enqueueing_counts_as_submission():
    envelope = open_envelope({"kind": "order", "id": "J-1", "enqueuedAt": "2026-11-22T11:00:00+01:00"})
    submitted = job(enqueued_at=envelope.enqueued_at)
    assert submitted.submitted_at == "2026-11-22T10:00:00.000000Z"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_a_moment_that_is_none_in_utc_is_refused(moment):
    with pytest.raises(InvalidInputError, match="enqueuedAt"):
        parse(open_envelope({"kind": "analytics", "id": "1", "enqueuedAt": moment, "input": {"event": "seen"}}))


@pytest.mark.parametrize(
    "fields",
    [
        {"ada@example.com": 1},
        {"input": {"Ada Lovelace, London": 1}},
        {"input": {"event": "seen", "properties": {"4111 1111 1111 1111": 1}}},
    ],
)
def test_what_is_wrong_is_named_only_by_what_can_be_a_name(fields):
    """A client that takes a value for a key must not bring it into the log."""
    with pytest.raises(InvalidInputError) as caught:
        parse(open_envelope({"kind": "analytics", "id": "1", **fields}))
    assert not re.search("ada@|Ada|4111", str(caught.value) + str(caught.value.fields))


def test_two_jobs_never_share_an_instance(monkeypatch):
    """`order` + `import-1` and `order-import` + `1` would both be `order-import-1`."""
    monkeypatch.setitem(KINDS, "order-import", replace(KINDS["analytics"], name="order-import"))
    with pytest.raises(InvalidInputError, match="must not begin with 'import-'"):
        job(id="import-1")
    assert job(id="imported").ref.instance_id == "order-imported"
    assert job("order-import", {"event": "seen"}, id="1").ref.instance_id == "order-import-1"


def test_a_reply_goes_to_a_queue_that_can_be():
    fields = {"kind": "order", "id": "J-1", "input": order("c-1")}
    for name in (None, "replies", "team/replies.v2", "jobs-of-others"):
        assert parse(open_envelope(fields | {"replyTo": name}), source="servicebus:jobs").ref.reply_to == name
    own = ("jobs", "JOBS", "jobs/x", "order-events", "deliveries", "poison-jobs", "job-events")
    for name in ("", "no queue", "-x", "x" * 261, "sb://elsewhere/replies", *own):
        with pytest.raises(InvalidInputError, match="replyTo") as caught:
            open_envelope(fields | {"replyTo": name})
        assert caught.value.fields[0]["field"] == "replyTo"


def test_where_the_outcome_is_told_does_not_travel():
    said = {"callbackUrl": "https://x.example/?token=t", "replyCorrelationId": "m-1", "replySession": "s-1"}
    job = parse(open_envelope({"kind": "order", "id": "J-1", "input": order("c-1"), "replyTo": "replies", **said}))
    assert job.asked == said
    assert (job.ref.calls_back, job.ref.reply_to) == (True, "replies")
    assert "token" not in str(job.ref)
    # Without a queue for the reply there is none that could have an id.
    alone = parse(open_envelope({"kind": "order", "id": "J-1", "input": order("c-1"), "replySession": "s-1"}))
    assert (alone.asked, alone.ref.calls_back) == ({}, False)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"currency": "Euro"}, "currency", "must be a currency by its three letters, such as EUR"),
        ({"customer": order("c-1")["customer"] | {"email": "ada"}}, "customer.email", "must be a mail address"),
        ({"lines": [{"sku": "mug", "quantity": 1}]}, "lines.0.sku", "must be an article's number: capital letters"),
    ],
)
def test_a_form_that_is_wanted_is_said_in_words(changes, field, message):
    with pytest.raises(InvalidInputError) as caught:
        job(input=order("c-1") | changes)
    (fault,) = caught.value.fields
    assert fault["field"] == field
    assert fault["message"].startswith(message)
