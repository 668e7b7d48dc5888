"""Orchestrations of the real SDK on the engine: what they see, and what history and row say afterwards."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from devhost.durable.hub import EventType
from tests.unit.devhost.durable.functions import chain, hello, kinds, nothing
from tests.unit.devhost.durable.workbench import Bench, SdkWorker, moment

pytestmark = pytest.mark.anyio


async def test_a_chain_and_its_history(path: Path) -> None:
    async with Bench(path, SdkWorker(chain, activities=(hello,))) as bench:
        instance_id = await bench.start("Chain")
        await bench.drain()
        assert await bench.output(instance_id) == ["Hello Ada!", "Hello Bob!"]
        history = await bench.history(instance_id)
    assert kinds(history) == [
        "ORCHESTRATOR_STARTED", "EXECUTION_STARTED", "TASK_SCHEDULED", "ORCHESTRATOR_COMPLETED",
        "ORCHESTRATOR_STARTED", "TASK_COMPLETED", "TASK_SCHEDULED", "ORCHESTRATOR_COMPLETED",
        "ORCHESTRATOR_STARTED", "TASK_COMPLETED", "EXECUTION_COMPLETED", "ORCHESTRATOR_COMPLETED",
    ]  # fmt: skip
    assert [event["EventId"] for event in history if event["EventId"] >= 0] == [0, 1, 2]
    assert [event["IsPlayed"] for event in history] == [
        False, True, False, False, False, True, False, False, False, True, False, False,
    ]  # fmt: skip
    assert all(event["Timestamp"].endswith("Z") for event in history)


async def test_the_payload_is_what_the_sdk_documents(path: Path) -> None:
    worker = SdkWorker(chain, activities=(hello,))
    async with Bench(path, worker) as bench:
        instance_id = await bench.start("chain", {"a": 1})
        await bench.drain()
    first, second, third = worker.payloads
    assert set(first) == {
        "history", "input", "instanceId", "isReplaying", "parentInstanceId", "upperSchemaVersion",
        "upperSchemaVersionNew", "longRunningTimerIntervalDuration", "maximumShortTimerDuration",
        "defaultHttpAsyncRequestSleepTimeMillseconds",
    }  # fmt: skip
    assert first["input"] == json.dumps({"a": 1})
    assert (first["instanceId"], first["parentInstanceId"]) == (instance_id, None)
    assert (first["isReplaying"], second["isReplaying"]) == (False, True)
    assert (first["upperSchemaVersion"], first["upperSchemaVersionNew"]) == (1, 2)
    assert first["longRunningTimerIntervalDuration"] == "3.00:00:00"
    assert first["maximumShortTimerDuration"] == "6.00:00:00"
    assert "Version" in first["history"][1] and first["history"][1]["Name"] == "chain"
    # Each episode has its own OrchestratorStarted; the new message is not played yet.
    assert [event["EventType"] for event in third["history"]] == [12, 0, 4, 13, 12, 5, 4, 13, 12, 5]
    assert [event["IsPlayed"] for event in third["history"]] == [
        False, True, False, False, False, True, False, False, False, False,
    ]  # fmt: skip
    assert third["history"][5]["Result"] == json.dumps("Hello Ada!")


async def test_none_is_a_result_and_an_input(path: Path) -> None:
    def orchestrator(context):
        assert context.get_input() is None
        return [(yield context.call_activity("nothing", None))]

    async with Bench(path, SdkWorker(orchestrator, activities=(nothing,))) as bench:
        assert await bench.result("orchestrator") == [None]


async def test_replay_safe_values_stay_the_same(path: Path) -> None:
    seen: list[tuple] = []

    def orchestrator(context):
        times, ids = [context.current_utc_datetime], [context.new_uuid()]
        for seconds in (5, 10):
            yield context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
            times.append(context.current_utc_datetime)
            ids.append(context.new_uuid())
        seen.append((times, ids))
        return [str(identifier) for identifier in ids]

    worker = SdkWorker(orchestrator)
    bench = Bench(path, worker)
    await bench.open()
    instance_id = await bench.start("orchestrator")
    await bench.advance(seconds=6)
    await bench.crash()
    async with Bench(path, worker, bench.clock) as after:
        await after.advance(seconds=11)
        ids = await after.output(instance_id)
        history = await after.history(instance_id)
    ((times, same_ids),) = seen
    assert ids == same_ids and len(set(ids)) == 3
    assert timedelta(seconds=5) <= times[1] - times[0] < timedelta(seconds=6)
    starts = [moment(event["Timestamp"]) for event in history if event["EventType"] == EventType.ORCHESTRATOR_STARTED]
    assert times == starts
