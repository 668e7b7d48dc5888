"""Retries: transient errors again and later, permanent ones never, and the same pauses in every replay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import retry
from jobs.errors import ActivityFailedError, JobError
from jobs.retry import RetryPolicy
from tests.unit.orchestrators.engine import Engine, named

pytestmark = pytest.mark.anyio

WORK, PLAY = named("work"), named("play")
OK = {"ok": "done"}
POLICY = RetryPolicy(attempts=4, first=1, factor=2, cap=3, crashes=2)


def transient(retry_after: float | None = None):
    return {"error": {"type": "Busy", "message": "later", "retryable": True, "retryAfter": retry_after}}


PERMANENT = {"error": {"type": "Refused", "message": "never", "retryable": False, "retryAfter": None}}


def caller(context):
    try:
        return (yield from retry.call(context, WORK, {"input": 1}, POLICY))
    except ActivityFailedError as error:
        return {"failed": error.type, "retryable": error.retryable}


def together(context):
    return (yield from retry.call_each(context, [(WORK, {}), (PLAY, {})], POLICY))


def script(*outcomes):
    """An activity that does this the first time, that the second time, and so on. Exceptions are raised."""
    remaining = list(outcomes)

    async def activity(_arguments):
        outcome = remaining.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return activity


async def run(*outcomes) -> Engine:
    return await Engine(caller, None, {"work": script(*outcomes)}).run("one")


async def test_success_costs_one_attempt():
    engine = await run(OK)
    assert engine.output == OK
    assert engine.calls == [("work", {"input": 1, "attempt": 1})]


async def test_a_permanent_error_costs_one_attempt():
    engine = await run(PERMANENT)
    assert engine.output == {"failed": "Refused", "retryable": False}
    assert (len(engine.calls), engine.pauses) == (1, [])


async def test_transient_errors_are_tried_again_with_growing_pauses():
    engine = await run(transient(), transient(), transient(), OK)
    assert engine.output == OK
    assert [arguments["attempt"] for _, arguments in engine.calls] == [1, 2, 3, 4]
    for pause, full in zip(engine.pauses, [1, 2, 3], strict=True):
        assert full / 2 <= pause <= full


async def test_attempts_are_counted():
    engine = await run(*[transient()] * 4)
    assert engine.output == {"failed": "Busy", "retryable": True}
    assert len(engine.calls) == 4


async def test_retry_after_is_waited_for():
    engine = await run(transient(retry_after=120), OK)
    assert engine.pauses == [pytest.approx(120, abs=0.001)]


async def test_crashes_count_as_transient_but_not_for_long():
    engine = await run(RuntimeError("lost"), OK)
    assert engine.output == OK
    engine = await run(RuntimeError("card 4111"), RuntimeError("card 4111"))
    assert engine.output == {"failed": "Unexpected", "retryable": False}
    assert len(engine.calls) == 2


@given(st.text(max_size=50), st.integers(1, 60), st.none() | st.floats(0, 1e6))
def test_a_pause_is_bounded_and_the_same_each_time(key, attempt, retry_after):
    pause = RetryPolicy().pause(key, attempt, retry_after)
    assert pause == RetryPolicy().pause(key, attempt, retry_after)
    assert 0.5 <= pause.total_seconds() <= retry.LONGEST_RETRY_AFTER
    assert pause.total_seconds() >= min(retry_after or 0, retry.LONGEST_RETRY_AFTER) - 0.001


def test_pauses_of_many_instances_spread():
    pauses = {RetryPolicy().pause(f"instance-{number}/step", 1, None) for number in range(100)}
    assert len(pauses) > 90


async def test_together_one_failure_does_not_stop_the_others():
    engine = Engine(together, None, {"work": script(transient(), OK), "play": script(PERMANENT)})
    await engine.run("one")
    assert engine.output == [OK, PERMANENT]
    assert [name for name, _ in engine.calls] == ["work", "play", "work"]


async def test_together_a_crash_is_one_failure_among_others():
    engine = Engine(together, None, {"work": script(ValueError(), ValueError()), "play": script(transient(), OK)})
    await engine.run("one")
    assert engine.output[1] == OK
    assert engine.output[0]["error"]["type"] == "Unexpected"


async def test_together_gives_up_after_the_last_attempt():
    engine = Engine(together, None, {"work": script(*[transient()] * 4), "play": script(OK)})
    await engine.run("one")
    assert engine.output == [transient(), OK]


def in_windows(context):
    cancel = context.wait_for_external_event("cancel")
    told = []
    calls = [(WORK, {"number": number}) for number in range(5)]
    deadline = context.current_utc_datetime + timedelta(seconds=context.get_input())
    try:
        outcomes = yield from retry.call_each(
            context, calls, POLICY, window=2, cancel=cancel, deadline=deadline, tell=told.append
        )
    except JobError as error:
        return {"ended": error.type, "told": told}
    return {"outcomes": outcomes, "told": told}


class Window:
    """An activity that notes its calls, and fails as it is told, by number and attempt."""

    def __init__(self, failures=None):
        self.failures = failures or {}
        self.order = []

    async def __call__(self, arguments):
        number, attempt = arguments["number"], arguments["attempt"]
        self.order.append((number, attempt))
        outcome = self.failures.get((number, attempt), {"ok": number})
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def windows(work, seconds=60.0, events=None):
    engine = Engine(in_windows, seconds, {"work": work})
    engine.events = events or {}
    return (await engine.run("one")).output


async def test_a_window_begins_when_the_one_before_has_ended():
    work = Window()
    assert await windows(work) == {"outcomes": [{"ok": n} for n in range(5)], "told": [2, 4, 5]}
    assert work.order == [(n, 1) for n in range(5)]


async def test_what_fails_in_a_window_is_tried_again_after_all_others():
    work = Window({(0, 1): transient(), (1, 1): PERMANENT, (3, 1): RuntimeError(), (0, 2): transient()})
    output = await windows(work)
    assert output["outcomes"] == [{"ok": 0}, PERMANENT, {"ok": 2}, {"ok": 3}, {"ok": 4}]
    assert work.order == [*((n, 1) for n in range(5)), (0, 2), (3, 2), (0, 3)]
    assert output["told"] == [1, 2, 3, 4, 5]


async def test_a_cancel_lets_the_window_end_and_no_other_begin():
    work = Window()
    assert await windows(work, events={"work": "cancel"}) == {"ended": "JobCancelled", "told": [2]}
    assert work.order == [(0, 1), (1, 1)]


async def test_past_the_deadline_no_window_begins():
    work = Window({(0, 1): transient(), (1, 1): transient()})
    output = await windows(work, seconds=0.25)
    assert output["ended"] == "DeadlineExceeded"
    assert max(attempt for _, attempt in work.order) == 1


async def test_nothing_to_do_is_done():
    def nothing(context):
        return (yield from retry.call_each(context, [], POLICY))

    assert (await Engine(nothing, None, {}).run("one")).output == []
