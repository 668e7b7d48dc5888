"""The virtual clock: jumps wake who waited, in order, and time never moves back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from devhost.clock import Clock, VirtualClock

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)


async def test_real_time_is_utc_and_passes():
    clock = Clock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    await clock.sleep_until(clock.now() - DAY)
    soon = clock.now() + timedelta(milliseconds=20)
    await clock.sleep_until(soon)
    assert clock.now() >= soon


async def test_a_jump_wakes_exactly_those_who_are_due():
    clock, woken = VirtualClock(), []

    async def sleep(days):
        await clock.sleep_until(start + days * DAY)
        woken.append(days)

    start = clock.now()
    tasks = [asyncio.create_task(sleep(days)) for days in (3, 1, 2)]
    await asyncio.sleep(0)
    assert clock.next_sleeper() == start + DAY
    clock.jump_to(start + 2 * DAY)
    await asyncio.wait_for(asyncio.gather(tasks[1], tasks[2]), 5)
    assert sorted(woken) == [1, 2] and clock.next_sleeper() == start + 3 * DAY
    clock.jump_to(start + 3 * DAY)
    await asyncio.wait_for(tasks[0], 5)
    assert clock.next_sleeper() is None


async def test_virtual_time_flows_by_itself_too():
    clock = VirtualClock()
    await asyncio.wait_for(clock.sleep_until(clock.now() + timedelta(milliseconds=20)), 5)


async def test_time_never_moves_back():
    clock = VirtualClock()
    clock.jump_to(clock.now() + DAY)
    moment = clock.now()
    clock.jump_to(moment - 5 * DAY)
    assert clock.now() >= moment


async def test_a_cancelled_sleeper_is_forgotten():
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep_until(clock.now() + DAY))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.next_sleeper() is None
