"""Delivery: duplicates, early answers, large values, lost workers, stopping."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from devhost.durable import events
from devhost.durable.hub import EventType, Message, RuntimeStatus
from tests.unit.devhost.durable.functions import chain, hello
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio


async def test_duplicates_and_strays_are_dropped(path: Path) -> None:
    async with Bench(path, SdkWorker(chain, activities=(hello,))) as bench:
        instance_id = await bench.start("chain")
        execution_id = (await bench.view(instance_id)).instance.execution_id
        at = events.timestamp(bench.clock.now())

        def answer(task_id: int, execution: str | None) -> Message:
            text = events.task_completed(at, task_id, '"stray"')
            return Message(instance_id, EventType.TASK_COMPLETED, text, task_id, execution)

        await bench.hub.send(answer(0, "another execution"))
        await bench.drain()
        await bench.hub.send(answer(0, execution_id))
        await bench.drain()
        assert await bench.output(instance_id) == ["Hello Ada!", "Hello Bob!"]
        assert await bench.hub.is_idle()


async def test_an_answer_that_comes_too_early_is_kept_for_later(path: Path) -> None:
    def orchestrator(context):
        yield context.wait_for_external_event("go")
        return (yield context.call_activity("slow", 1))

    async def slow(value: int) -> str:
        await asyncio.sleep(3600)

    bench = Bench(path, SdkWorker(orchestrator, activities=(slow,)))
    await bench.open()
    instance_id = await bench.start("orchestrator")
    await bench.drain()
    execution_id = (await bench.view(instance_id)).instance.execution_id
    text = events.task_completed(events.timestamp(bench.clock.now()), 0, '"early"')
    await bench.hub.send(Message(instance_id, EventType.TASK_COMPLETED, text, 0, execution_id))
    await bench.drain()
    assert (await bench.view(instance_id)).instance.status == RuntimeStatus.RUNNING
    await bench.raise_event(instance_id, "go")
    while not await bench.hub.claim_activities(0) and not bench.worker.calls:
        await asyncio.sleep(0.001)
    bench.clock.jump_to(bench.clock.now() + timedelta(seconds=2))
    while not (await bench.view(instance_id)).instance.status.is_final:
        await asyncio.sleep(0.001)
    assert await bench.output(instance_id) == "early"
    await bench.crash()


async def test_megabytes_survive(path: Path) -> None:
    def big(size: int) -> str:
        return "ü" * size

    def orchestrator(context):
        text = yield context.call_activity("big", context.get_input()["size"])
        same = yield context.call_activity("echo", text)
        return same

    def echo(text: str) -> str:
        return text

    worker = SdkWorker(orchestrator, activities=(big, echo))
    async with Bench(path, worker) as bench:
        assert await bench.result("orchestrator", {"size": 2_000_000, "ballast": "b" * 3_000_000}) == "ü" * 2_000_000


async def test_a_lost_worker_is_no_failure(path: Path) -> None:
    hanging = True

    async def sometimes(value: object) -> str:
        if hanging:
            await asyncio.sleep(3600)
        return "at last"

    def orchestrator(context):
        return (yield context.call_activity("sometimes", None))

    worker = SdkWorker(orchestrator, activities=(sometimes,))
    bench = Bench(path, worker)
    await bench.open()
    instance_id = await bench.start("orchestrator")
    while not worker.running:
        await asyncio.sleep(0.001)
    stopping = asyncio.create_task(bench.engine.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    stopping.cancel()
    await asyncio.wait([stopping])
    hanging = False
    async with Bench(path, worker, bench.clock) as after:
        await after.drain()
        assert await after.output(instance_id) == "at last"
        assert EventType.TASK_FAILED not in [e["EventType"] for e in await after.history(instance_id)]


async def test_a_stopping_engine_finishes_what_runs_and_starts_nothing(path: Path) -> None:
    release = asyncio.Event()

    async def wait(value: object) -> str:
        await release.wait()
        return "done"

    def orchestrator(context):
        return (yield context.task_all([context.call_activity("wait", n) for n in range(5)]))

    worker = SdkWorker(orchestrator, activities=(wait,))
    bench = Bench(path, worker, max_concurrent_activities=2)
    await bench.open()
    instance_id = await bench.start("orchestrator")
    while worker.running < 2:
        await asyncio.sleep(0.001)
    stopping = asyncio.create_task(bench.engine.stop())
    await asyncio.sleep(0.01)
    release.set()
    await stopping
    assert len(worker.calls) == 2
    async with Bench(path, worker, bench.clock) as after:
        await after.drain()
        assert await after.output(instance_id) == ["done"] * 5
    assert len(worker.calls) == 5


async def test_what_an_episode_starts_while_the_engine_stops_is_finished(path: Path) -> None:
    async def wait(value: object) -> str:
        for _ in range(10):
            await asyncio.sleep(0)
        return "done"

    def orchestrator(context):
        return (yield context.call_activity("wait"))

    bench = Bench(path, SdkWorker(orchestrator, activities=(wait,)))
    await bench.open()
    commit, stopping = bench.hub.commit, []

    async def commit_while_stopping(*arguments):
        stopping.append(asyncio.create_task(bench.engine.stop()))
        await asyncio.sleep(0)
        return await commit(*arguments)

    bench.hub.commit = commit_while_stopping
    instance_id = await bench.start("orchestrator")
    while not stopping:
        await asyncio.sleep(0.001)
    await stopping[0]
    assert (bench.faults, bench.worker.running) == ([], 0)
    async with Bench(path, bench.worker, bench.clock) as after:
        await after.drain()
        assert await after.output(instance_id) == "done"
    assert len(bench.worker.calls) == 1
