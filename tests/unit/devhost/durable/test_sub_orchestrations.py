"""Sub-orchestrations: how a child starts, ends and fails in its parent."""

from __future__ import annotations

import json
from pathlib import Path

import azure.durable_functions as df
import pytest

from devhost.durable.hub import EventType, RuntimeStatus
from tests.unit.devhost.durable.functions import hello
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio


def parent(context: df.DurableOrchestrationContext):
    given = context.get_input() or {}
    try:
        return [(yield context.call_sub_orchestrator("child", {"n": 1}, given.get("child")))]
    except Exception as error:
        return f"caught {error}"


def child(context: df.DurableOrchestrationContext):
    value = yield context.call_activity("hello", context.get_input()["n"])
    return [value, context.instance_id, context.parent_instance_id]


async def test_a_sub_orchestration(path: Path) -> None:
    async with Bench(path, SdkWorker(parent, child, activities=(hello,))) as bench:
        instance_id = await bench.start("parent")
        await bench.drain()
        ((value, child_id, parent_id),) = await bench.output(instance_id)
        assert (value, parent_id) == ("Hello 1!", instance_id)
        execution_id = (await bench.view(instance_id)).instance.execution_id
        assert child_id == f"{execution_id}:0"
        assert json.loads((await bench.view(child_id)).input) == '{"n": 1}'
        assert len((await bench.view(child_id)).instance.execution_id) == 32


async def test_a_child_that_fails_or_is_terminated_fails_in_its_parent(path: Path) -> None:
    def failing(context):
        raise RuntimeError("bad child")
        yield

    def waiting(context):
        yield context.wait_for_external_event("never")

    def calls(context):
        try:
            yield context.call_sub_orchestrator(context.get_input())
        except Exception as error:
            return str(error)

    async with Bench(path, SdkWorker(calls, failing, waiting)) as bench:
        text = await bench.result("calls", "failing")
        assert text.startswith("Orchestrator function 'failing' failed: bad child \n {")
        instance_id = await bench.start("calls", "waiting")
        await bench.drain()
        child_id = f"{(await bench.view(instance_id)).instance.execution_id}:0"
        await bench.command(child_id, EventType.EXECUTION_TERMINATED, "enough")
        await bench.drain()
        assert (await bench.output(instance_id)).startswith("enough \n ")


async def test_terminating_a_parent_leaves_its_children_alone(path: Path) -> None:
    def patient(context):
        yield context.wait_for_external_event("go")
        return "went"

    def calls(context):
        return (yield context.call_sub_orchestrator("patient", None, "the-child"))

    async with Bench(path, SdkWorker(calls, patient)) as bench:
        instance_id = await bench.start("calls")
        await bench.drain()
        await bench.command(instance_id, EventType.EXECUTION_TERMINATED, "why not")
        await bench.drain()
        view = await bench.view(instance_id)
        assert (view.instance.status, view.output) == (RuntimeStatus.TERMINATED, "why not")
        await bench.raise_event("the-child", "go")
        await bench.drain()
        assert await bench.output("the-child") == "went"


async def test_a_childs_id_may_be_used_again_after_it_failed(path: Path) -> None:
    attempts: list[int] = []

    def flaky(context):
        attempts.append(1)
        if len(attempts) < 2:
            raise RuntimeError("once")
        return "well"
        yield

    def calls(context):
        return (yield context.call_sub_orchestrator_with_retry("flaky", df.RetryOptions(1000, 2), None, "fixed"))

    async with Bench(path, SdkWorker(calls, flaky)) as bench:
        instance_id = await bench.start("calls")
        await bench.advance(seconds=5)
        assert await bench.output(instance_id) == "well"
        assert (await bench.view("fixed")).instance.generation == 1
