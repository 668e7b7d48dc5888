"""The queue listener's rules that a real service shows badly: concurrency, outages, leases, stopping."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from devhost.storage.errors import StorageError
from devhost.storage.queue import InvalidQueueNameError
from tests.unit.devhost.listeners.fakes import FakeHost, until

pytestmark = pytest.mark.anyio


async def nothing(trigger):
    pass


async def fail(trigger):
    raise ValueError("no")


async def test_at_most_batch_size_plus_threshold_run_at_once_and_a_slow_one_holds_nobody_up():
    release = asyncio.Event()

    async def work(trigger):
        await release.wait()

    host = FakeHost(work, batchSize=4, newBatchThreshold=2)
    queue = host.service.queue("work")
    for number in range(20):
        queue.add(str(number).encode())
    listener = host.listener()
    await listener.start()
    await until(lambda: host.running == 4)
    await asyncio.sleep(0.05)
    assert host.running == 4, "4 are more than the threshold of 2: no new batch yet"
    release.set()
    await until(lambda: not queue.messages)
    await listener.stop()
    assert 4 <= host.most_running <= 6
    assert set(host.service.receives) == {4}


async def test_a_new_batch_is_fetched_once_no_more_than_the_threshold_run():
    gates = {}

    async def work(trigger):
        gates[trigger.value.value] = asyncio.Event()
        await gates[trigger.value.value].wait()

    host = FakeHost(work, batchSize=2, newBatchThreshold=1)
    queue = host.service.queue("work")
    for name in (b"a", b"b", b"c", b"d"):
        queue.add(name)
    listener = host.listener()
    await listener.start()
    await until(lambda: set(gates) == {"a", "b"})
    gates["a"].set()
    await until(lambda: set(gates) == {"a", "b", "c", "d"})
    assert host.running == 3, "batchSize + newBatchThreshold"
    for gate in gates.values():
        gate.set()
    await listener.stop()
    assert not queue.messages


async def test_stop_waits_for_what_runs_and_settles_it():
    started, release = asyncio.Event(), asyncio.Event()

    async def work(trigger):
        started.set()
        await release.wait()

    host = FakeHost(work)
    queue = host.service.queue("work")
    queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await started.wait()
    stopping = asyncio.create_task(listener.stop())
    await asyncio.sleep(0.02)
    assert not stopping.done()
    release.set()
    await stopping
    assert not queue.messages and not queue.watchers


async def test_messages_that_arrive_while_stopping_are_handed_back():
    host = FakeHost(nothing)
    queue = host.service.queue("work")
    listener = host.listener()
    receiving, answered = asyncio.Event(), asyncio.Event()
    receive = queue.receive

    async def slow_receive(count, visibility):
        messages = await receive(count, visibility)
        if messages:
            receiving.set()
            await answered.wait()
        return messages

    queue.receive = slow_receive
    await listener.start()
    number = queue.add(b"x")
    await receiving.wait()
    stopping = asyncio.create_task(listener.stop())
    await asyncio.sleep(0)
    answered.set()
    await stopping
    assert host.most_running == 0
    assert queue.updates == [(number, 0)]
    assert await queue.peek(), "visible to others at once"


async def test_an_outage_is_reported_once_and_survived(caplog):
    caplog.set_level(logging.WARNING)
    done = []

    async def work(trigger):
        done.append(trigger.value.value)

    host = FakeHost(work, maxPollingInterval="00:00:00.1")
    host.service.go_away()
    listener = host.listener()
    await listener.start()
    await until(lambda: len(host.service.receives) >= 4)
    host.service.queue("work").add(b"x")
    host.service.fault = None
    await until(lambda: done == ["x"])
    await listener.stop()
    away, back = [record.getMessage() for record in caplog.records if record.name == "devhost.outages"]
    assert host.service.name in away and "Connection refused." in away
    assert "answers again" in back
    assert not host.faults


async def test_a_settlement_outlives_an_outage():
    host = FakeHost(nothing, maxPollingInterval="00:00:00.1")
    queue = host.service.queue("work")

    async def work(trigger):
        host.service.go_away()

    host._work = work
    queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await until(lambda: host.outages.is_away(host.service.name))
    await asyncio.sleep(0.15)
    assert queue.messages
    host.service.fault = None
    await until(lambda: not queue.messages)
    await listener.stop()
    assert host.most_running == 1 and not host.faults


async def test_stop_does_not_wait_for_a_service_that_stays_away(caplog):
    host = FakeHost(nothing)
    queue = host.service.queue("work")

    async def work(trigger):
        host.service.go_away()

    host._work = work
    queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await until(lambda: host.outages.is_away(host.service.name))
    async with asyncio.timeout(4):
        await listener.stop()
    assert "could not be settled; it will come back" in caplog.text


async def test_after_a_failed_receive_one_message_is_asked_for_so_that_a_bad_one_cannot_block_the_others():
    host = FakeHost(nothing, maxPollingInterval="00:00:00.1")
    host.service.go_away()
    listener = host.listener()
    await listener.start()
    receives = host.service.receives
    await until(lambda: len(receives) >= 3)
    host.service.fault = None
    await until(lambda: receives[-1] == 16)
    await listener.stop()
    assert receives[:3] == [16, 1, 1]
    assert [count for count, _ in itertools.groupby(receives)] == [16, 1, 16]


async def test_a_refusal_is_a_fault_of_the_host_told_once():
    host = FakeHost(nothing, maxPollingInterval="00:00:00.1")
    host.service.fault = StorageError(403, "AuthenticationFailed", "Bad signature.")
    listener = host.listener()
    await listener.start()
    await until(lambda: len(host.service.receives) >= 4)
    await listener.stop()
    assert [str(fault) for fault in host.faults] == ["403 AuthenticationFailed: Bad signature."]


async def test_a_missing_queue_is_waited_for_and_never_created():
    host = FakeHost(nothing, maxPollingInterval="00:00:00.1")
    queue = host.service.queue("work")
    queue.exists = False
    listener = host.listener()
    await listener.start()
    await until(lambda: len(host.service.receives) >= 3)
    assert not queue.exists
    queue.exists = True
    queue.add(b"x")
    await until(lambda: not queue.messages)
    await listener.stop()
    assert not host.faults


async def test_a_long_run_keeps_its_message_by_renewing_with_the_newest_receipt():
    async def work(trigger):
        await until(lambda: len(queue.updates) >= 2)

    host = FakeHost(work, lease=1)
    queue = host.service.queue("work")
    number = queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await until(lambda: not queue.messages)
    await listener.stop()
    assert host.most_running == 1
    assert queue.updates[:2] == [(number, 1), (number, 1)]
    assert not host.faults


async def test_renewal_goes_on_after_it_failed():
    async def work(trigger):
        host.service.go_away()
        await until(lambda: queue.failed_updates)
        host.service.fault = None
        await until(lambda: queue.updates)

    host = FakeHost(work, lease=1)
    queue = host.service.queue("work")
    queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await until(lambda: not queue.messages)
    await listener.stop()
    assert host.most_running == 1 and not host.faults


async def test_a_message_taken_over_by_another_host_is_left_to_it(caplog):
    async def work(trigger):
        for message in queue.messages.values():
            queue._hide(message, 600)
        await asyncio.sleep(0.6)

    host = FakeHost(work, lease=1)
    queue = host.service.queue("work")
    queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await until(lambda: host.most_running == 1 and host.running == 0)
    await listener.stop()
    assert len(queue.messages) == 1
    assert "another host may run it as well" in caplog.text
    assert not host.faults


async def test_a_poison_message_is_copied_before_it_is_deleted():
    host = FakeHost(fail, maxDequeueCount=1)
    queue, poison = host.service.queue("work"), host.service.queue("work-poison")
    poison.exists = False
    calls = []
    for target, operation in ((poison, "put"), (queue, "delete")):
        original = getattr(target, operation)

        async def recorded(*args, original=original, operation=operation, **options):
            calls.append(operation)
            return await original(*args, **options)

        setattr(target, operation, recorded)
    queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await until(lambda: not queue.messages)
    await listener.stop()
    assert calls == ["put", "delete"]
    assert [m.text for m in poison.messages.values()] == ["eA=="]


async def test_a_message_dequeued_too_often_is_poison_without_another_run():
    host = FakeHost(nothing)
    queue = host.service.queue("work")
    queue.add(b"x", dequeued=5)
    listener = host.listener()
    await listener.start()
    await until(lambda: not queue.messages)
    await listener.stop()
    assert host.most_running == 0
    assert host.service.queue("work-poison").messages


@pytest.mark.parametrize("name", ["work-poison", "w" * 57])
async def test_without_a_poison_queue_a_failed_message_stays_hidden(name):
    host = FakeHost(fail, maxDequeueCount=1)
    queue = host.service.queue(name)
    queue.add(b"x")
    listener = host.listener(name)
    await listener.start()
    await until(lambda: host.most_running == 1 and host.running == 0)
    await listener.stop()
    assert len(queue.messages) == 1 and queue.updates == [] and await queue.peek() == []


async def test_a_failed_message_waits_for_the_visibility_timeout():
    host = FakeHost(fail, visibilityTimeout="00:00:30")
    queue = host.service.queue("work")
    number = queue.add(b"x")
    listener = host.listener()
    await listener.start()
    await until(lambda: queue.updates)
    await listener.stop()
    assert queue.updates == [(number, 30)]


async def test_it_is_idle_only_when_nothing_runs_and_nothing_waits():
    release = asyncio.Event()

    async def work(trigger):
        await release.wait()

    host = FakeHost(work)
    queue = host.service.queue("work")
    listener = host.listener()
    queue.add(b"x")
    assert not await listener.is_idle()
    await listener.start()
    await until(lambda: host.running)
    assert not await listener.is_idle()
    release.set()
    await until(lambda: not queue.messages)
    async with asyncio.timeout(100):
        while not await listener.is_idle():
            await asyncio.sleep(0.01)
    await listener.stop()


async def test_it_can_be_started_again():
    host = FakeHost(nothing)
    queue = host.service.queue("work")
    listener = host.listener()
    await listener.start()
    await listener.stop()
    queue.add(b"x")
    await listener.start()
    await until(lambda: not queue.messages)
    await listener.stop()


async def test_an_invalid_queue_name_is_refused():
    with pytest.raises(InvalidQueueNameError, match="'no_good'"):
        FakeHost(nothing).listener("no_good")
