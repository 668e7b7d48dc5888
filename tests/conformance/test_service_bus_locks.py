"""Renewing locks, by hand and by AutoLockRenewer, of messages and of sessions."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import AutoLockRenewer, ServiceBusClient, ServiceBusMessage
from azure.servicebus.aio import AutoLockRenewer as AioAutoLockRenewer
from azure.servicebus.exceptions import MessageAlreadySettled, MessageLockLostError

from tests.conformance.service_bus import until

pytestmark = pytest.mark.anyio

KINDS = {
    "short": {"LockDuration": "PT1S"},
    # The shortest that AutoLockRenewer of the aio client can keep: it looks once a second.
    "three-seconds": {"LockDuration": "PT3S"},
    "three-seconds-sessions": {"LockDuration": "PT3S", "RequiresSession": True},
}


async def test_a_renewed_lock_outlasts_its_first_end(both):
    queue = await both.queue("short")
    await both.send(queue, "x")
    [message] = await both.receive(queue)
    receiver = await both.shared(queue)
    first_end = message.locked_until_utc
    await until(first_end - timedelta(seconds=0.4))
    renewed = await receiver.renew_message_lock(message)
    assert renewed == message.locked_until_utc > first_end
    await until(first_end)
    await receiver.complete_message(message)
    assert await both.peek(queue) == []


async def test_only_what_is_locked_can_be_renewed(bus):
    queue = await bus.queue("short")
    await bus.send(queue, "settled", "lost")
    settled, lost = await bus.receive(queue, 2)
    receiver = await bus.shared(queue)
    await receiver.complete_message(settled)
    with pytest.raises(MessageAlreadySettled):
        await receiver.renew_message_lock(settled)
    await until(lost.locked_until_utc)
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(lost)


async def test_the_lock_of_a_deferred_message_can_be_renewed(bus):
    queue = await bus.queue("short")
    await bus.send(queue, "x")
    [message] = await bus.receive(queue)
    receiver = await bus.shared(queue)
    await receiver.defer_message(message)
    [deferred] = await receiver.receive_deferred_messages(message.sequence_number)
    before = deferred.locked_until_utc
    await asyncio.sleep(0.05)
    assert await receiver.renew_message_lock(deferred) > before
    await receiver.complete_message(deferred)


async def test_auto_lock_renewer_keeps_messages_and_sessions(bus):
    kept, session_kept = await bus.queue("three-seconds"), await bus.queue("three-seconds-sessions")
    kept_by_sync = await bus.queue("three-seconds")
    await bus.send(kept, *"abc")
    await bus.send(session_kept, "x", session_id="s")

    async def keep_messages() -> list[Exception | None]:
        async with AioAutoLockRenewer() as renewer:
            receiver = await bus.receiver(kept, auto_lock_renewer=renewer)
            messages = await receiver.receive_messages(3, max_wait_time=5)
            await until(messages[0].locked_until_utc)
            await asyncio.gather(*(receiver.complete_message(message) for message in messages))
        return [message.auto_renew_error for message in messages]

    async def keep_session() -> list[Exception | None]:
        async with AioAutoLockRenewer() as renewer:
            receiver = await bus.receiver(session_kept, session_id="s", auto_lock_renewer=renewer)
            first_end = receiver.session.locked_until_utc
            [message] = await receiver.receive_messages(max_wait_time=5)
            await until(first_end)
            await receiver.complete_message(message)
        return [receiver.session.auto_renew_error]

    def keep_by_sync_client() -> list[Exception | None]:
        with (
            ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client,
            AutoLockRenewer() as renewer,
            client.get_queue_sender(kept_by_sync) as sender,
            client.get_queue_receiver(kept_by_sync, auto_lock_renewer=renewer) as receiver,
        ):
            sender.send_messages(ServiceBusMessage("x"))
            [message] = receiver.receive_messages(max_wait_time=5)
            asyncio.run(until(message.locked_until_utc))
            receiver.complete_message(message)
            return [message.auto_renew_error]

    errors = await asyncio.gather(keep_messages(), keep_session(), asyncio.to_thread(keep_by_sync_client))
    assert errors == [[None] * 3, [None], [None]]
    assert await bus.peek(kept) == await bus.peek(kept_by_sync) == []


async def test_a_renewer_that_gives_up_says_so_and_the_lock_is_lost(bus):
    queue = await bus.queue("short")
    await bus.send(queue, "x")
    failures = []

    async def failed(renewable, error) -> None:
        failures.append(error)

    async with AioAutoLockRenewer(max_lock_renewal_duration=0.2) as renewer:
        receiver = await bus.shared(queue)
        [message] = await bus.receive(queue)
        renewer.register(receiver, message, on_lock_renew_failure=failed)
        [again] = await bus.receive(queue)
    assert again.delivery_count == 1
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(message)
