"""When the next episode begins."""

from __future__ import annotations

import asyncio

import pytest

from devhost.durable.pacing import Pacer

pytestmark = pytest.mark.anyio


async def test_an_instance_without_other_work_goes_on_at_once() -> None:
    begun: list[str] = []
    pacer = Pacer(begun.append)
    pacer.arrived("new")
    pacer.replayed("chain", events=1000, seconds=10, open_work=1)
    pacer.arrived("chain")
    assert begun == ["new", "chain"]


async def test_the_last_answer_ends_the_wait() -> None:
    begun: list[str] = []
    pacer = Pacer(begun.append)
    pacer.replayed("fan", events=1000, seconds=1000, open_work=3)
    pacer.arrived("fan", 2)
    assert begun == [] and pacer.is_waiting
    pacer.arrived("fan")
    assert begun == ["fan"] and not pacer.is_waiting


async def test_the_wait_grows_with_the_replay_and_comes_to_an_end(monkeypatch) -> None:
    begun: list[str] = []
    pacer = Pacer(begun.append)
    for _ in range(50):
        pacer.replayed("other", events=1000, seconds=0.01, open_work=0)  # 10 us for an event
    waits = {}
    for events in (100, 10_000):
        pacer.replayed(f"fan-{events}", events, events * 10e-6, open_work=events)
        with monkeypatch.context() as stopped:
            stopped.setattr(asyncio.get_running_loop(), "time", lambda: 0.0)  # a busy machine would add to the waits
            pacer.arrived(f"fan-{events}")
        waits[events] = pacer._paces[f"fan-{events}"].timer.when()
    assert 50 < waits[10_000] / waits[100] < 200
    while len(begun) < 2:
        await asyncio.sleep(0.001)
    assert begun == ["fan-100", "fan-10000"]


async def test_forgotten_instances_begin_nothing() -> None:
    begun: list[str] = []
    pacer = Pacer(begun.append)
    pacer.replayed("fan", events=10, seconds=0.001, open_work=5)
    pacer.arrived("fan")
    pacer.clear()
    assert not pacer.is_waiting
    await asyncio.sleep(0.02)
    assert begun == []
