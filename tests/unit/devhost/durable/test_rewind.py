"""Rewinding a history: what goes, what stays, and that the instance then runs on (durable.md §7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest

from devhost.durable.client import DurableClient
from devhost.durable.hub import EventType, RuntimeStatus
from devhost.durable.rewind import rewound
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio


def event(kind: EventType, event_id: int = -1, **fields: Any) -> dict[str, Any]:
    return {"EventType": int(kind), "EventId": event_id, "IsPlayed": True, "Timestamp": "t", **fields}


def kinds(events: list[dict[str, Any]]) -> list[int]:
    return [item["EventType"] for item in events]


def test_a_failed_call_is_undone_with_its_scheduling_and_a_successful_one_stays() -> None:
    history = [
        event(EventType.TASK_SCHEDULED, 0, Name="good"),
        event(EventType.TASK_COMPLETED, TaskScheduledId=0),
        event(EventType.TASK_SCHEDULED, 1, Name="bad"),
        event(EventType.TASK_FAILED, TaskScheduledId=1, Reason="broken"),
        event(EventType.EXECUTION_COMPLETED, 2),
        event(EventType.ORCHESTRATOR_COMPLETED, ActionCount=2),
    ]
    result = rewound(history)
    assert kinds(result.events) == [4, 5, 17, 17, 17, 13]
    assert result.events[3]["Data"] == "Rewound: broken"
    assert "ActionCount" not in result.events[5]
    assert result.failed_children == []


def test_a_call_that_succeeded_at_its_second_attempt_stays_as_it_is() -> None:
    history = [
        event(EventType.TASK_SCHEDULED, 0, Name="flaky"),
        event(EventType.TASK_FAILED, TaskScheduledId=0),
        event(EventType.TIMER_CREATED, 1, RetryOf=0),
        event(EventType.TIMER_FIRED, TimerId=1),
        event(EventType.TASK_SCHEDULED, 2, Name="flaky", RetryOf=1),
        event(EventType.TASK_COMPLETED, TaskScheduledId=2),
    ]
    assert kinds(rewound(history).events) == kinds(history)


def test_a_failed_childs_call_stays_and_the_child_is_named() -> None:
    history = [
        event(EventType.SUB_ORCHESTRATION_CREATED, 0, Name="child", InstanceId="the-child"),
        event(EventType.SUB_ORCHESTRATION_FAILED, TaskScheduledId=0),
    ]
    result = rewound(history)
    assert (kinds(result.events), result.failed_children) == ([7, 17], ["the-child"])


async def test_a_call_that_ran_out_of_attempts_begins_anew(tmp_path: Path) -> None:
    broken = [True]

    def fragile(value: object) -> str:
        if broken[0]:
            raise ValueError("broken")
        return "well"

    def before(value: object) -> str:
        return "before"

    def orchestrator(context):
        first = yield context.call_activity("before", None)
        second = yield context.call_activity_with_retry("fragile", df.RetryOptions(1000, 2), None)
        third = yield context.call_activity("before", None)
        return [first, second, third]

    async with Bench(tmp_path / "hub.sqlite3", SdkWorker(orchestrator, activities=(fragile, before))) as bench:
        client = DurableClient(bench.hub, bench.clock, bench.options)
        instance_id = await bench.start("orchestrator")
        await bench.advance(seconds=10)
        assert (await bench.view(instance_id)).instance.status == RuntimeStatus.FAILED
        await client.rewind(instance_id, "try again")
        await bench.advance(seconds=10)
        assert (await bench.view(instance_id)).instance.status == RuntimeStatus.FAILED
        broken[0] = False
        await client.rewind(instance_id, "now")
        await bench.advance(seconds=10)
        assert await bench.output(instance_id) == ["before", "well", "before"]
    assert [name for name, _ in bench.worker.calls].count("before") == 2


async def test_an_orchestrator_that_failed_by_itself_is_replayed_with_its_new_code(tmp_path: Path) -> None:
    fixed = [False]

    def one(value: object) -> int:
        return 1

    def orchestrator(context):
        total = yield context.call_activity("one", None)
        if not fixed[0]:
            raise RuntimeError("a bug")
        return total + (yield context.call_activity("one", None))

    async with Bench(tmp_path / "hub.sqlite3", SdkWorker(orchestrator, activities=(one,))) as bench:
        client = DurableClient(bench.hub, bench.clock, bench.options)
        instance_id = await bench.start("orchestrator")
        await bench.drain()
        fixed[0] = True
        await client.rewind(instance_id, "fixed")
        await bench.drain()
        assert await bench.output(instance_id) == 2
    assert len(bench.worker.calls) == 2
