"""Entities of the real SDK on the engine (durable.md §4.2, §4.3)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import azure.durable_functions as df
import pytest

from devhost.durable.entities import entity_state
from devhost.durable.hub import EventType
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio

COUNTER = df.EntityId("Counter", "K@1".replace("@", "-"))


def counter(context: df.DurableEntityContext) -> None:
    value = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            context.set_state(value + context.get_input())
            context.set_result(value + context.get_input())
        case "get":
            context.set_result(value)
        case "delete":
            context.destruct_on_exit()
        case _:
            raise ValueError("bad")


async def state(bench: Bench, instance_id: str) -> object:
    text = entity_state((await bench.view(instance_id)).input)
    return None if text is None else json.loads(text)


async def test_the_payload_has_exactly_the_keys_that_the_sdk_takes(path: Path) -> None:
    worker = SdkWorker(entities=(counter,))
    async with Bench(path, worker) as bench:
        await bench.signal("@counter@K1", "add", 5)
        await bench.drain()
        await bench.signal("@counter@K1", "add", 2)
        await bench.drain()
    assert worker.payloads == [
        {"self": {"name": "counter", "key": "K1"}, "exists": False, "state": None,
         "batch": [{"name": "add", "input": '"5"', "isSignal": True}]},
        {"self": {"name": "counter", "key": "K1"}, "exists": True, "state": "5",
         "batch": [{"name": "add", "input": '"2"', "isSignal": True}]},
    ]  # fmt: skip


async def test_signals_run_in_order_and_in_batches(path: Path) -> None:
    worker = SdkWorker(entities=(counter,))
    async with Bench(path, worker, max_entity_batch=40) as bench:
        await asyncio.gather(*(bench.signal("@counter@a", "add", n) for n in range(100)))
        await bench.drain()
        assert await state(bench, "@counter@a") == sum(range(100))
    assert 3 <= len(worker.payloads) < 20
    assert [json.loads(json.loads(i["input"])) for p in worker.payloads for i in p["batch"]] == list(range(100))


async def test_a_call_is_answered_under_its_requests_id(path: Path) -> None:
    def orchestrator(context):
        context.signal_entity(COUNTER, "add", 1)
        value = yield context.call_entity(COUNTER, "add", 2)
        try:
            yield context.call_entity(COUNTER, "nonsense")
        except Exception as error:
            return [value, str(error)]

    worker = SdkWorker(orchestrator, entities=(counter,))
    async with Bench(path, worker) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.drain()
        assert await bench.output(instance_id) == [3, "bad"]
        history = await bench.history(instance_id)
    sent = [event for event in history if event["EventType"] == EventType.EVENT_SENT]
    raised = [event for event in history if event["EventType"] == EventType.EVENT_RAISED]
    assert [event["EventId"] for event in sent] == [0, 1, 2]  # signals take an id too
    assert {event["InstanceId"] for event in sent} == {"@counter@K-1"}
    requests = [json.loads(event["Input"]) for event in sent]
    assert [request.get("signal") for request in requests] == [True, None, None]
    assert [event["Name"] for event in raised] == [request["id"] for request in requests[1:]]
    assert "exceptionType" in json.loads(raised[1]["Input"])
    # The SDK only hears of a call's answer when it is sent the EventSent too.
    assert [event["EventType"] for event in worker.payloads[-1]["history"]].count(EventType.EVENT_SENT) == 3


async def test_a_call_survives_a_crash_of_the_caller(path: Path) -> None:
    release = asyncio.Event()

    class Slow(SdkWorker):
        async def run_entity(self, name: str, payload: str, instance_id: str) -> str:
            await release.wait()
            return await super().run_entity(name, payload, instance_id)

    def orchestrator(context):
        return (yield context.call_entity(COUNTER, "add", 2))

    worker = Slow(orchestrator, entities=(counter,))
    bench = Bench(path, worker)
    await bench.open()
    instance_id = await bench.start("orchestrator")
    while not bench.engine._entities.tasks:
        await asyncio.sleep(0.001)
    await bench.crash()
    release.set()
    async with Bench(path, worker, bench.clock) as after:
        await after.drain()
        assert await after.output(instance_id) == 2
        assert await state(after, "@counter@K-1") == 2


async def test_delete_and_come_back(path: Path) -> None:
    async with Bench(path, SdkWorker(entities=(counter,))) as bench:
        await bench.signal("@counter@a", "add", 5)
        await bench.drain()
        await bench.signal("@counter@a", "delete")
        await bench.drain()
        assert await state(bench, "@counter@a") is None
        await bench.signal("@counter@a", "add", 1)
        await bench.drain()
        assert await state(bench, "@counter@a") == 1


async def test_an_unknown_entity_fails_its_callers(path: Path) -> None:
    def orchestrator(context):
        try:
            yield context.call_entity(df.EntityId("nobody", "x"), "do")
        except Exception as error:
            return str(error)

    async with Bench(path, SdkWorker(orchestrator, entities=(counter,))) as bench:
        text = await bench.result("orchestrator")
    assert "'nobody' doesn't exist" in text and "'counter'" in text
