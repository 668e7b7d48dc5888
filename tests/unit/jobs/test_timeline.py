"""A job's steps, made of histories as Durable shows them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from jobs import ledger, status, timeline
from tests.unit.jobs.test_ledger import job

RUNNING = {"status": "Running", "startedAt": "2026-01-01T00:00:00.000000Z"}
OVER = {"status": "Failed"}
TIRED = {"error": {"type": "Busy", "message": "not now", "retryable": True, "retryAfter": None}}


def at(seconds: float) -> str:
    return f"2026-01-01T00:00:{seconds:04.1f}00000Z"


def call(name: str, began: float, ended: float, result: object = None, kind: str = "TaskCompleted") -> dict:
    event = {"EventType": kind, "Timestamp": at(ended), "ScheduledTime": at(began), "FunctionName": name}
    return event | {"Result": {"ok": None} if result is None else result}


def under_way(name: str, began: float, kind: str = "TaskScheduled") -> dict:
    return {"EventType": kind, "Timestamp": at(began), "FunctionName": name}


def pause(over: float) -> dict:
    return {"EventType": "TimerFired", "Timestamp": at(over), "FireAt": at(over)}


def brief(history: list[dict], shown: dict = OVER) -> list[tuple]:
    return [(each.name, each.status, each.attempts) for each in timeline.fold(history, shown)]


def test_what_is_tried_again_after_a_pause_is_one_step():
    history = [call("pay", 1, 2, TIRED), pause(3), call("pay", 3, 4, TIRED), pause(6), call("pay", 6, 7)]
    (step,) = timeline.fold(history, OVER)
    assert (step.status, step.attempts, step.error) == ("Completed", 3, None)
    assert (step.started_at, step.completed_at) == ("2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:07.000000Z")


def test_what_crashed_says_nothing_of_how():
    crashed = call("pay", 1, 2, kind="TaskFailed") | {"Reason": "secret", "Details": "secret"}
    (step,) = timeline.fold([crashed], OVER)
    assert step.to_dict()["error"]["type"] == "Unexpected" and "secret" not in str(step.to_dict())
    assert brief([crashed, pause(4), call("pay", 4, 5)]) == [("pay", "Completed", 2)]


def test_of_a_fan_out_by_windows_only_what_failed_is_tried_again():
    history = [call("make", 1, 2, TIRED), call("make", 1, 3), call("make", 3, 4, TIRED), call("make", 3, 4)]
    history += [pause(9), call("make", 9, 10), call("make", 9, 10, TIRED)]
    assert brief(history) == [
        ("make", "Completed", 2),
        ("make", "Completed", 1),
        ("make", "Failed", 2),
        ("make", "Completed", 1),
    ]


def test_what_failed_for_good_is_not_tried_again_and_not_waited_for():
    final = {"error": {**TIRED["error"], "retryable": False}}
    history = [call("pay", 1, 2, final), pause(3), call("pay", 3, 4)]
    assert brief(history) == [("pay", "Failed", 1), ("pay", "Completed", 1)]
    assert brief(history[:1], RUNNING) == [("pay", "Failed", 1)]


def test_what_goes_on_and_what_waits():
    assert brief([call("read", 1, 2), under_way("pay", 2)], RUNNING)[1:] == [("pay", "Running", 1)]
    (step,) = timeline.fold([call("pay", 1, 2, TIRED)], RUNNING)
    assert (step.status, step.completed_at, step.error["type"]) == ("Waiting", None, "Busy")
    asked = [call("read", 1, 2), under_way("decision", 2, "SubOrchestrationInstanceCreated")]
    waiting = {**RUNNING, "status": "Waiting", "waitingFor": "approval"}
    assert brief(asked, waiting)[1:] == [("decision", "Waiting", 1)]
    watched = [call("look", 1, 2), {"EventType": "TimerCreated", "Timestamp": at(2), "FireAt": at(9)}]
    assert brief(watched, {**waiting, "waitingFor": "carrier"})[1:] == [("carrier", "Waiting", 1)]
    assert brief([], {**waiting, "waitingFor": "carrier"}) == [("carrier", "Waiting", 1)]


def test_undos_are_marked_and_results_that_nobody_knows_are_not_read():
    history = [call("pay", 1, 2, '{"error": null, "ok": 1}'), call("refund", 3, 4, {"ok": None, "undo": True})]
    history += [call("odd", 5, 6, "no JSON"), call("odder", 6, 7, {"error": "text"}), call("oddest", 7, 8, [1])]
    found = [step.to_dict() for step in timeline.fold(history, OVER)]
    assert [(each["step"], each.get("undo")) for each in found][:2] == [("pay", None), ("refund", True)]
    assert {each["status"] for each in found} == {"Completed"}


@pytest.mark.anyio
async def test_of_many_steps_the_newest_are_shown(storage, durable, monkeypatch):
    monkeypatch.setattr(timeline, "MOST", 3)
    submitted, _ = await ledger.submit(job("order", uuid4().hex), "digest")
    await ledger.begin(submitted.job, runner="one")
    history = [call(f"step{number}", number, number + 1) for number in range(5)]
    durable.statuses[submitted.job.instance_id] = {"runtimeStatus": "Running", "historyEvents": history}
    shown = await status.read("order", submitted.job.id, durable, steps=True)
    assert [step["step"] for step in shown["steps"]] == ["step2", "step3", "step4"]
    assert shown["stepsLeftOut"] == 2
    stopped = {"runtimeStatus": "Terminated", "historyEvents": [*history, under_way("pay", 6)]}
    durable.statuses[submitted.job.instance_id] = stopped
    last = (await status.read("order", submitted.job.id, durable, steps=True))["steps"][-1]
    assert (last["step"], last["status"], last["error"]["type"]) == ("pay", "Failed", "Abandoned")


@pytest.mark.anyio
async def test_a_single_activity_has_a_step_when_it_has_begun(storage, durable):
    submitted, _ = await ledger.submit(job("mail", uuid4().hex), "digest")
    assert (await status.read("mail", submitted.job.id, durable, steps=True))["steps"] == []
    run = await ledger.begin(submitted.job, runner="one", attempt=2)
    (step,) = (await status.read("mail", submitted.job.id, durable, steps=True))["steps"]
    assert (step["step"], step["status"], step["attempts"]) == ("mail", "Running", 2)
    error = {"type": "Broken", "message": "it broke", "retryable": False}
    await ledger.end(submitted.job, run, "Failed", error=error)
    (step,) = (await status.read("mail", submitted.job.id, durable, steps=True))["steps"]
    assert (step["status"], step["error"]) == ("Failed", {"type": "Broken", "message": "it broke"})
