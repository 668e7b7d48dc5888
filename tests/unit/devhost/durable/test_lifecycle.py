"""Continue-as-new, terminate, suspend and resume."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from devhost.durable.hub import EventType, RuntimeStatus
from tests.unit.devhost.durable.functions import hello, kinds
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio


async def test_continue_as_new_begins_afresh(path: Path) -> None:
    def loop(context):
        count = context.get_input()
        context.set_custom_status(f"round {count}")
        yield context.call_activity("hello", count)
        if count < 5:
            context.continue_as_new(count + 1)
        return count

    async with Bench(path, SdkWorker(loop, activities=(hello,))) as bench:
        instance_id = await bench.start("loop", 1)
        first = (await bench.view(instance_id)).instance
        await bench.drain()
        assert await bench.output(instance_id) == 5
        view = await bench.view(instance_id)
        assert view.instance.execution_id != first.execution_id
        assert view.instance.created == first.created
        assert json.loads(view.input) == "5"
        assert view.instance.custom_status == '"round 5"'
        assert len(await bench.history(instance_id)) == 8
        assert [value for _, value in bench.worker.calls] == [1, 2, 3, 4, 5]


async def test_events_behind_a_continue_as_new_reach_the_next_execution(path: Path) -> None:
    def counter(context):
        total = context.get_input() or 0
        total += yield context.wait_for_external_event("add")
        if total >= 55:
            return total
        context.continue_as_new(total)

    async with Bench(path, SdkWorker(counter)) as bench:
        instance_id = await bench.start("counter")
        await bench.drain()
        await asyncio.gather(*(bench.raise_event(instance_id, "add", n) for n in range(1, 11)))
        await bench.drain()
        assert await bench.output(instance_id) == 55


async def test_suspend_holds_back_events_and_timers_until_resume(path: Path) -> None:
    def orchestrator(context):
        timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=10))
        first = yield context.wait_for_external_event("first")
        yield timer
        return first

    async with Bench(path, SdkWorker(orchestrator)) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.drain()
        await bench.command(instance_id, EventType.EXECUTION_SUSPENDED, "lunch")
        await bench.drain()
        view = await bench.view(instance_id)
        assert (view.instance.status, view.output) == (RuntimeStatus.SUSPENDED, "lunch")
        replays = len(bench.worker.payloads)
        await bench.raise_event(instance_id, "first", "a")
        await bench.advance(minutes=1)
        assert (await bench.view(instance_id)).instance.status == RuntimeStatus.SUSPENDED
        assert len(bench.worker.payloads) == replays
        await bench.command(instance_id, EventType.EXECUTION_RESUMED, "back")
        await bench.drain()
        assert await bench.output(instance_id) == "a"


async def test_a_suspended_instance_survives_a_crash_and_can_be_terminated(path: Path) -> None:
    def orchestrator(context):
        yield context.wait_for_external_event("never")

    worker = SdkWorker(orchestrator)
    bench = Bench(path, worker)
    await bench.open()
    instance_id = await bench.start("orchestrator")
    await bench.drain()
    await bench.command(instance_id, EventType.EXECUTION_SUSPENDED, "lunch")
    await bench.raise_event(instance_id, "other", 1)
    await bench.drain()
    await bench.crash()
    async with Bench(path, worker, bench.clock) as after:
        await after.drain()
        assert (await after.view(instance_id)).instance.status == RuntimeStatus.SUSPENDED
        await after.command(instance_id, EventType.EXECUTION_TERMINATED, "home")
        await after.drain()
        assert (await after.view(instance_id)).output == "home"
        assert kinds(await after.history(instance_id))[-4:] == [
            "ORCHESTRATOR_STARTED", "EXECUTION_TERMINATED", "EXECUTION_COMPLETED", "ORCHESTRATOR_COMPLETED",
        ]  # fmt: skip


async def test_a_pending_instance_can_be_terminated(path: Path) -> None:
    def orchestrator(context):
        return "ran"
        yield

    async with Bench(path, SdkWorker(orchestrator)) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.command(instance_id, EventType.EXECUTION_TERMINATED, "no")
        await bench.drain()
        assert (await bench.view(instance_id)).instance.status in (RuntimeStatus.TERMINATED, RuntimeStatus.COMPLETED)
