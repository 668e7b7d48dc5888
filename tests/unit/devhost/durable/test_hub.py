"""What every task hub must do, written against the TaskHub protocol: it runs on any hub there is a factory for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from devhost.clock import VirtualClock
from devhost.durable.hub import (
    LIVE,
    Activity,
    Commit,
    EventType,
    Instance,
    InstanceExistsError,
    InstanceQuery,
    Message,
    OwnershipLostError,
    RuntimeStatus,
    TaskHub,
)
from devhost.durable.sqlite_hub import SqliteTaskHub

pytestmark = pytest.mark.anyio


class Host:
    """One host on a hub, as its engine sees it."""

    def __init__(self, hub: TaskHub) -> None:
        self.hub = hub
        self.ready: list[str] = []
        self.activities_waiting = 0

    async def start(self) -> None:
        await self.hub.start(self.ready.append, self._waiting)

    def _waiting(self) -> None:
        self.activities_waiting += 1

    async def until_ready(self, instance_id: str) -> None:
        async with asyncio.timeout(100):
            while instance_id not in self.ready:
                await asyncio.sleep(0.001)

    async def work(self, instance_id: str) -> Any:
        work = await self.hub.fetch(instance_id, None)
        assert work is not None
        return work


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["sqlite"])
async def new_host(request: Any, tmp_path: Path, clock: VirtualClock) -> AsyncIterator[Callable[[], Host]]:
    """A factory of hosts that share one hub."""
    hosts: list[Host] = []
    factories = {"sqlite": lambda: SqliteTaskHub(tmp_path / "hub.sqlite3", clock)}

    async def make() -> Host:
        host = Host(factories[request.param]())
        hosts.append(host)
        await host.start()
        return host

    yield make
    for host in hosts:
        if not getattr(host, "is_gone", False):
            await host.hub.close()


def an_instance(clock: VirtualClock, instance_id: str = "one", execution_id: str = "e1") -> Instance:
    return Instance(instance_id, execution_id, "Name", "", RuntimeStatus.PENDING, clock.now(), clock.now())


def a_start(instance_id: str = "one", execution_id: str = "e1") -> Message:
    text = '{"EventType":0,"Name":"Name","Input":"1"}'
    return Message(instance_id, EventType.EXECUTION_STARTED, text, execution_id=execution_id)


def an_event(instance_id: str = "one", name: str = "e", **fields: Any) -> Message:
    return Message(instance_id, EventType.EVENT_RAISED, f'{{"Name":"{name}"}}', name, **fields)


async def create(host: Host, clock: VirtualClock, instance_id: str = "one", execution_id: str = "e1") -> None:
    await host.hub.create(an_instance(clock, instance_id, execution_id), a_start(instance_id, execution_id), "1", LIVE)


def running(work: Any, **changes: Any) -> Commit:
    work.instance.status = RuntimeStatus.RUNNING
    return Commit(work.instance, work.messages, **changes)


async def test_a_new_instance_is_pending_and_has_its_start(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    await host.until_ready("one")
    view = await host.hub.get("one")
    assert (view.instance.status, view.input, view.output) == (RuntimeStatus.PENDING, "1", None)
    work = await host.work("one")
    assert [message.type for message in work.messages] == [EventType.EXECUTION_STARTED]
    assert work.history == []


async def test_a_commit_changes_everything_at_once(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    await create(host, clock, "other")
    work = await host.work("one")
    await host.hub.commit(
        work,
        running(
            work, events=['{"n":1}', '{"n":2}'], messages=[an_event("other")],
            activities=[Activity("one", "e1", 0, "A", '"x"'), Activity("one", "e1", 1, "A", None)], output='"o"',
        ),
        1,
    )  # fmt: skip
    assert [event.replace(" ", "") for event in await host.hub.history("one")] == ['{"n":1}', '{"n":2}']
    view = await host.hub.get("one")
    assert (view.instance.status, view.output) == (RuntimeStatus.RUNNING, '"o"')
    assert await host.hub.fetch("one", None) is None
    assert [message.key for message in (await host.work("other")).messages] == [None, "e"]
    (claimed,) = await host.hub.claim_activities(5)
    assert (claimed.task_id, claimed.name, claimed.input) == (1, "A", None)


async def test_the_history_is_not_read_again_when_its_revision_is_known(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    await host.hub.commit(work, running(work, events=['{"n":1}']), 0)
    await host.hub.send(an_event())
    assert (await host.hub.fetch("one", work.revision)).history is None
    assert await host.hub.fetch("one", None) is None, "it is taken"


async def test_messages_that_are_not_consumed_are_delivered_again_in_order(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    for name in "abc":
        await host.hub.send(an_event(name=name))
    work = await host.work("one")
    host.ready.clear()
    work.messages = work.messages[:2]
    await host.hub.commit(work, running(work), 0)
    await host.until_ready("one")
    assert [message.key for message in (await host.work("one")).messages] == ["b", "c"]


async def test_messages_that_arrive_during_an_episode_wait_for_the_next(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    await host.hub.send(an_event())
    await host.hub.commit(work, running(work), 0)
    assert [message.key for message in (await host.work("one")).messages] == ["e"]


async def test_released_work_comes_again(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    await host.hub.release(await host.work("one"))
    assert len((await host.work("one")).messages) == 1


async def test_a_timer_is_delivered_when_it_is_due(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    due = clock.now() + timedelta(days=9)
    timer = Message("one", EventType.TIMER_FIRED, "{}", 0, "e1", due)
    await host.hub.commit(work, running(work, messages=[timer]), 0)
    host.ready.clear()
    # Idle is a hub only when the clock knows of the timer: whoever then lets time pass, does not pass it by.
    while not await host.hub.is_idle():
        await asyncio.sleep(0)
    assert clock.next_sleeper() == due
    clock.jump_to(due)
    assert not await host.hub.is_idle()
    await host.until_ready("one")
    assert [message.key for message in (await host.work("one")).messages] == [0]


async def test_an_earlier_timer_goes_first(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    await host.hub.commit(work, running(work), 0)
    now = clock.now()
    for seconds in (50, 10, 30):
        await host.hub.send(
            Message("one", EventType.TIMER_FIRED, "{}", seconds, None, now + timedelta(seconds=seconds))
        )
    while not await host.hub.is_idle():
        await asyncio.sleep(0)
    assert clock.next_sleeper() == now + timedelta(seconds=10)


async def test_an_early_answer_is_delivered_a_little_later(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    commit = running(work)
    commit.consumed, commit.deferred = [], work.messages
    await host.hub.commit(work, commit, 0)
    host.ready.clear()
    assert await host.hub.fetch("one", None) is None
    clock.jump_to(clock.now() + timedelta(seconds=2))
    await host.until_ready("one")
    assert len((await host.work("one")).messages) == 1


async def test_a_restart_forgets_the_history(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    await host.hub.commit(work, running(work, events=['{"n":1}'], messages=[an_event()]), 0)
    work = await host.work("one")
    work.instance.execution_id = "e2"
    await host.hub.commit(work, running(work, events=['{"n":2}'], restart=True, input="2"), 0)
    assert [event.replace(" ", "") for event in await host.hub.history("one")] == ['{"n":2}']
    assert ((await host.hub.get("one")).input, (await host.hub.get("one")).instance.execution_id) == ("2", "e2")


async def test_an_id_can_be_used_again_only_after_its_instance_has_ended(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    with pytest.raises(InstanceExistsError, match="Pending"):
        await create(host, clock, execution_id="e2")
    work = await host.work("one")
    work.instance.status = RuntimeStatus.COMPLETED
    await host.hub.commit(work, Commit(work.instance, work.messages, events=['{"n":1}'], output='"old"'), 0)
    await create(host, clock, execution_id="e2")
    view = await host.hub.get("one")
    assert (view.instance.generation, view.instance.status, view.output) == (1, RuntimeStatus.PENDING, None)
    assert (await host.work("one")).history == []


async def test_replacing_a_running_instance_voids_its_episode(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    await host.hub.create(an_instance(clock, execution_id="e2"), a_start(execution_id="e2"), "2", frozenset())
    with pytest.raises(OwnershipLostError):
        await host.hub.commit(work, running(work, output='"void"', messages=[an_event()]), 0)
    view = await host.hub.get("one")
    assert (view.instance.execution_id, view.output) == ("e2", None)
    assert [message.execution_id for message in (await host.work("one")).messages] == ["e2"]


async def test_messages_to_nobody(new_host, clock) -> None:
    host = await new_host()
    assert not await host.hub.send(an_event("nobody"))
    assert await host.hub.send(an_event("@counter@one", "op"))
    assert (await host.hub.get("@counter@one")).instance.status == RuntimeStatus.RUNNING
    assert await host.hub.send(a_start("child"))
    view = await host.hub.get("child")
    assert (view.instance.name, view.instance.status, view.input) == ("Name", RuntimeStatus.PENDING, "1")


async def test_activities_are_claimed_once_and_answered(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    activities = [Activity("one", "e1", n, "A", None) for n in range(5)]
    mine = await host.hub.commit(work, running(work, activities=activities), 2)
    assert [activity.task_id for activity in mine] == [0, 1]
    assert host.activities_waiting
    assert [activity.task_id for activity in await host.hub.claim_activities(2)] == [2, 3]
    await host.hub.release_activity(mine[1])
    assert [activity.task_id for activity in await host.hub.claim_activities(9)] == [1, 4]
    await host.hub.complete_activity(mine[0], Message("one", EventType.TASK_COMPLETED, "{}", 0, "e1"))
    with pytest.raises(OwnershipLostError):
        await host.hub.complete_activity(mine[0], Message("one", EventType.TASK_COMPLETED, "{}", 0, "e1"))
    assert [message.key for message in (await host.work("one")).messages] == [0]


async def test_an_instance_is_one_hosts_at_a_time(new_host, clock) -> None:
    first, second = await new_host(), await new_host()
    await create(first, clock)
    await second.until_ready("one")
    work = await first.work("one")
    assert await second.hub.fetch("one", None) is None
    await first.hub.commit(work, running(work), 0)
    await first.hub.send(an_event())
    await second.until_ready("one")
    assert (await second.work("one")).history == []


async def test_a_message_from_another_host_reaches_the_owner(new_host, clock) -> None:
    first, second = await new_host(), await new_host()
    await create(first, clock)
    work = await first.work("one")
    await first.hub.commit(work, running(work, keep=True), 0)
    first.ready.clear()
    await second.hub.send(an_event())
    await first.until_ready("one")
    assert [message.key for message in (await first.work("one")).messages] == ["e"]


async def test_a_host_that_closes_leaves_its_work_to_others(new_host, clock) -> None:
    first = await new_host()
    await create(first, clock)
    work = await first.work("one")
    mine = await first.hub.commit(work, running(work, activities=[Activity("one", "e1", 0, "A", None)], keep=True), 1)
    await first.hub.send(an_event())
    second = await new_host()
    await first.hub.close()
    first.is_gone = True
    await second.until_ready("one")
    assert await second.work("one")
    assert [a.sequence for a in await second.hub.claim_activities(5)] == [mine[0].sequence]


async def test_a_dead_hosts_work_is_taken_over_at_once(new_host, clock) -> None:
    first, second = await new_host(), await new_host()
    await create(first, clock)
    work = await first.work("one")
    await first.hub.commit(work, running(work, activities=[Activity("one", "e1", 0, "A", None)], keep=True), 1)
    await first.hub.send(an_event())
    assert await first.work("one")
    await first.hub.crash()
    first.is_gone = True
    second.ready.clear()
    await second.until_ready("one")
    assert [message.key for message in (await second.work("one")).messages] == ["e"]
    assert len(await second.hub.claim_activities(5)) == 1


async def test_nothing_that_was_reported_is_lost_in_a_crash(new_host, clock) -> None:
    first = await new_host()
    await create(first, clock)
    work = await first.work("one")
    await first.hub.commit(work, running(work, events=['{"n":1}']), 0)
    await first.hub.send(an_event())
    await first.hub.crash()
    first.is_gone = True
    second = await new_host()
    work = await second.work("one")
    assert [message.key for message in work.messages] == ["e"]
    assert [event.replace(" ", "") for event in work.history] == ['{"n":1}']


async def test_queries(new_host, clock) -> None:
    host = await new_host()
    times = {}
    for name in ("a-1", "a-2", "b-1"):
        await create(host, clock, name)
        times[name] = clock.now()
        clock.jump_to(clock.now() + timedelta(minutes=1))
    await host.hub.send(an_event("@e@1", "op"))
    work = await host.work("a-1")
    work.instance.status = RuntimeStatus.FAILED
    await host.hub.commit(work, Commit(work.instance, work.messages), 0)

    async def ids(**wanted: Any) -> list[str]:
        return [view.instance.id for view in await host.hub.query(InstanceQuery(**wanted))]

    assert await ids() == ["@e@1", "a-1", "a-2", "b-1"]
    assert await ids(entities=False) == ["a-1", "a-2", "b-1"]
    assert await ids(entities=True) == ["@e@1"]
    assert await ids(id_prefix="a-") == ["a-1", "a-2"]
    assert await ids(statuses={RuntimeStatus.FAILED}) == ["a-1"]
    assert await ids(created_from=times["a-2"], entities=False) == ["b-1"]
    assert await ids(created_to=times["a-2"]) == ["a-1", "a-2"]
    assert await ids(top=2, after_id="@e@1") == ["a-1", "a-2"]
    assert [view.input for view in await host.hub.query(InstanceQuery(with_input=False, id_prefix="a-1"))] == [None]


async def test_purge_forgets_everything(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    work = await host.work("one")
    work.instance.status = RuntimeStatus.COMPLETED
    await host.hub.commit(work, Commit(work.instance, work.messages, events=['{"n":1}']), 0)
    assert await host.hub.purge(["one", "nobody"]) == 1
    assert (await host.hub.get("one"), await host.hub.history("one")) == (None, [])
    assert not await host.hub.send(an_event())


async def test_a_failed_instance_can_be_rewritten_and_no_other(new_host, clock) -> None:
    host = await new_host()
    await create(host, clock)
    pending = an_instance(clock)
    assert not await host.hub.rewrite(pending, ['{"n":0}'], [an_event()])
    work = await host.work("one")
    work.instance.status = RuntimeStatus.FAILED
    await host.hub.commit(work, Commit(work.instance, work.messages, events=['{"n":1}'], output="bad"), 0)
    assert await host.hub.rewrite(pending, ['{"n":0}'], [an_event()])
    work = await host.work("one")
    assert (work.history, [message.key for message in work.messages]) == (['{"n":0}'], ["e"])
    assert (await host.hub.get("one")).output is None
