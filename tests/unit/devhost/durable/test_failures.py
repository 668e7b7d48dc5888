"""Failures: as the orchestrator, its parent and its status see them."""

from __future__ import annotations

import json
from pathlib import Path

import azure.durable_functions as df
import pytest

from devhost.durable.hub import RuntimeStatus
from tests.unit.devhost.durable.functions import boom, hello, nothing
from tests.unit.devhost.durable.workbench import Bench, SdkWorker

pytestmark = pytest.mark.anyio


async def test_an_activitys_failure_as_the_orchestrator_sees_it(path: Path) -> None:
    def orchestrator(context):
        try:
            yield context.call_activity("boom", 1)
        except Exception as error:
            return str(error)

    async with Bench(path, SdkWorker(orchestrator, activities=(boom,))) as bench:
        reason, _, details = (await bench.result("orchestrator")).partition(" \n ")
    assert reason == "Activity function 'boom' failed:  ValueError: boom"
    assert json.loads(details)["Message"] == " ValueError: boom"
    assert json.loads(details)["InnerException"]["RemoteMessage"] == "ValueError: boom"


async def test_a_failing_orchestrator_schedules_its_last_actions_first(path: Path) -> None:
    def orchestrator(context):
        yield context.call_activity("hello", "first")
        context.signal_entity(df.EntityId("journal", "all"), "note", "it fails")
        raise RuntimeError("on purpose")

    noted: list[str] = []

    def journal(context):
        noted.append(context.get_input())

    async with Bench(path, SdkWorker(orchestrator, activities=(hello,), entities=(journal,))) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.drain()
        view = await bench.view(instance_id)
    assert view.output == "Orchestrator function 'orchestrator' failed: on purpose"
    assert view.instance.status == RuntimeStatus.FAILED
    assert noted == ["it fails"]


async def test_a_plain_function_may_return_or_fail(path: Path) -> None:
    def returns(context):
        return {"sum": 3}

    def fails(context):
        raise RuntimeError("plainly")

    async with Bench(path, SdkWorker(returns, fails)) as bench:
        assert await bench.result("returns") == {"sum": 3}
        with pytest.raises(RuntimeError, match="RuntimeError: plainly"):
            await bench.result("fails")


async def test_unknown_functions_are_named_with_those_that_exist(path: Path) -> None:
    def calls(context):
        yield context.call_activity("helo", "typo")

    async with Bench(path, SdkWorker(calls, activities=(hello, nothing))) as bench:
        with pytest.raises(RuntimeError, match="'nobody' doesn't exist.*known orchestrator functions: 'calls'"):
            await bench.result("nobody")
        with pytest.raises(RuntimeError, match="'helo' doesn't exist.*known activity functions: 'hello', 'nothing'"):
            await bench.result("calls")


async def test_an_output_that_is_not_json_fails_the_instance(path: Path) -> None:
    def orchestrator(context):
        yield context.call_activity("nothing", None)
        return {1, 2}

    async with Bench(path, SdkWorker(orchestrator, activities=(nothing,))) as bench:
        with pytest.raises(RuntimeError, match="set is not JSON serializable"):
            await bench.result("orchestrator")


@pytest.mark.parametrize("after_crash", [False, True])
async def test_changed_code_is_found_out(path: Path, after_crash: bool) -> None:
    code = ["hello"]

    def orchestrator(context):
        yield context.call_activity(code[0], "x")
        yield context.wait_for_external_event("go")
        yield context.call_activity("hello", "y")

    worker = SdkWorker(orchestrator, activities=(hello, nothing))
    bench = Bench(path, worker)
    await bench.open()
    instance_id = await bench.start("orchestrator")
    await bench.drain()
    if after_crash:
        await bench.crash()
        bench = Bench(path, worker, bench.clock)
    async with bench:
        code[0] = "nothing"
        await bench.raise_event(instance_id, "go")
        await bench.drain()
        view = await bench.view(instance_id)
    assert view.instance.status == RuntimeStatus.FAILED
    assert "Non-Deterministic workflow detected" in view.output and "'nothing'" in view.output


async def test_too_large_a_custom_status_fails_the_instance(path: Path) -> None:
    def orchestrator(context):
        context.set_custom_status("x" * 9000)
        yield context.wait_for_external_event("never")

    async with Bench(path, SdkWorker(orchestrator)) as bench:
        with pytest.raises(RuntimeError, match="16384 are allowed"):
            await bench.result("orchestrator")


async def test_too_many_actions_fail_the_instance(path: Path) -> None:
    def orchestrator(context):
        yield context.task_all([context.call_activity("nothing", n) for n in range(20)])

    async with Bench(path, SdkWorker(orchestrator, activities=(nothing,)), max_orchestration_actions=10) as bench:
        with pytest.raises(RuntimeError, match="maxOrchestrationActions"):
            await bench.result("orchestrator")
