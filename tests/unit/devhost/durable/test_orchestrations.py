"""Orchestrations of the real SDK on the engine: what they see, and what the history and the row say afterwards."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import pytest

from devhost.durable import events
from devhost.durable.hub import EventType, Message, RuntimeStatus
from tests.unit.devhost.durable.workbench import Bench, SdkWorker, moment

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.sqlite3"


def hello(name: str) -> str:
    return f"Hello {name}!"


def nothing(value: object) -> None:
    return None


def boom(value: object) -> None:
    raise ValueError("boom")


def chain(context: df.DurableOrchestrationContext):
    first = yield context.call_activity("hello", "Ada")
    second = yield context.call_activity("HELLO", "Bob")
    return [first, second]


def kinds(history: list[dict]) -> list[str]:
    return [EventType(event["EventType"]).name for event in history]


async def test_a_chain_and_its_history(path: Path) -> None:
    async with Bench(path, SdkWorker(chain, activities=(hello,))) as bench:
        instance_id = await bench.start("Chain")
        await bench.drain()
        assert await bench.output(instance_id) == ["Hello Ada!", "Hello Bob!"]
        history = await bench.history(instance_id)
    assert kinds(history) == [
        "ORCHESTRATOR_STARTED", "EXECUTION_STARTED", "TASK_SCHEDULED", "ORCHESTRATOR_COMPLETED",
        "ORCHESTRATOR_STARTED", "TASK_COMPLETED", "TASK_SCHEDULED", "ORCHESTRATOR_COMPLETED",
        "ORCHESTRATOR_STARTED", "TASK_COMPLETED", "EXECUTION_COMPLETED", "ORCHESTRATOR_COMPLETED",
    ]  # fmt: skip
    assert [event["EventId"] for event in history if event["EventId"] >= 0] == [0, 1, 2]
    assert [event["IsPlayed"] for event in history] == [
        False, True, False, False, False, True, False, False, False, True, False, False,
    ]  # fmt: skip
    assert all(event["Timestamp"].endswith("Z") for event in history)


async def test_the_payload_is_what_the_sdk_documents(path: Path) -> None:
    worker = SdkWorker(chain, activities=(hello,))
    async with Bench(path, worker) as bench:
        instance_id = await bench.start("chain", {"a": 1})
        await bench.drain()
    first, second, third = worker.payloads
    assert set(first) == {
        "history", "input", "instanceId", "isReplaying", "parentInstanceId", "upperSchemaVersion",
        "upperSchemaVersionNew", "longRunningTimerIntervalDuration", "maximumShortTimerDuration",
        "defaultHttpAsyncRequestSleepTimeMillseconds",
    }  # fmt: skip
    assert first["input"] == json.dumps({"a": 1})
    assert (first["instanceId"], first["parentInstanceId"]) == (instance_id, None)
    assert (first["isReplaying"], second["isReplaying"]) == (False, True)
    assert (first["upperSchemaVersion"], first["upperSchemaVersionNew"]) == (1, 2)
    assert first["longRunningTimerIntervalDuration"] == "3.00:00:00"
    assert first["maximumShortTimerDuration"] == "6.00:00:00"
    assert "Version" in first["history"][1] and first["history"][1]["Name"] == "chain"
    # Each episode has its own OrchestratorStarted; the new message is not played yet.
    assert [event["EventType"] for event in third["history"]] == [12, 0, 4, 13, 12, 5, 4, 13, 12, 5]
    assert [event["IsPlayed"] for event in third["history"]] == [
        False, True, False, False, False, True, False, False, False, False,
    ]  # fmt: skip
    assert third["history"][5]["Result"] == json.dumps("Hello Ada!")


async def test_none_is_a_result_and_an_input(path: Path) -> None:
    def orchestrator(context):
        assert context.get_input() is None
        return [(yield context.call_activity("nothing", None))]

    async with Bench(path, SdkWorker(orchestrator, activities=(nothing,))) as bench:
        assert await bench.result("orchestrator") == [None]


async def test_replay_safe_values_stay_the_same(path: Path) -> None:
    seen: list[tuple] = []

    def orchestrator(context):
        times, ids = [context.current_utc_datetime], [context.new_uuid()]
        for seconds in (5, 10):
            yield context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
            times.append(context.current_utc_datetime)
            ids.append(context.new_uuid())
        seen.append((times, ids))
        return [str(identifier) for identifier in ids]

    worker = SdkWorker(orchestrator)
    bench = Bench(path, worker)
    await bench.open()
    instance_id = await bench.start("orchestrator")
    await bench.advance(seconds=6)
    await bench.crash()
    async with Bench(path, worker, bench.clock) as after:
        await after.advance(seconds=11)
        ids = await after.output(instance_id)
        history = await after.history(instance_id)
    ((times, same_ids),) = seen
    assert ids == same_ids and len(set(ids)) == 3
    assert timedelta(seconds=5) <= times[1] - times[0] < timedelta(seconds=6)
    starts = [moment(event["Timestamp"]) for event in history if event["EventType"] == EventType.ORCHESTRATOR_STARTED]
    assert times == starts


# --- fan-out ----------------------------------------------------------------------------------------------------------


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


# --- retries ----------------------------------------------------------------------------------------------------------


async def test_a_retry_gives_ids_as_the_real_host_does(path: Path) -> None:
    def orchestrator(context):
        yield context.call_activity_with_retry("boom", df.RetryOptions(5000, 3), 1)

    async with Bench(path, SdkWorker(orchestrator, activities=(boom,))) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(seconds=4)
        assert len(bench.worker.calls) == 1
        await bench.advance(seconds=20)
        assert len(bench.worker.calls) == 3
        history = await bench.history(instance_id)
        view = await bench.view(instance_id)
    ids = [(EventType(e["EventType"]).name, e["EventId"]) for e in history if e["EventType"] in (4, 10)]
    assert ids == [
        ("TASK_SCHEDULED", 0), ("TIMER_CREATED", 1), ("TASK_SCHEDULED", 2), ("TIMER_CREATED", 3),
        ("TASK_SCHEDULED", 4), ("TIMER_CREATED", 5),
    ]  # fmt: skip
    created = [e for e in history if e["EventType"] == EventType.TIMER_CREATED]
    assert [moment(e["FireAt"]) - moment(e["Timestamp"]) for e in created] == [
        timedelta(seconds=5), timedelta(seconds=5), timedelta(),
    ]  # fmt: skip
    assert view.instance.status == RuntimeStatus.FAILED
    assert view.output.startswith("Orchestrator function 'orchestrator' failed: Activity function 'boom' failed: ")


async def test_parallel_retries_take_their_ids_in_the_order_of_events(path: Path) -> None:
    failures = {"a": 2, "b": 1, "c": 0}

    async def flaky(name: str) -> str:
        if failures[name]:
            failures[name] -= 1
            raise ValueError(name)
        return name

    def orchestrator(context):
        options = df.RetryOptions(1000, 3)
        tasks = [context.call_activity_with_retry("flaky", options, name) for name in "abc"]
        first = yield context.task_any(tasks)
        more = yield context.call_activity("nothing", None)
        return [first.result, more, (yield context.task_all(tasks))]

    async with Bench(path, SdkWorker(orchestrator, activities=(flaky, nothing))) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(minutes=1)
        assert await bench.output(instance_id) == ["c", None, ["a", "b", "c"]]


async def test_many_failing_retries_are_batched_too(path: Path) -> None:
    def orchestrator(context):
        tasks = [context.call_activity_with_retry("boom", df.RetryOptions(1000, 2), n) for n in range(100)]
        try:
            yield context.task_all(tasks)
        except Exception:
            return "failed"

    worker = SdkWorker(orchestrator, activities=(boom,))
    async with Bench(path, worker) as bench:
        instance_id = await bench.start("orchestrator")
        await bench.advance(minutes=1)
        assert await bench.output(instance_id) == "failed"
    assert len(worker.calls) == 200
    assert len(worker.payloads) < 40


# --- timers -----------------------------------------------------------------------------------------------------------


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


# --- events -----------------------------------------------------------------------------------------------------------


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


# --- sub-orchestrations -----------------------------------------------------------------------------------------------


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


# --- continue-as-new --------------------------------------------------------------------------------------------------


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


# --- terminate, suspend, resume ---------------------------------------------------------------------------------------


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


# --- failures ---------------------------------------------------------------------------------------------------------


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


# --- delivery ---------------------------------------------------------------------------------------------------------


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
