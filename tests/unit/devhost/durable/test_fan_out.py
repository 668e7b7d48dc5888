"""Fan-out and races: many tasks at once, and few episodes for many answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from devhost.durable.hub import EventType, RuntimeStatus
from tests.unit.devhost.durable.functions import boom, hello, nothing
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio


async def test_answers_are_gathered_into_few_episodes(path: Path) -> None:
    def orchestrator(context):
        return (yield context.task_all([context.call_activity("hello", str(n)) for n in range(300)]))

    worker = SdkWorker(orchestrator, activities=(hello,))
    async with Bench(path, worker) as bench:
        assert await bench.result("orchestrator") == [f"Hello {n}!" for n in range(300)]
    assert len(worker.payloads) <= 6


async def test_activities_run_at_once_up_to_the_limit(path: Path) -> None:
    release = asyncio.Event()

    async def wait(value: object) -> None:
        await release.wait()

    def orchestrator(context):
        yield context.task_all([context.call_activity("wait", n) for n in range(10)])

    worker = SdkWorker(orchestrator, activities=(wait,))
    async with Bench(path, worker, max_concurrent_activities=4) as bench:
        instance_id = await bench.start("orchestrator")
        while worker.running < 4:
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0)
        assert worker.running == 4
        release.set()
        await bench.drain()
        assert (await bench.view(instance_id)).instance.status == RuntimeStatus.COMPLETED
    assert worker.most_running == 4


async def test_the_first_answer_of_a_race_is_not_kept_waiting(path: Path) -> None:
    release = asyncio.Event()

    async def wait(value: bool) -> bool:
        if value:
            await release.wait()
        return value

    def orchestrator(context):
        winner = yield context.task_any([context.call_activity("wait", True), context.call_activity("wait", False)])
        context.set_custom_status(winner.result)
        yield context.call_activity("wait", False)
        context.set_custom_status("beyond")

    async with Bench(path, SdkWorker(orchestrator, activities=(wait,))) as bench:
        instance_id = await bench.start("orchestrator")
        while (await bench.view(instance_id)).instance.custom_status != '"beyond"':
            await asyncio.sleep(0.001)
        # The loser holds back the end (durable.md §2.4).
        assert (await bench.view(instance_id)).instance.status == RuntimeStatus.RUNNING
        release.set()
        await bench.drain()
        assert (await bench.view(instance_id)).instance.status == RuntimeStatus.COMPLETED


async def test_what_follows_a_failed_task_all_waits_for_its_other_children(path: Path) -> None:
    release = asyncio.Event()
    ran: list[str] = []

    async def wait(value: object) -> None:
        await release.wait()
        ran.append("wait")

    def after(value: object) -> None:
        ran.append("after")

    def orchestrator(context):
        try:
            yield context.task_all([context.call_activity("boom", 1), context.call_activity("wait", 2)])
        except Exception:
            yield context.call_activity("after", 3)
            return "caught"

    async with Bench(path, SdkWorker(orchestrator, activities=(boom, wait, after))) as bench:
        instance_id = await bench.start("orchestrator")
        while len([e for e in await bench.history(instance_id) if e["EventType"] == EventType.TASK_FAILED]) == 0:
            await asyncio.sleep(0.001)
        assert ran == []
        release.set()
        await bench.drain()
        assert await bench.output(instance_id) == "caught"
    assert ran == ["wait", "after"]


async def test_a_loser_scheduled_before_may_win_a_later_race(path: Path) -> None:
    def orchestrator(context):
        deadline = context.create_timer(context.current_utc_datetime + timedelta(seconds=60))
        for attempt in range(3):
            answer = context.wait_for_external_event("answer")
            if (yield context.task_any([answer, deadline])) is deadline:
                yield context.call_activity("nothing", None)
                return f"too late in attempt {attempt}"
            if answer.result == "right":
                deadline.cancel()
                return "right"
        return "wrong"

    async with Bench(path, SdkWorker(orchestrator, activities=(nothing,))) as bench:
        late = await bench.start("orchestrator")
        await bench.drain()
        await bench.raise_event(late, "answer", "wrong")
        await bench.advance(seconds=61)
        assert await bench.output(late) == "too late in attempt 1"
        right = await bench.start("orchestrator")
        await bench.drain()
        for answer in ("wrong", "right"):
            await bench.raise_event(right, "answer", answer)
            await bench.drain()
        assert await bench.output(right) == "right"
