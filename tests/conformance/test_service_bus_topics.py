"""Topics: every subscription gets its own copy of what its rules take, changed as their actions say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from tests.conformance.service_bus import DEAD_LETTER, RECEIVE_AND_DELETE, bodies

pytestmark = pytest.mark.anyio

SQL_FILTERS = {
    "1 = 1": ["red", "blue", "plain"],
    "1 = 0": [],
    "color = 'red'": ["red"],
    "color <> 'red'": ["blue"],
    "color != 'red'": ["blue"],
    "NOT color = 'red'": ["blue"],
    "color = 'red' OR weight = 15": ["red", "blue"],
    "color = 'red' AND weight = 15": [],
    "(color = 'red' OR color = 'blue') AND NOT (weight < 10)": ["blue"],
    "color IN ('red', 'green')": ["red"],
    "color NOT IN ('red', 'green')": ["blue"],
    "color LIKE 'b%'": ["blue"],
    "color LIKE 'r_d'": ["red"],
    "color NOT LIKE '%e%'": [],
    "weight > 10": ["blue"],
    "weight * 2 = 10": ["red"],
    "weight + 1 >= 6 AND weight - 1 < 10": ["red"],
    "weight % 2 = 1 AND weight / 5 = 3": ["blue"],
    "-weight = -5": ["red"],
    "price = 1.5": ["red"],
    "price > weight": [],
    "urgent = TRUE": ["red"],
    "EXISTS(color)": ["red", "blue"],
    "NOT EXISTS(color)": ["plain"],
    "color IS NULL": ["plain"],
    "color IS NOT NULL": ["red", "blue"],
    "nowhere = 'x'": [],
    "nowhere <> 'x'": [],
    "user.color = 'blue'": ["blue"],
    "[the owner] = 'it''s me'": ["blue"],
    '"the owner" LIKE \'it%\'': ["blue"],
    "sys.Label = 'order'": ["red"],
    "sys.CorrelationId = 'important'": ["red"],
    "sys.MessageId IN ('m-red', 'm-plain')": ["red", "plain"],
    "sys.ContentType LIKE '%json'": ["red"],
    "sys.To = 'shop' AND sys.ReplyTo = 'replies' AND sys.SessionId = 's'": ["red"],
}
CORRELATION_FILTERS = [
    ({"CorrelationId": "important"}, ["red"]),
    ({"Label": "order"}, ["red"]),
    ({"Label": "order", "CorrelationId": "other"}, []),
    ({"MessageId": "m-plain"}, ["plain"]),
    ({"ContentType": "application/json", "To": "shop", "ReplyTo": "replies", "SessionId": "s"}, ["red"]),
    ({"ReplyToSessionId": "r"}, ["red"]),
    ({"Properties": {"color": "blue"}}, ["blue"]),
    ({"Properties": {"color": "blue", "the owner": "it's me"}}, ["blue"]),
    ({"Properties": {"color": "red"}, "Label": "refund"}, []),
]


def sql(expression: str, action: str | None = None, name: str = "rule") -> dict:
    """A rule in the emulator's format."""
    properties: dict = {"FilterType": "Sql", "SqlFilter": {"SqlExpression": expression}}
    if action:
        properties["Action"] = {"SqlExpression": action}
    return {"Name": name, "Properties": properties}


def correlation(**fields) -> dict:
    """A rule in the emulator's format."""
    return {"Name": "rule", "Properties": {"FilterType": "Correlation", "CorrelationFilter": fields}}


TOPICS = [
    {"Name": "sql", "Subscriptions": [{"Name": f"s{n}", "Rules": [sql(text)]} for n, text in enumerate(SQL_FILTERS)]},
    {
        "Name": "correlation",
        "Subscriptions": [
            {"Name": f"s{n}", "Rules": [correlation(**fields)]} for n, (fields, _) in enumerate(CORRELATION_FILTERS)
        ],
    },
    {"Name": "plain", "Subscriptions": [{"Name": "one"}, {"Name": "two"}, {"Name": "three"}]},
    {"Name": "separate", "Subscriptions": [{"Name": "one"}, {"Name": "few", "Rules": [sql("sys.Label = 'b'")]}]},
    {"Name": "unheard", "Subscriptions": [{"Name": "deaf", "Rules": [sql("1 = 0")]}]},
    {
        "Name": "acting",
        "Subscriptions": [
            {"Name": "set", "Rules": [sql("color = 'red'", "SET color = 'green'; SET added = weight + 1")]},
            {"Name": "remove", "Rules": [sql("1 = 1", "REMOVE color")]},
            {"Name": "system", "Rules": [sql("1 = 1", "SET sys.Label = 'relabelled'; SET sys.ReplyTo = 'elsewhere'")]},
            {"Name": "untouched"},
        ],
    },
    {
        "Name": "several",
        "Subscriptions": [
            {"Name": "two-filters", "Rules": [sql("weight > 1", name="a"), sql("weight > 2", name="b")]},
            {
                "Name": "two-actions",
                "Rules": [sql("1 = 1", "SET by = 'a'", name="a"), sql("weight > 2", "SET by = 'b'", name="b")],
            },
        ],
    },
]


def messages() -> Iterator[ServiceBusMessage]:
    """What the filters choose from."""
    yield ServiceBusMessage(
        "red",
        application_properties={"color": "red", "weight": 5, "price": 1.5, "urgent": True},
        subject="order",
        correlation_id="important",
        message_id="m-red",
        content_type="application/json",
        to="shop",
        reply_to="replies",
        reply_to_session_id="r",
        session_id="s",
    )
    yield ServiceBusMessage(
        "blue", application_properties={"color": "blue", "weight": 15, "the owner": "it's me"}, subject="refund"
    )
    yield ServiceBusMessage("plain", message_id="m-plain")


@pytest.fixture(scope="module")
async def filled(bus):
    """The bus, the messages sent to both filtering topics."""
    await bus.send("sql", *messages())
    await bus.send("correlation", *messages())
    return bus


async def peeked(bus, topic: str, subscription: str) -> list[str]:
    async with bus.client.get_subscription_receiver(topic, subscription) as receiver:
        return bodies(await receiver.peek_messages(10))


async def test_sql_filters(filled):
    found = await asyncio.gather(*(peeked(filled, "sql", f"s{number}") for number in range(len(SQL_FILTERS))))
    assert dict(zip(SQL_FILTERS, found, strict=True)) == SQL_FILTERS


async def test_correlation_filters(filled):
    numbers = range(len(CORRELATION_FILTERS))
    found = await asyncio.gather(*(peeked(filled, "correlation", f"s{number}") for number in numbers))
    assert found == [expected for _, expected in CORRELATION_FILTERS]


async def test_every_subscription_gets_its_copy(both):
    name = "by the aio client" if both.is_async else "by the sync client"
    await both.send("plain", name, session_id="kept", subject="s", application_properties={"k": 1})
    for subscription in ("one", "two", "three"):
        [message] = await both.receive(f"plain/{subscription}")
        assert (str(message), message.session_id, message.subject) == (name, "kept", "s")
        assert message.application_properties == {b"k": 1}
        await both.complete(f"plain/{subscription}", message)


async def test_what_happens_to_one_copy_happens_to_no_other(bus):
    await bus.send("separate", "x", subject="b")
    [one] = await bus.receive("separate/one")
    [few] = await bus.receive("separate/few")
    assert one.lock_token != few.lock_token
    await (await bus.shared("separate/one")).dead_letter_message(one, reason="mine")
    await (await bus.shared("separate/few")).abandon_message(few)
    assert [message.dead_letter_reason for message in await bus.dead_letters("separate/one")] == ["mine"]
    assert await bus.dead_letters("separate/few") == []
    [again] = await bus.receive("separate/few")
    assert again.delivery_count == 1
    await bus.complete("separate/few", again)


async def test_each_subscription_counts_for_itself(bus):
    await bus.send("plain", "a")
    for subscription in ("one", "two", "three"):
        [message] = await bus.receive(f"plain/{subscription}", receive_mode=RECEIVE_AND_DELETE)
        assert str(message) == "a"
    sender = await bus.sender("plain")
    await sender.send_messages([ServiceBusMessage("b"), ServiceBusMessage("c")])
    for subscription in ("one", "two", "three"):
        b, c = await bus.receive(f"plain/{subscription}", 2, receive_mode=RECEIVE_AND_DELETE)
        assert c.sequence_number == b.sequence_number + 1


async def test_a_message_that_no_subscription_takes_is_accepted(bus):
    await bus.send("unheard", "x")
    assert await bus.peek("unheard/deaf") == []


async def test_actions_change_only_the_copy_of_their_subscription(bus):
    [red, *_] = messages()
    await bus.send("acting", red)
    [changed] = await bus.receive("acting/set")
    assert changed.application_properties[b"color"] == b"green"
    assert changed.application_properties[b"added"] == 6
    assert (changed.application_properties[b"price"], changed.subject) == (1.5, "order")
    [less] = await bus.receive("acting/remove")
    assert set(less.application_properties) == {b"weight", b"price", b"urgent"}
    [relabelled] = await bus.receive("acting/system")
    assert (relabelled.subject, relabelled.reply_to) == ("relabelled", "elsewhere")
    assert (relabelled.message_id, relabelled.correlation_id, str(relabelled)) == ("m-red", "important", "red")
    [same] = await bus.receive("acting/untouched")
    assert same.application_properties == {b"color": b"red", b"weight": 5, b"price": 1.5, b"urgent": True}
    assert same.subject == "order"


async def test_several_rules_take_a_message_once_but_each_action_makes_a_copy(bus):
    await bus.send("several", "x", application_properties={"weight": 5})
    assert bodies(await bus.peek("several/two-filters")) == ["x"]
    copies = await bus.peek("several/two-actions")
    assert sorted(message.application_properties[b"by"] for message in copies) == [b"a", b"b"]


async def test_names_of_topics_and_subscriptions_ignore_case(bus):
    await bus.send("UNHEARD", "x")
    assert await bus.peek("UnHeard/DEAF") == []
    assert await bus.peek("UnHeard/DEAF", sub_queue=DEAD_LETTER) == []


async def test_a_topic_cannot_be_received_from_and_a_subscription_not_sent_to(bus):
    with pytest.raises(ServiceBusError):
        await bus.receiver("plain")
    with pytest.raises(ServiceBusError):
        sender = await bus.sender("plain/Subscriptions/one")
        await sender.send_messages(ServiceBusMessage("x"))
