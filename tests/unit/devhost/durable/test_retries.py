"""Retries: the ids and timers that the real host gives them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import pytest

from devhost.durable.hub import EventType, RuntimeStatus
from tests.unit.devhost.durable.functions import boom, nothing
from tests.unit.devhost.durable.workbench import Bench, SdkWorker, moment

pytestmark = pytest.mark.anyio


async def test_a_retry_gives_ids_as_the_real_host_does(path: Path) -> None:
    def orchestrator(context):
        yield context.call_activity_with_retry("boom", df.RetryOptions(5000, 3), 1)

    async with Bench(path, SdkWorker(orchestrator, activities=(boom,))) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(seconds=4)
        assert len(bench.worker.calls) == 1
        await bench.advance(seconds=20)
        assert len(bench.worker.calls) == 3
        history = await bench.history(instance_id)
        view = await bench.view(instance_id)
    ids = [(EventType(e["EventType"]).name, e["EventId"]) for e in history if e["EventType"] in (4, 10)]
    assert ids == [
        ("TASK_SCHEDULED", 0), ("TIMER_CREATED", 1), ("TASK_SCHEDULED", 2), ("TIMER_CREATED", 3),
        ("TASK_SCHEDULED", 4), ("TIMER_CREATED", 5),
    ]  # fmt: skip
    created = [e for e in history if e["EventType"] == EventType.TIMER_CREATED]
    assert [moment(e["FireAt"]) - moment(e["Timestamp"]) for e in created] == [
        timedelta(seconds=5), timedelta(seconds=5), timedelta(),
    ]  # fmt: skip
    assert view.instance.status == RuntimeStatus.FAILED
    assert view.output.startswith("Orchestrator function 'orchestrator' failed: Activity function 'boom' failed: ")


async def test_parallel_retries_take_their_ids_in_the_order_of_events(path: Path) -> None:
    failures = {"a": 2, "b": 1, "c": 0}

    async def flaky(name: str) -> str:
        if failures[name]:
            failures[name] -= 1
            raise ValueError(name)
        return name

    def orchestrator(context):
        options = df.RetryOptions(1000, 3)
        tasks = [context.call_activity_with_retry("flaky", options, name) for name in "abc"]
        first = yield context.task_any(tasks)
        more = yield context.call_activity("nothing", None)
        return [first.result, more, (yield context.task_all(tasks))]

    async with Bench(path, SdkWorker(orchestrator, activities=(flaky, nothing))) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(minutes=1)
        assert await bench.output(instance_id) == ["c", None, ["a", "b", "c"]]


async def test_many_failing_retries_are_batched_too(path: Path) -> None:
    def orchestrator(context):
        tasks = [context.call_activity_with_retry("boom", df.RetryOptions(1000, 2), n) for n in range(100)]
        try:
            yield context.task_all(tasks)
        except Exception:
            return "failed"

    worker = SdkWorker(orchestrator, activities=(boom,))
    async with Bench(path, worker) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(minutes=1)
        assert await bench.output(instance_id) == "failed"
    assert len(worker.calls) == 200
    assert len(worker.payloads) < 40
