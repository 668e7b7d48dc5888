"""Sessions: who holds one, in which order its messages come, and how one is waited for."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.exceptions import (
    MessageNotFoundError,
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
)

from tests.conformance.service_bus import RECEIVE_AND_DELETE, bodies, now

pytestmark = pytest.mark.anyio

KINDS = {"sessions": {"RequiresSession": True}, "two-attempts": {"RequiresSession": True, "MaxDeliveryCount": 2}}
TOPICS = [
    {"Name": "orders", "Subscriptions": [{"Name": "ordered", "Properties": {"RequiresSession": True}}, {"Name": "all"}]}
]


async def test_a_named_session_brings_its_own_messages_in_order(both):
    queue = await both.queue("sessions")
    for number in range(6):
        await both.send(queue, str(number), session_id="even" if number % 2 == 0 else "odd")
    receiver = await both.receiver(queue, session_id="odd")
    assert receiver.session.session_id == "odd"
    assert timedelta(seconds=50) < receiver.session.locked_until_utc - now() < timedelta(seconds=61)
    messages = await receiver.receive_messages(10, max_wait_time=5)
    assert bodies(messages) == ["1", "3", "5"]
    assert {message.session_id for message in messages} == {"odd"}
    for message in messages:
        await receiver.complete_message(message)
    assert await receiver.peek_messages(10, sequence_number=1) == []


async def test_the_next_available_session(both):
    queue = await both.queue("sessions")
    await both.send(queue, "x", session_id="a session")
    receiver = await both.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5)
    assert receiver.session.session_id == "a session"
    assert bodies(await receiver.receive_messages()) == ["x"]
    await receiver.session.set_state("known by its name")
    assert await receiver.session.get_state() == b"known by its name"


async def test_each_receiver_gets_a_session_of_its_own(bus):
    queue = await bus.queue("sessions")
    for session in ("a", "b", "c"):
        await bus.send(queue, f"first of {session}", f"second of {session}", session_id=session)
    receivers = [await bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) for _ in range(3)]
    assert sorted(receiver.session.session_id for receiver in receivers) == ["a", "b", "c"]
    for receiver in receivers:
        own = receiver.session.session_id
        assert bodies(await receiver.receive_messages(5)) == [f"first of {own}", f"second of {own}"]


async def test_waiting_for_a_session(bus):
    queue = await bus.queue("sessions")
    waiting = asyncio.create_task(bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=20))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await bus.send(queue, "at last", session_id="new")
    receiver = await waiting
    assert receiver.session.session_id == "new"
    assert bodies(await receiver.receive_messages()) == ["at last"]


async def test_waiting_for_a_session_that_another_holds(bus):
    queue = await bus.queue("sessions")
    await bus.send(queue, "x", session_id="s")
    holder = await bus.receiver(queue, session_id="s")
    waiting = asyncio.create_task(bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=20))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await holder.close()
    assert (await waiting).session.session_id == "s"


async def test_no_session_in_time(both):
    with pytest.raises(OperationTimeoutError):
        await both.receiver(await both.queue("sessions"), session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.4)


async def test_who_gave_up_waiting_takes_no_session(bus):
    queue = await bus.queue("sessions")
    with pytest.raises(OperationTimeoutError):
        await bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.2)
    await bus.send(queue, "x", session_id="s")
    receiver = await bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5)
    assert receiver.session.session_id == "s"


async def test_a_session_has_one_holder(both):
    queue = await both.queue("sessions")
    await both.send(queue, "x", session_id="s")
    holder = await both.receiver(queue, session_id="s")
    with pytest.raises(SessionCannotBeLockedError):
        await both.receiver(queue, session_id="s")
    assert bodies(await holder.receive_messages(max_wait_time=5)) == ["x"]
    await holder.close()
    again = await both.receiver(queue, session_id="s")
    [message] = await again.receive_messages(max_wait_time=5)
    assert (str(message), message.delivery_count) == ("x", 0)


async def test_a_session_without_messages_can_be_locked_by_its_name(bus):
    queue = await bus.queue("sessions")
    receiver = await bus.receiver(queue, session_id="to come")
    waiting = asyncio.create_task(receiver.receive_messages(max_wait_time=10))
    await bus.send(queue, "other", session_id="another")
    await bus.send(queue, "mine", session_id="to come")
    assert bodies(await waiting) == ["mine"]


async def test_the_empty_text_is_a_session_id(bus):
    queue = await bus.queue("sessions")
    await bus.send(queue, "x", session_id="")
    receiver = await bus.receiver(queue, session_id="")
    [message] = await receiver.receive_messages(max_wait_time=5)
    assert (str(message), message.session_id) == ("x", "")
    await receiver.complete_message(message)


async def test_session_ids_are_compared_exactly(bus):
    queue = await bus.queue("sessions")
    for session in ("A", "a", "ä/ö ü"):
        await bus.send(queue, session, session_id=session)
    for session in ("a", "A", "ä/ö ü"):
        receiver = await bus.receiver(queue, session_id=session)
        assert bodies(await receiver.receive_messages(5, max_wait_time=5)) == [session]


async def test_an_abandoned_message_comes_again_before_the_next(both):
    queue = await both.queue("sessions")
    await both.send(queue, "1", "2", session_id="s")
    receiver = await both.receiver(queue, session_id="s")
    [first] = await receiver.receive_messages(max_wait_time=5)
    await receiver.abandon_message(first)
    again = await receiver.receive_messages(2, max_wait_time=5)
    assert [(str(message), message.delivery_count) for message in again] == [("1", 1), ("2", 0)]


async def test_the_limit_of_attempts_holds_in_a_session(bus):
    queue = await bus.queue("two-attempts")
    await bus.send(queue, "bad", "good", session_id="s")
    receiver = await bus.receiver(queue, session_id="s")
    for _ in range(2):
        [message] = await receiver.receive_messages(max_wait_time=5)
        assert str(message) == "bad"
        await receiver.abandon_message(message)
    assert bodies(await receiver.receive_messages(max_wait_time=5)) == ["good"]
    [dead] = await bus.dead_letters(queue)
    assert (dead.dead_letter_reason, dead.session_id) == ("MaxDeliveryCountExceeded", "s")


async def test_receiving_and_deleting_from_a_session(bus):
    queue = await bus.queue("sessions")
    await bus.send(queue, "1", "2", session_id="s")
    receiver = await bus.receiver(queue, session_id="s", receive_mode=RECEIVE_AND_DELETE)
    assert bodies(await receiver.receive_messages(2, max_wait_time=5)) == ["1", "2"]
    assert await receiver.peek_messages(5, sequence_number=1) == []


async def test_iterating_over_a_session(both):
    queue = await both.queue("sessions")
    await both.send(queue, "1", "2", "3", session_id="s")
    receiver = await both.receiver(queue, session_id="s", max_wait_time=0.4)
    seen = []
    async for message in receiver:
        seen.append(str(message))
        await receiver.complete_message(message)
    assert seen == ["1", "2", "3"]


async def test_a_deferred_message_belongs_to_its_session(bus):
    queue = await bus.queue("sessions")
    await bus.send(queue, "x", session_id="s")
    receiver = await bus.receiver(queue, session_id="s")
    [message] = await receiver.receive_messages(max_wait_time=5)
    await receiver.defer_message(message)
    stranger = await bus.receiver(queue, session_id="other")
    with pytest.raises(MessageNotFoundError):
        await stranger.receive_deferred_messages(message.sequence_number)
    [deferred] = await receiver.receive_deferred_messages(message.sequence_number)
    await receiver.complete_message(deferred)
    assert await receiver.peek_messages(5, sequence_number=1) == []


async def test_a_batch_for_several_sessions(bus):
    queue = await bus.queue("sessions")
    messages = [ServiceBusMessage(f"{number}", session_id=str(number % 2)) for number in range(4)]
    await (await bus.sender(queue)).send_messages(messages)
    for session, expected in (("0", ["0", "2"]), ("1", ["1", "3"])):
        receiver = await bus.receiver(queue, session_id=session)
        assert bodies(await receiver.receive_messages(2, max_wait_time=5)) == expected


async def test_a_message_without_a_session_is_refused(both):
    queue = await both.queue("sessions")
    with pytest.raises(ServiceBusError):
        await both.send(queue, "x")
    await both.send(queue, "y", session_id="s")


async def test_one_message_without_a_session_refuses_the_whole_batch(bus):
    queue = await bus.queue("sessions")
    sender = await bus.sender(queue)
    with pytest.raises(ServiceBusError):
        await sender.send_messages([ServiceBusMessage("x", session_id="s"), ServiceBusMessage("y")])
    receiver = await bus.receiver(queue, session_id="s")
    assert await receiver.peek_messages(5) == []


async def test_the_wrong_kind_of_receiver_is_refused(bus):
    with pytest.raises(ServiceBusError):
        await bus.receiver(await bus.queue("sessions"))
    with pytest.raises(ServiceBusError):
        await bus.receiver(await bus.queue(), session_id="s")
    with pytest.raises(ServiceBusError):
        await bus.receiver(await bus.queue(), session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1)


async def test_a_subscription_may_require_sessions(both):
    session = f"s-{both.is_async}"
    await both.send("orders", "1", "2", session_id=session)
    receiver = await both.receiver("orders/ordered", session_id=session)
    assert bodies(await receiver.receive_messages(2, max_wait_time=5)) == ["1", "2"]
    everything = await both.receive("orders/all", 2)
    assert [message.session_id for message in everything] == [session, session]
    await both.complete("orders/all", *everything)


async def test_sessions_are_worked_on_in_parallel_and_each_in_order(bus):
    queue = await bus.queue("sessions")
    sender = await bus.sender(queue)
    await sender.send_messages([ServiceBusMessage(f"{n}", session_id=f"s{n % 6}") for n in range(60)])
    seen: dict[str, list[int]] = {}

    async def work() -> None:
        while len(seen) < 6:
            try:
                receiver = await bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1)
            except OperationTimeoutError:
                return
            messages = await receiver.receive_messages(10, max_wait_time=2)
            seen.setdefault(receiver.session.session_id, []).extend(int(str(message)) for message in messages)
            await asyncio.gather(*(receiver.complete_message(message) for message in messages))
            await receiver.close()

    await asyncio.gather(*(work() for _ in range(3)))
    assert seen == {f"s{number}": list(range(number, 60, 6)) for number in range(6)}
