"""Waits of an orchestrator: timers stay short, an event ends them, and one that lost its race is cancelled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.errors import JobCancelledError, JobError
from jobs.saga import Saga
from jobs.waiting import event_or_timeout, sleep_until
from tests.unit.jobs.test_saga import ARGUMENTS, JOB, RUN
from tests.unit.orchestrators.engine import Engine, named

pytestmark = pytest.mark.anyio

DAY = 86_400.0
LOOK = named("look")


def sleeper(context):
    yield from sleep_until(context, context.current_utc_datetime + timedelta(days=12))
    return context.current_utc_datetime.isoformat()


def asker(context):
    came = context.wait_for_external_event("news")
    cancel = context.wait_for_external_event("cancel")
    until = context.current_utc_datetime + timedelta(days=12)
    try:
        return {"came": (yield from event_or_timeout(context, came, until, cancel))}
    except JobCancelledError:
        return {"cancelled": True}


def watcher(context):
    """Looks each day, three times; then it carries on."""
    saga = Saga(context, [LOOK])
    news = context.wait_for_external_event("news")
    try:
        for _ in range(3):
            yield from saga.do(LOOK, {})
            woken = yield from saga.sleep_until(context.current_utc_datetime + timedelta(days=1), news)
            if woken is news:
                return {"news": True}
        saga.carry_on({"looks": 3})
    except JobError as error:
        return {"error": error.type}


async def watch(days: float, **events: str) -> Engine:
    async def look(arguments):
        return {"ok": None} | ({"run": RUN} if arguments.get("begin") else {})

    engine = Engine(watcher, ARGUMENTS | {"deadlineSeconds": days * DAY}, {"look": look})
    engine.events = events
    return await engine.run("shipment-1")


async def test_a_long_sleep_is_several_short_timers():
    engine = await Engine(sleeper, None, {}).run("one")
    assert sum(engine.pauses) == pytest.approx(12 * DAY, abs=1)
    assert max(engine.pauses) <= 5 * DAY
    assert engine.output.startswith("2026-01-13")


async def test_a_moment_that_is_past_is_not_waited_for():
    def late(context):
        yield from sleep_until(context, context.current_utc_datetime - timedelta(days=1))
        return "at once"

    engine = await Engine(late, None, {}).run("one")
    assert (engine.output, engine.pauses) == ("at once", [])


async def test_nobody_comes():
    engine = await Engine(asker, None, {}).run("one")
    assert engine.output == {"came": False}
    assert engine.cancelled_timers == []


@pytest.mark.parametrize(("event", "output"), [("news", {"came": True}), ("cancel", {"cancelled": True})])
async def test_an_event_ends_the_wait_and_its_timer(event, output):
    engine = Engine(asker, None, {})
    engine.events = {"timer": event}
    await engine.run("one")
    assert engine.output == output
    assert len(engine.pauses) == len(engine.cancelled_timers) == 1


async def test_a_saga_is_woken():
    engine = await watch(30, timer="news")
    assert engine.output == {"news": True}


async def test_a_saga_that_sleeps_is_cancelled_at_once():
    engine = await watch(30, timer="cancel")
    assert engine.output == {"error": "JobCancelled"}
    assert len(engine.calls) == 1


async def test_a_saga_sleeps_no_longer_than_it_may_take():
    engine = await watch(1.5)
    assert engine.output == {"error": "DeadlineExceeded"}
    assert sum(engine.pauses) == pytest.approx(1.5 * DAY, abs=1)


async def test_the_time_that_a_saga_waits_for_others_is_not_its_own():
    """It may take an hour; a person needs three days, and then it takes its second step."""

    def asker(context):
        saga = Saga(context, [LOOK])
        try:
            yield from saga.do(LOOK, {})
            yield from saga.part("decision", {}, waits_for="approval")
            yield from saga.do(LOOK, {})
        except JobError as error:
            return {"error": error.type}
        return {"status": "Completed"}

    async def look(arguments):
        return {"ok": None} | ({"run": RUN} if arguments.get("begin") else {})

    async def decision(_):
        engine.now += timedelta(days=3)
        return {"decision": "approved"}

    engine = Engine(asker, ARGUMENTS | {"deadlineSeconds": 3600}, {"look": look, "decision": decision})
    await engine.run("order-1")
    assert engine.output == {"status": "Completed"}


async def test_a_saga_carries_on_with_its_run_and_the_deadline_that_it_had():
    engine = await watch(30)
    (carried,) = engine.continued
    assert carried == {
        "job": JOB,
        "input": ARGUMENTS["input"],
        "run": RUN,
        "carried": {"looks": 3},
        "told": 100,
        "deadline": "2026-01-31T00:00:00+00:00",
    }
    engine = Engine(watcher, carried, {"look": engine.activity("look")})
    engine.events = {"timer": "news"}
    await engine.run("shipment-1")
    assert "begin" not in engine.calls[0][1], "it had begun"


async def test_a_saga_that_was_cancelled_does_not_carry_on():
    assert (await watch(30, look="cancel")).output == {"error": "JobCancelled"}
