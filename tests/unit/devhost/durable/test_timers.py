"""Timers and events: their order, long ones in legs, cancelled ones."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from devhost.durable.hub import EventType, RuntimeStatus
from tests.unit.devhost.durable.functions import hello
from tests.unit.devhost.durable.workbench import Bench, SdkWorker, moment

pytestmark = pytest.mark.anyio


async def test_a_long_timer_goes_in_legs(path: Path) -> None:
    def orchestrator(context):
        yield context.create_timer(context.current_utc_datetime + timedelta(days=30))
        return (context.current_utc_datetime).isoformat()

    async with Bench(path, SdkWorker(orchestrator)) as bench:
        began = bench.clock.now()
        instance_id = await bench.start("orchestrator")
        await bench.advance(days=29, hours=23)
        assert (await bench.view(instance_id)).instance.status == RuntimeStatus.RUNNING
        await bench.advance(hours=2)
        ended = moment(await bench.output(instance_id))
        legs = [e for e in await bench.history(instance_id) if e["EventType"] == EventType.TIMER_CREATED]
    assert timedelta(days=30) <= ended - began < timedelta(days=30, minutes=1)
    assert len(legs) == 9  # eight of three days, and the last six in one


async def test_an_event_beats_a_long_timer_at_once(path: Path) -> None:
    def orchestrator(context):
        deadline = context.create_timer(context.current_utc_datetime + timedelta(days=30))
        approval = context.wait_for_external_event("approval")
        winner = yield context.task_any([approval, deadline])
        deadline.cancel()
        done = yield context.call_activity("hello", "approved" if winner is approval else "late")
        context.set_custom_status(done)
        return done

    async with Bench(path, SdkWorker(orchestrator, activities=(hello,))) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(days=5)
        await bench.raise_event(instance_id, "approval", True)
        await bench.drain()
        assert (await bench.view(instance_id)).instance.custom_status == '"Hello approved!"'
        # The SDK does not say that the leg is cancelled: the instance ends when it has fired (durable.md §2.2).
        await bench.advance(days=6)
        assert await bench.output(instance_id) == "Hello approved!"


async def test_the_clock_knows_of_a_timer_all_the_while_that_its_hub_is_idle(path: Path) -> None:
    """Otherwise, time that passes at the wrong moment passes the timer by."""

    def orchestrator(context):
        yield context.create_timer(context.current_utc_datetime + timedelta(hours=context.get_input()))

    async with Bench(path, SdkWorker(orchestrator)) as bench:
        for hours in (3, 2, 1):
            await bench.start("orchestrator", hours)
            await bench.drain()
            due = bench.clock.next_sleeper()
            assert timedelta(hours=hours - 1) < due - bench.clock.now() <= timedelta(hours=hours)
            # As when another process has written to the hub's file.
            bench.hub._watch.look()
            for _ in range(20):
                await asyncio.sleep(0)
                assert bench.clock.next_sleeper() == due


@pytest.mark.parametrize("cancel", [True, False])
async def test_only_an_uncancelled_timer_holds_back_the_end(path: Path, cancel: bool) -> None:
    def orchestrator(context):
        timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
        yield context.task_any([timer, context.call_activity("hello", "x")])
        if cancel:
            timer.cancel()
        return "done"

    async with Bench(path, SdkWorker(orchestrator, activities=(hello,))) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.drain()
        expected = RuntimeStatus.COMPLETED if cancel else RuntimeStatus.RUNNING
        assert (await bench.view(instance_id)).instance.status == expected
        await bench.advance(hours=2)
        assert await bench.output(instance_id) == "done"


async def test_timers_fire_in_the_order_of_their_times(path: Path) -> None:
    def orchestrator(context):
        now, order = context.current_utc_datetime, []
        timers = {seconds: context.create_timer(now + timedelta(seconds=seconds)) for seconds in (30, 10, 20)}
        while timers:
            winner = yield context.task_any(list(timers.values()))
            order.append(next(seconds for seconds, timer in timers.items() if timer is winner))
            del timers[order[-1]]
        return order

    async with Bench(path, SdkWorker(orchestrator)) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(minutes=1)
        assert await bench.output(instance_id) == [10, 20, 30]


async def test_events_as_the_sdk_takes_them(path: Path) -> None:
    """The rows of durable.md §1.5 that an orchestrator can tell apart."""

    def in_turn(context):
        return [(yield context.wait_for_external_event("e")), (yield context.wait_for_external_event("e"))]

    def in_parallel(context):
        return (yield context.task_all([context.wait_for_external_event("e"), context.wait_for_external_event("e")]))

    def late(context):
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=10))
        return [(yield context.wait_for_external_event("e")), (yield context.wait_for_external_event("e"))]

    async with Bench(path, SdkWorker(in_turn, in_parallel, late)) as bench:
        turn = await bench.start("in_turn")
        await bench.drain()
        for value in (1, 2):
            await bench.raise_event(turn, "e", value)
            await bench.drain()
        assert await bench.output(turn) == [1, 2]
        parallel = await bench.start("in_parallel")
        await bench.drain()
        for value in (1, 2):
            await bench.raise_event(parallel, "e", value)
            await bench.drain()
        assert await bench.output(parallel) == [2, 1]
        early = await bench.start("late")
        await bench.raise_event(early, "e", 7)
        await bench.advance(seconds=11)
        assert await bench.output(early) == [7, 7]
