"""Stragglers: which jobs are late, what is finished of those that have ended, and what one that is damaged costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError

from jobs import catalog, clock, finishing, ledger, stragglers
from jobs.entry import JobRef
from jobs.errors import ServiceBusUnavailableError

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage", "bus")]

AT_ONCE = timedelta(0)


class Ledger:
    """Rows of one kind, as old as a test wants them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def put(self, age: timedelta, **more: str) -> str:
        """A job that was submitted, and if it says so, begun, so long ago."""
        at = ledger.written(clock.now() - age)
        held = {"not_before": more.pop("notBefore", None), "claim": more.pop("claim", None)}
        job = JobRef(self.kind, uuid4().hex, "c", at, **held)
        entry, _ = await ledger.submit(job, "digest")
        if more:
            row = {"startedAt": at, "runner": "r", "attempt": 1, **more}
            await ledger.merge(entry.job, entry.tag, row)
        return job.id


@pytest.fixture
def rows(monkeypatch):
    """A kind that no other test has jobs of, with a deadline of an hour."""
    kind, may_ask = f"k{uuid4().hex[:8]}", finishing.Finisher.may_ask
    order = catalog.KINDS["order"]
    # Not about what other tests have left running.
    monkeypatch.setattr(
        finishing.Finisher,
        "may_ask",
        lambda finisher, entry: entry.job.kind == kind and may_ask(finisher, entry),
    )
    monkeypatch.setitem(catalog.KINDS, kind, replace(order, name=kind))
    return Ledger(kind)


async def test_a_job_past_its_deadline_and_one_that_does_not_begin_are_found(rows):
    minute = timedelta(minutes=1)
    overdue = await rows.put(71 * minute, state="Running")
    await rows.put(69 * minute, state="Running")
    stalled = await rows.put(31 * minute)
    await rows.put(29 * minute)
    await rows.put(31 * minute, notBefore=ledger.written(clock.now() + minute))
    await rows.put(100 * minute, claim="order-import/x.jsonl#0-1")
    await rows.put(300 * minute, state="Completed")
    swept = await stragglers.sweep(AT_ONCE, None)
    assert swept.is_over
    found = {each.key: each for each in swept.conditions()}
    assert found[f"overdue:{rows.kind}"].figures == {"count": 1, "jobs": [overdue]}
    assert found[f"stalled:{rows.kind}"].figures == {"count": 1, "jobs": [stalled]}


async def test_a_long_sweep_goes_on_with_the_next_watch_and_finds_the_same(rows, monkeypatch, crashes):
    for _ in range(7):
        await rows.put(timedelta(hours=2), state="Running")
    monkeypatch.setattr(stragglers, "PAGE", 2)
    monkeypatch.setattr(stragglers, "MOST_PAGES", 2)
    for _ in range(200):
        crashes.calls.clear()
        swept = await stragglers.sweep(AT_ONCE, None)
        assert len(crashes.calls) <= 2 + 2
        if swept.is_over:
            break
    (found,) = (each for each in swept.conditions() if each.key == f"overdue:{rows.kind}")
    assert (found.figures["count"], len(found.figures["jobs"])) == (7, finishing.MOST_NAMED)


@pytest.mark.parametrize("status", ["Terminated", "Failed", None])
async def test_a_job_whose_orchestration_has_stopped_is_ended_and_buried(rows, durable, bus, status):
    id = await rows.put(timedelta(hours=2), state="Running")
    arguments = {"job": {}, "input": {"currency": "EUR"}, "deadlineSeconds": 1}
    if status:
        durable.statuses[f"{rows.kind}-{id}"] = {"runtimeStatus": status, "input": arguments}
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert f"overdue:{rows.kind}" not in swept.groups
    entry = await ledger.get(rows.kind, id)
    assert (entry.state, entry.is_buried) == ("Failed", True)
    assert entry.error["openCompensations"] == [finishing.UNKNOWN], "nobody knows what a replay would do twice"
    (letter,) = bus.letters(jobId=id)
    assert letter.dead_letter_reason == entry.error["type"]
    await stragglers.sweep(AT_ONCE, durable)
    assert len(bus.letters(jobId=id)) == 1


async def test_a_job_that_was_stopped_before_it_began_is_ended_and_can_be_replayed(rows, durable, bus):
    minute = timedelta(minutes=1)
    stopped, waiting = await rows.put(31 * minute), await rows.put(31 * minute)
    arguments = {"job": {}, "input": {"currency": "EUR"}, "deadlineSeconds": 1}
    durable.statuses[f"{rows.kind}-{stopped}"] = {"runtimeStatus": "Terminated", "input": arguments}
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert swept.groups[f"stalled:{rows.kind}"].jobs == [waiting]
    entry = await ledger.get(rows.kind, stopped)
    assert (entry.state, entry.error["type"], entry.is_buried) == ("Failed", "Terminated", True)
    assert "openCompensations" not in entry.error, "nothing was done"
    assert len(bus.letters(jobId=stopped)) == 1


@pytest.mark.parametrize("waits", [{}, {"waitingFor": "carrier", "overdueAt": "9999-01-01T00:00:00.000000Z"}])
async def test_a_job_that_was_stopped_long_before_its_deadline_is_ended_within_minutes(rows, durable, waits):
    minute = timedelta(minutes=1)
    statuses = ("Terminated", "Failed", "Running", None)
    ids = [await rows.put(3 * minute, state="Running", **waits) for _ in statuses]
    old = await rows.put(69 * minute, state="Running", **waits)
    young = await rows.put(minute, state="Running", **waits)
    for id, status in zip([*ids, old, young], [*statuses, None, "Terminated"], strict=True):
        if status:
            durable.statuses[f"{rows.kind}-{id}"] = {"runtimeStatus": status}
    await stragglers.sweep(AT_ONCE, durable)
    found = [(await ledger.get(rows.kind, id)).state for id in [*ids, old, young]]
    # Those that Durable does not know may be in another task hub; most have ended when they are as old as the last will
    # be.
    assert found == ["Failed", "Failed", "Running", "Running", "Running", "Running"]


async def test_of_many_that_run_a_few_are_asked_about_and_each_has_its_turn(rows, durable, monkeypatch):
    monkeypatch.setattr(stragglers, "MOST_ASKED", 3)
    asked = []
    get_status = durable.get_status

    async def counted(id, **more):
        asked.append(id)
        return await get_status(id, **more)

    monkeypatch.setattr(durable, "get_status", counted)
    ids = [await rows.put(timedelta(minutes=5), state="Running") for _ in range(9)]
    for id in ids:
        durable.statuses[f"{rows.kind}-{id}"] = {"runtimeStatus": "Running"}
    sweeps = 0
    while not asked or not {f"{rows.kind}-{id}" for id in ids} <= set(asked):
        await stragglers.sweep(AT_ONCE, durable)
        sweeps += 1
        assert len(asked) <= 3 * sweeps
        assert sweeps < 200


@pytest.fixture
async def damaged(rows):
    """Rows that are not left to other tests."""
    ids = []

    async def put(age: timedelta, **columns: Any) -> str:
        ids.append(await rows.put(age, state="Running"))
        await ledger.table().update_entity({"PartitionKey": rows.kind, "RowKey": ids[-1], **columns})
        return f"{rows.kind}/{ids[-1]}"

    yield put
    for id in ids:
        await ledger.table().delete_entity(rows.kind, id)


async def test_a_damaged_row_costs_only_itself_and_is_named(rows, durable, damaged, monkeypatch):
    monkeypatch.setattr(finishing, "MOST_NAMED", 1000)
    early = {"state": "Pending", "submittedAt": ledger.written(clock.now() + timedelta(hours=2))}
    named = {await damaged(timedelta(hours=2), **column) for column in ({"attempt": "?"}, early)}
    overdue, stopped = [await rows.put(timedelta(hours=2), state="Running") for _ in range(2)]
    durable.statuses = {f"{rows.kind}-{id}": {"runtimeStatus": "Running"} for id in (overdue, stopped)}
    durable.statuses[f"{rows.kind}-{stopped}"] = {"runtimeStatus": "Failed", "input": "{ no JSON"}
    swept = await stragglers.sweep(AT_ONCE, durable)
    found = {each.key: each.figures for each in swept.conditions()}
    assert set(found["damaged:jobs"]["jobs"]) >= named
    assert set(found[f"overdue:{rows.kind}"]["jobs"]) == {overdue, stopped}
    assert f"{rows.kind}/{stopped}" in hindrances(swept)["unfinished:ends"]["jobs"]


def hindrances(swept: stragglers.Sweep) -> dict[str, Any]:
    return {each.key: each.figures for each in swept.hindrances()}


async def ended(rows: Ledger, count: int) -> list[str]:
    """Jobs that have failed and are not buried."""
    at = ledger.written(clock.now() - timedelta(minutes=5))
    more = {"state": "Failed", "completedAt": at, "buried": False}
    return [await rows.put(timedelta(hours=2), **more) for _ in range(count)]


@pytest.mark.parametrize(
    "error",
    [
        KeyError("whatever"),
        ResourceNotFoundError(response=SimpleNamespace(status_code=404, reason="The specified blob does not exist.")),
    ],
)
async def test_one_job_that_cannot_be_buried_costs_only_itself(rows, bus, monkeypatch, caplog, error):
    # By key, as storage gives them, so that the others stand behind it.
    ids = sorted(await ended(rows, 3))
    conclude = finishing.ending.conclude

    async def fails(entry):
        if entry.job.id == ids[0]:
            raise error
        await conclude(entry)

    monkeypatch.setattr(finishing.ending, "conclude", fails)
    swept = await stragglers.sweep(AT_ONCE, None)
    assert [(await ledger.get(rows.kind, id)).is_buried for id in ids] == [False, True, True]
    figures = hindrances(swept)["unfinished:dead-letters"]
    assert f"{rows.kind}/{ids[0]}" in figures["jobs"] and figures["error"] == type(error).__name__
    assert "WatchFailed" in caplog.text
    await conclude(await ledger.get(rows.kind, ids[0]))


async def test_a_bus_that_is_away_is_asked_once_and_the_rest_is_seen(rows, bus, monkeypatch):
    """Behind jobs that cannot be buried or told of stand those that are late."""
    ids = await ended(rows, 3)
    overdue = await rows.put(timedelta(hours=3), state="Running")
    tries = []

    async def away(entry):
        tries.append(entry)
        raise ServiceBusUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(finishing.ending, "conclude", away)
        swept = await stragglers.sweep(AT_ONCE, None)
    assert len(tries) == 1
    assert {each.key: each.figures for each in swept.conditions()}[f"overdue:{rows.kind}"]["jobs"] == [overdue]
    figures = hindrances(swept)["unfinished:dead-letters"]
    assert figures["count"] >= 3 and figures["error"] == "ServiceBusUnavailableError"
    await stragglers.sweep(AT_ONCE, None)
    assert all([(await ledger.get(rows.kind, id)).is_buried for id in ids])


@pytest.mark.parametrize("answers", [True, False])
async def test_durable_that_is_away_is_asked_once(rows, durable, monkeypatch, answers):
    asked = []

    async def away(id, **_):
        asked.append(id)
        if not answers:
            await asyncio.Event().wait()
        raise Exception("the operation failed with an unexpected status code 500")

    monkeypatch.setattr(durable, "get_status", away)
    if not answers:
        monkeypatch.setattr(finishing, "PATIENCE", 0.01)
    ids = {await rows.put(timedelta(hours=3), state="Running") for _ in range(3)}
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert len(asked) == 1
    assert set({each.key: each.figures for each in swept.conditions()}[f"overdue:{rows.kind}"]["jobs"]) == ids
    assert hindrances(swept)["unfinished:ends"]["error"] == "DurableUnavailableError"


async def test_durable_that_is_slow_is_waited_for_no_longer_than_a_watch_may_take(rows, durable, monkeypatch):
    asked = []

    async def slow(id, **_):
        asked.append(id)
        await asyncio.sleep(0.02)
        return durable_status

    durable_status = await durable.get_status("none")
    monkeypatch.setattr(durable, "get_status", slow)
    monkeypatch.setattr(finishing, "PATIENCE", 0.05)
    for _ in range(10):
        await rows.put(timedelta(minutes=5), state="Running")
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert len(asked) <= 3
    assert hindrances(swept)["unfinished:ends"]["count"] >= 8


async def test_a_job_whose_orchestration_runs_is_left_alone(rows, durable):
    id = await rows.put(timedelta(hours=2), state="Running")
    durable.statuses[f"{rows.kind}-{id}"] = {"runtimeStatus": "Running"}
    swept = await stragglers.sweep(AT_ONCE, durable)
    assert swept.groups[f"overdue:{rows.kind}"].jobs == [id]
    assert (await ledger.get(rows.kind, id)).state == "Running"
