"""Auto-forwarding: of messages, of dead letters, in chains that are not too long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage

from tests.conformance.service_bus import bodies, now

pytestmark = pytest.mark.anyio


def queue(name: str, **properties) -> dict:
    return {"Name": name, "Properties": properties}


QUEUES = [
    queue("target"),
    queue("source", ForwardTo="target"),
    queue("second-target"),
    queue("second-hop", ForwardTo="second-target"),
    queue("first-hop", ForwardTo="second-hop"),
    queue("collected"),
    queue("later-target"),
    queue("later-source", ForwardTo="later-target"),
    queue("graveyard"),
    queue("mortal", ForwardDeadLetteredMessagesTo="graveyard", MaxDeliveryCount=1),
    *[queue(f"link-{number}", ForwardTo=f"link-{number + 1}") for number in range(6)],
    queue("link-6"),
    queue("session-target", RequiresSession=True),
    queue("to-sessions", ForwardTo="session-target"),
]
FORWARDING = {"Name": "on", "Properties": {"ForwardTo": "collected"}}
TOPICS = [{"Name": "news", "Subscriptions": [FORWARDING, {"Name": "own"}]}]


async def test_a_forwarded_message_arrives_with_a_number_of_its_new_queue(both):
    await both.send("source", "x", subject="s", message_id="m", application_properties={"k": 1})
    [message] = await both.receive("target")
    assert (str(message), message.subject, message.message_id) == ("x", "s", "m")
    assert (message.application_properties, message.delivery_count) == ({b"k": 1}, 0)
    assert message.enqueued_sequence_number == (1 if both.is_async else 2)
    await both.complete("target", message)


async def test_messages_are_forwarded_along_a_chain(bus):
    await bus.send("first-hop", *"abc")
    assert bodies(await bus.receive("second-target", 3)) == ["a", "b", "c"]


async def test_a_subscription_may_forward(bus):
    await bus.send("news", "x")
    assert bodies(await bus.receive("collected")) == ["x"]
    assert bodies(await bus.receive("news/own")) == ["x"]


async def test_a_scheduled_message_is_forwarded_when_its_time_comes(bus):
    sender, _ = await bus.sender("later-source"), await bus.shared("later-target")
    await sender.schedule_messages(ServiceBusMessage("x"), now() + timedelta(seconds=0.5))
    assert await bus.peek("later-target") == []
    assert bodies(await bus.receive("later-target")) == ["x"]


async def test_dead_letters_may_be_forwarded_and_tell_where_they_come_from(both):
    await both.send("mortal", "bad", "worse")
    receiver = await both.shared("mortal")
    bad, worse = await both.receive("mortal", 2)
    await receiver.dead_letter_message(bad, reason="Mine", error_description="because")
    await receiver.abandon_message(worse)
    found = await both.receive("graveyard", 2)
    assert [(str(message), message.dead_letter_reason) for message in found] == [
        ("bad", "Mine"),
        ("worse", "MaxDeliveryCountExceeded"),
    ]
    assert {message.dead_letter_source for message in found} == {"mortal"}
    assert found[0].dead_letter_error_description == "because"
    await both.complete("graveyard", *found)
    assert await both.dead_letters("mortal") == []


async def test_a_chain_of_more_than_four_hops_ends_in_a_dead_letter_queue(bus):
    await bus.send("link-0", "x")
    found = {f"link-{number}": await bus.dead_letters(f"link-{number}") for number in range(7)}
    [(place, [dead])] = [(name, dead) for name, dead in found.items() if dead]
    assert dead.dead_letter_reason == "MaxTransferHopCountExceeded", place
    assert await bus.peek("link-6") == []
    await bus.send("link-2", "y")
    assert bodies(await bus.receive("link-6")) == ["y"]


async def test_a_message_without_a_session_dies_on_its_way_to_a_session_queue(bus):
    await bus.send("to-sessions", "without")
    await bus.send("to-sessions", "with", session_id="s")
    receiver = await bus.receiver("session-target", session_id="s")
    assert bodies(await receiver.receive_messages(5, max_wait_time=5)) == ["with"]
    dead = await bus.dead_letters("session-target") + await bus.dead_letters("to-sessions")
    assert [(str(message), message.dead_letter_reason) for message in dead] == [("without", "Session ID is null.")]
