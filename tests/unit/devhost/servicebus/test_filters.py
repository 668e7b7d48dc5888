"""Correlation filters, and filters and actions as the store and the administration API see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from devhost.servicebus.amqp.types import Timestamp
from devhost.servicebus.description_json import from_json, to_json
from devhost.servicebus.descriptions import (
    QueueDescription,
    RuleDescription,
    SubscriptionDescription,
    TopicDescription,
)
from devhost.servicebus.filters import CorrelationFilter, FalseFilter, SqlAction, SqlFilter, TrueFilter
from tests.unit.devhost.servicebus.messages import message

SENT = message(
    {"size": 3, "price": 1.5, "colour": "red", "fragile": True, "when": Timestamp(86_400_000)},
    message_id="m-1",
    correlation_id="c",
    subject="order",
    to="bank",
    reply_to="shop",
    session_id="s",
    reply_to_session_id="r",
    content_type="application/json",
)


def test_true_takes_all_and_false_takes_none():
    assert TrueFilter().matches(SENT)
    assert not FalseFilter().matches(SENT)


@pytest.mark.parametrize(
    "wanted",
    [
        {"message_id": "m-1"},
        {"correlation_id": "c"},
        {"subject": "order"},
        {"to": "bank"},
        {"reply_to": "shop"},
        {"session_id": "s"},
        {"reply_to_session_id": "r"},
        {"content_type": "application/json"},
        {"properties": {"colour": "red"}},
        {"properties": {"size": 3}},
        {"properties": {"size": 3.0}},
        {"properties": {"price": 1.5}},
        {"properties": {"fragile": True}},
        {"properties": {"when": datetime(1970, 1, 2, tzinfo=UTC)}},
        {"properties": {"when": datetime(1970, 1, 2)}},
        {"subject": "order", "to": "bank", "properties": {"size": 3, "colour": "red"}},
    ],
)
def test_a_correlation_filter_takes_what_has_all_values(wanted):
    assert CorrelationFilter(**wanted).matches(SENT)


@pytest.mark.parametrize(
    "wanted",
    [
        {"message_id": "M-1"},
        {"subject": "orders"},
        {"subject": ""},
        {"properties": {"colour": "Red"}},
        {"properties": {"Colour": "red"}},
        {"properties": {"size": "3"}},
        {"properties": {"size": True}},
        {"properties": {"fragile": 1}},
        {"properties": {"weight": 3}},
        {"subject": "order", "to": "shop"},
        {"subject": "order", "properties": {"size": 4}},
    ],
)
def test_a_correlation_filter_leaves_what_has_another_value_type_or_case(wanted):
    assert not CorrelationFilter(**wanted).matches(SENT)


def test_ids_that_are_no_texts_are_compared_as_texts():
    uuid = UUID("12345678-1234-5678-1234-567812345678")
    assert CorrelationFilter(message_id=str(uuid)).matches(message(message_id=uuid))
    assert CorrelationFilter(correlation_id="7").matches(message(correlation_id=7))


@pytest.mark.parametrize(
    "description",
    [
        QueueDescription("q", lock_duration=1_000, default_ttl=None, forward_to="t"),
        TopicDescription("t", requires_duplicate_detection=True),
        SubscriptionDescription("s", requires_session=True),
        RuleDescription(),
        RuleDescription("no", FalseFilter()),
        RuleDescription("sql", SqlFilter("a = @a", {"@a": 3}), SqlAction("SET b = 1")),
        RuleDescription(
            "all",
            CorrelationFilter(
                subject="x",
                properties={
                    "text": "ü",
                    "number": 2**40,
                    "broken": 0.1,
                    "flag": False,
                    "time": datetime(2026, 11, 22, 5, 0, tzinfo=UTC),
                    "span": timedelta(minutes=3),
                },
            ),
        ),
    ],
)
def test_the_store_gives_back_what_it_was_given(description):
    assert from_json(to_json(description)) == description


def test_a_description_of_an_older_version_has_defaults_for_what_it_did_not_know():
    assert from_json('{"$kind": "QueueDescription", "name": "q"}') == QueueDescription("q")
