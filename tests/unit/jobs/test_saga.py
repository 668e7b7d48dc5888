"""The saga: whatever step fails, all before it are undone, newest first; an undo that fails is never called success."""

from __future__ import annotations

import pytest

from jobs.errors import JobError
from jobs.saga import Saga
from tests.unit.orchestrators.engine import Engine, named

pytestmark = pytest.mark.anyio

STEPS = ("first", "second", "third")
ACTIVITIES = {name: named(name) for name in (*STEPS, *(f"undo_{step}" for step in STEPS), "goodbye")}
RUN = {"started_at": "2026-01-01T00:00:00Z", "tag": "t", "attempt": 1}
JOB = {"kind": "order", "id": "1", "correlation_id": "c", "submitted_at": "2026-01-01T00:00:00Z"}
ARGUMENTS = {"job": JOB, "input": {"wanted": 7}, "deadlineSeconds": 3600}


def orchestrator(context):
    saga = Saga(context, [*map(ACTIVITIES.get, STEPS), ACTIVITIES["goodbye"]])
    try:
        for step in STEPS:
            undo = ACTIVITIES[f"undo_{step}"]
            yield from saga.do(ACTIVITIES[step], {"of": step}, undo=undo, final=step == "third")
    except JobError as error:
        return (yield from saga.undo(error))
    errors = yield from saga.also({ACTIVITIES["goodbye"]: {}})
    return (yield from saga.complete({"errors": errors}))


class Recorder(Engine):
    """An engine whose activities succeed unless told otherwise."""

    def __init__(self, failures: dict[str, dict] | None = None, deadline: float = 3600):
        failures = failures or {}

        def activity(name):
            async def act(arguments):
                if name in failures:
                    return {"error": failures[name]}
                return {"ok": None} | ({"run": RUN} if arguments.get("begin") else {})

            return act

        names = [*STEPS, *(f"undo_{step}" for step in STEPS), "goodbye", "end_job"]
        super().__init__(orchestrator, ARGUMENTS | {"deadlineSeconds": deadline}, {n: activity(n) for n in names})

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    @property
    def end(self) -> dict:
        """What was entered as the job's end."""
        name, arguments = self.calls[-1]
        assert name == "end_job"
        return arguments["input"]


def error(type: str = "Broken", retryable: bool = False) -> dict:
    return {"type": type, "message": "it broke", "retryable": retryable, "retryAfter": None}


async def test_all_goes_well():
    engine = await Recorder().run("order-1")
    assert engine.names == [*STEPS, "goodbye", "end_job"]
    assert engine.output == {"status": "Completed"}
    assert engine.end == {"state": "Completed", "run": RUN, "result": {"errors": {}}}


async def test_only_the_first_call_begins_the_job():
    engine = await Recorder().run("order-1")
    assert [name for name, arguments in engine.calls if arguments.get("begin")] == ["first"]


@pytest.mark.parametrize("broken", range(3))
async def test_a_failed_step_undoes_itself_and_all_before_newest_first(broken):
    engine = await Recorder({STEPS[broken]: error()}).run("order-1")
    undone = [f"undo_{step}" for step in reversed(STEPS[: broken + 1])]
    assert engine.names == [*STEPS[: broken + 1], *undone, "end_job"]
    assert engine.end["state"] == "Failed"
    assert engine.end["error"] == {"type": "Broken", "message": "it broke", "retryable": False}
    assert engine.output == {"status": "Failed"}


async def test_an_undo_gets_the_input_of_its_step():
    engine = await Recorder({"third": error()}).run("order-1")
    undo = dict(engine.calls)["undo_second"]
    assert (undo["input"], undo["step"]) == ({"of": "second"}, "undo_second")


async def test_an_undo_is_tried_again():
    engine = await Recorder({"third": error(), "undo_second": error(retryable=True)}).run("order-1")
    assert engine.names.count("undo_second") == 20
    assert sum(engine.pauses) > 1800, "an outage of half an hour is outlasted"
    assert engine.names[-2:] == ["undo_first", "end_job"]


async def test_what_cannot_be_undone_is_named_and_the_rest_is_undone():
    engine = await Recorder({"third": error(), "undo_second": error("Stuck")}).run("order-1")
    assert engine.names == [*STEPS, "undo_third", "undo_second", "undo_first", "end_job"]
    assert engine.end["state"] == "Failed"
    assert engine.end["error"]["openCompensations"] == ["undo_second"]
    assert engine.error.startswith("not undone: undo_second")


@pytest.mark.parametrize("during", ["first", "second"])
async def test_a_cancel_waits_for_the_running_step_and_undoes_it(during):
    engine = Recorder()
    engine.events = {during: "cancel"}
    await engine.run("order-1")
    done = STEPS[: STEPS.index(during) + 1]
    assert engine.names == [*done, *(f"undo_{step}" for step in reversed(done)), "end_job"]
    assert (engine.output, engine.end["state"]) == ({"status": "Cancelled"}, "Cancelled")


async def test_a_cancel_during_a_pause_ends_the_pause():
    engine = Recorder({"second": error(retryable=True)})
    engine.events = {"timer": "cancel"}
    await engine.run("order-1")
    assert engine.names == ["first", "second", "undo_second", "undo_first", "end_job"]
    assert engine.end["state"] == "Cancelled"


async def test_a_cancel_in_the_final_step_comes_too_late():
    engine = Recorder()
    engine.events = {"third": "cancel"}
    await engine.run("order-1")
    assert engine.output == {"status": "Completed"}


async def test_two_cancels_are_one():
    engine = Recorder()
    engine.events = {"first": "cancel", "undo_first": "cancel"}
    await engine.run("order-1")
    assert engine.names == ["first", "undo_first", "end_job"]


async def test_a_cancelled_job_that_cannot_be_undone_has_failed():
    engine = Recorder({"undo_first": error("Stuck")})
    engine.events = {"second": "cancel"}
    await engine.run("order-1")
    assert engine.end["state"] == "Failed"
    assert engine.end["error"]["openCompensations"] == ["undo_first"]


async def test_past_its_deadline_a_job_is_undone():
    engine = await Recorder(deadline=0.005).run("order-1")
    assert engine.names == ["first", "undo_first", "end_job"]
    assert engine.end["error"]["type"] == "DeadlineExceeded"


async def test_a_second_start_of_an_ended_job_does_and_undoes_nothing():
    engine = await Recorder({"first": error("JobFinished")}).run("order-1")
    assert engine.names == ["first"]


async def test_what_may_fail_is_noted_and_undoes_nothing():
    engine = await Recorder({"goodbye": error("Mute")}).run("order-1")
    assert engine.end["state"] == "Completed"
    assert engine.end["result"] == {"errors": {"goodbye": {"type": "Mute", "message": "it broke"}}}


async def test_progress_only_grows_and_says_when_it_is_too_late_to_cancel():
    engine = await Recorder().run("order-1")
    assert [status["percent"] for status in engine.statuses] == sorted(s["percent"] for s in engine.statuses)
    assert {status["step"]: status["cancellable"] for status in engine.statuses} == {
        "first": True,
        "second": True,
        "third": False,
        "goodbye": False,
    }


@pytest.mark.parametrize(("events", "welcome"), [({"first": "cancel"}, True), ({}, False)])
async def test_to_ask_for_a_cancel_that_is_under_way_is_not_too_late(events, welcome):
    engine = Recorder({} if events else {"second": error()})
    engine.events = events
    await engine.run("order-1")
    undoing = [status["cancellable"] for status in engine.statuses if status["step"].startswith("undo_")]
    assert set(undoing) == {welcome}


async def test_a_job_does_not_wait_for_a_try_that_would_come_after_its_deadline():
    """A gateway that asks for an hour's patience must not keep the stock reserved for many."""
    engine = await Recorder({"second": error(retryable=True) | {"retryAfter": 3600}}, deadline=1800).run("order-1")
    assert engine.names == ["first", "second", "undo_second", "undo_first", "end_job"]
    assert engine.end["error"]["type"] == "DeadlineExceeded"
