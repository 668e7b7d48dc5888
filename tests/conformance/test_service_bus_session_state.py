"""What a session keeps beside its messages: its state, its lock, its place in the list of sessions."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError, SessionLockLostError

from tests.conformance.service_bus import now, until

pytestmark = pytest.mark.anyio

KINDS = {
    "sessions": {"RequiresSession": True},
    "short-sessions": {"RequiresSession": True, "LockDuration": "PT1S"},
    "one-attempt": {"RequiresSession": True, "LockDuration": "PT1S", "MaxDeliveryCount": 1},
}
TOPICS = [{"Name": "orders", "Subscriptions": [{"Name": "ordered", "Properties": {"RequiresSession": True}}]}]


async def test_a_session_without_a_state_has_none(both):
    receiver = await both.receiver(await both.queue("sessions"), session_id="s")
    assert await receiver.session.get_state() is None


@pytest.mark.parametrize(
    ("state", "kept"), [("text ü", "text ü".encode()), (b"\x00\xff", b"\x00\xff"), (b"", b""), (b"x" * 100_000, None)]
)
async def test_a_state_is_kept_as_bytes(both, state, kept):
    receiver = await both.receiver(await both.queue("sessions"), session_id="s")
    await receiver.session.set_state(state)
    assert await receiver.session.get_state() == (state if kept is None else kept)


async def test_a_state_outlives_receiver_and_messages(both):
    queue = await both.queue("sessions")
    await both.send(queue, "x", session_id="s")
    receiver = await both.receiver(queue, session_id="s")
    [message] = await receiver.receive_messages(max_wait_time=5)
    await receiver.session.set_state("half way")
    await receiver.complete_message(message)
    await receiver.close()
    receiver = await both.receiver(queue, session_id="s")
    assert await receiver.session.get_state() == b"half way"
    await receiver.session.set_state(None)
    assert await receiver.session.get_state() is None


async def test_states_belong_to_one_session_each(bus):
    queue = await bus.queue("sessions")
    one, other = await bus.receiver(queue, session_id="one"), await bus.receiver(queue, session_id="other")
    await one.session.set_state("1")
    assert await other.session.get_state() is None


async def test_renewing_a_session_lock(both):
    queue = await both.queue("short-sessions")
    await both.send(queue, "x", session_id="s")
    receiver = await both.receiver(queue, session_id="s")
    [message] = await receiver.receive_messages(max_wait_time=5)
    first_end = receiver.session.locked_until_utc
    await until(first_end - timedelta(seconds=0.4))
    assert await receiver.session.renew_lock() == receiver.session.locked_until_utc > first_end
    await until(first_end)
    await receiver.complete_message(message)
    assert await receiver.peek_messages(5, sequence_number=1) == []


async def test_a_session_lock_that_ran_out_is_lost(both):
    queue = await both.queue("short-sessions")
    await both.send(queue, "x", session_id="s")
    receiver = await both.receiver(queue, session_id="s")
    [message] = await receiver.receive_messages(max_wait_time=5)
    await until(receiver.session.locked_until_utc)
    with pytest.raises(SessionLockLostError):
        await receiver.complete_message(message)
    again = await both.receiver(queue, session_id="s")
    [same] = await again.receive_messages(max_wait_time=5)
    assert (same.sequence_number, same.delivery_count) == (message.sequence_number, 1)


async def test_a_lost_session_refuses_renewal_and_state(bus):
    queue = await bus.queue("short-sessions")
    receiver = await bus.receiver(queue, session_id="s")
    await until(receiver.session.locked_until_utc)
    with pytest.raises(SessionLockLostError):
        await receiver.session.renew_lock()
    with pytest.raises(SessionLockLostError):
        await receiver.session.set_state("too late")
    with pytest.raises(ServiceBusError):
        await receiver.receive_messages(max_wait_time=1)


async def test_a_session_whose_lock_ran_out_goes_to_the_one_who_waits(bus):
    queue = await bus.queue("short-sessions")
    await bus.send(queue, "x", session_id="s")
    loser = await bus.receiver(queue, session_id="s")
    [message] = await loser.receive_messages(max_wait_time=5)
    taker = await bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10)
    assert now() >= loser.session.locked_until_utc
    [same] = await taker.receive_messages(max_wait_time=5)
    await taker.complete_message(same)
    assert (same.sequence_number, same.delivery_count) == (message.sequence_number, 1)


async def test_lost_session_locks_use_up_attempts(bus):
    queue = await bus.queue("one-attempt")
    await bus.send(queue, "x", session_id="s")
    receiver = await bus.receiver(queue, session_id="s")
    await receiver.receive_messages(max_wait_time=5)
    [dead] = await bus.until_peeked(queue, 1, sub_queue="deadletter")
    assert (dead.dead_letter_reason, dead.session_id) == ("MaxDeliveryCountExceeded", "s")


async def listed(bus, method: str, *names: str, **options) -> list[str]:
    """The ids that the client lists."""
    found = getattr(bus.client, method)(*names, **options)
    return sorted([id_ async for id_ in found] if bus.is_async else await asyncio.to_thread(list, found))


async def test_sessions_with_messages_or_state_are_listed(both):
    queue = await both.queue("sessions")
    await both.send(queue, "x", session_id="with a message")
    receiver = await both.receiver(queue, session_id="with a state")
    await receiver.session.set_state("s")
    await both.receiver(queue, session_id="only locked")
    assert await listed(both, "list_queue_sessions", queue) == ["with a message", "with a state"]
    await receiver.session.set_state(None)
    assert await listed(both, "list_queue_sessions", queue) == ["with a message"]


async def test_sessions_by_the_time_their_state_changed(bus):
    queue, before = await bus.queue("sessions"), now() - timedelta(seconds=2)
    await bus.send(queue, "x", session_id="with a message")
    receiver = await bus.receiver(queue, session_id="with a state")
    await receiver.session.set_state("s")
    assert await listed(bus, "list_queue_sessions", queue, state_updated_after=before) == ["with a state"]
    later = now() + timedelta(hours=1)
    assert await listed(bus, "list_queue_sessions", queue, state_updated_after=later) == []


async def test_many_sessions_are_listed_by_pages(bus):
    queue = await bus.queue("sessions")
    names = [f"session-{number:03}" for number in range(230)]
    await (await bus.sender(queue)).send_messages([ServiceBusMessage("x", session_id=name) for name in names])
    assert await listed(bus, "list_queue_sessions", queue) == names


async def test_no_sessions_are_an_empty_list(both):
    assert await listed(both, "list_queue_sessions", await both.queue("sessions")) == []


async def test_sessions_of_a_subscription_are_listed(bus):
    await bus.send("orders", "x", session_id="s")
    assert await listed(bus, "list_subscription_sessions", "orders", "ordered") == ["s"]
