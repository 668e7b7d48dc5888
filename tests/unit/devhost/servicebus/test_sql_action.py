"""SQL actions: what they change in a message, and what they leave as it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devhost.servicebus.amqp.types import Timestamp
from devhost.servicebus.errors import ArgumentError
from devhost.servicebus.filters import FilterError, SqlAction
from tests.unit.devhost.servicebus.messages import message

SENT = message({"n": 7, "f": 1.5, "Colour": "red"}, message_id="m-1", subject="order", to="bank")


@pytest.mark.parametrize(
    ("expression", "properties"),
    [
        ("SET n = 8", {"n": 8, "f": 1.5, "Colour": "red"}),
        ("set N = n * 2", {"n": 14, "f": 1.5, "Colour": "red"}),
        ("SET new = 'x'", {"n": 7, "f": 1.5, "Colour": "red", "new": "x"}),
        ("SET [two words] = TRUE", {"n": 7, "f": 1.5, "Colour": "red", "two words": True}),
        ("SET f = 2", {"n": 7, "f": 2.0, "Colour": "red"}),
        ("REMOVE colour", {"n": 7, "f": 1.5}),
        ("REMOVE missing", {"n": 7, "f": 1.5, "Colour": "red"}),
        ("SET n = missing", {"f": 1.5, "Colour": "red"}),
        ("SET a = 1; SET b = a + 1; REMOVE a;", {"n": 7, "f": 1.5, "Colour": "red", "b": 2}),
        ("SET a = 1 SET b = a, REMOVE n", {"f": 1.5, "Colour": "red", "a": 1, "b": 1}),
        ("SET user.n = sys.Label + '!'", {"n": "order!", "f": 1.5, "Colour": "red"}),
        ("REMOVE n; SET N = 1", {"n": 1, "f": 1.5, "Colour": "red"}),
    ],
)
def test_it_changes_application_properties(expression, properties):
    changed = SqlAction(expression).apply(SENT)
    assert changed.application_properties == properties
    assert (changed.message_id, changed.subject, changed.to) == ("m-1", "order", "bank")


def test_it_changes_the_message_s_own_properties_and_keeps_the_body():
    changed = SqlAction(
        "SET sys.Label = 'late'; SET sys.CorrelationId = n; REMOVE sys.To; SET sys.ReplyTo = sys.MessageId"
    ).apply(SENT)
    assert changed.subject == "late"
    assert changed.correlation_id == "7"
    assert changed.to is None
    assert changed.reply_to == "m-1"
    assert changed.application_properties == SENT.application_properties
    assert changed.payload.endswith(bytes.fromhex("005375a000"))


def test_times_and_new_ids_are_written_with_their_types():
    changed = SqlAction("SET due = @when; SET id = newid()", {"@when": datetime(1970, 1, 2)}).apply(SENT)
    assert changed.application_properties["due"] == Timestamp(86_400_000)
    assert isinstance(changed.application_properties["due"], Timestamp)
    assert isinstance(changed.application_properties["id"], UUID)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "at its end"),
        ("SET", "at its end"),
        ("SET n 8", "at position 7"),
        ("SET n > 8", "SET needs '='"),
        ("SET n = 8 = 9", "at position 11"),
        ("UPDATE n = 8", "at position 1.* SET or REMOVE could stand here"),
        ("REMOVE", "a property could stand here"),
        ("SET sys.SequenceNumber = 1", "an action cannot change sys.sequencenumber"),
        ("REMOVE sys.Size", "an action cannot change sys.size"),
        ("SET sys.Colour = 1", "no system property Colour"),
        ("SET n = @missing", "no parameter @missing"),
    ],
)
def test_a_text_outside_the_language_is_refused(expression, message):
    with pytest.raises(ArgumentError, match=message):
        SqlAction(expression).check()


@pytest.mark.parametrize(
    ("expression", "message"),
    [("SET n = n / 0", "division by zero"), ("SET sys.Label = TRUE", "sys.label takes a text")],
)
def test_what_cannot_be_worked_out_changes_nothing(expression, message):
    with pytest.raises(FilterError, match=message):
        SqlAction(expression).apply(SENT)


def test_a_span_of_time_is_no_property():
    with pytest.raises(FilterError, match="cannot hold a span of time"):
        SqlAction("SET n = @span", {"@span": timedelta(seconds=3)}).apply(SENT)


TOKENS = ["SET", "REMOVE", "n", "sys.Label", "=", "1", "'x'", "+", "/", "0", ";", "newid()", "missing"]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(TOKENS), max_size=14).map(" ".join)))
def test_no_text_makes_it_crash(expression):
    try:
        changed = SqlAction(expression).apply(SENT)
    except (ArgumentError, FilterError):
        return
    assert changed.message_id == "m-1"
