"""The steps of a job, as its status shows them on demand: made of Durable's history, without inputs and results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.durable_functions import DurableOrchestrationClient, OrchestrationRuntimeStatus

from jobs.entry import CANCELLED, COMPLETED, FAILED, PENDING, RUNNING, WAITING, Entry, written

MOST = 200
"""So many steps are shown, the newest."""
CALLS = {
    "TaskScheduled": RUNNING,
    "TaskCompleted": COMPLETED,
    "TaskFailed": FAILED,
    "SubOrchestrationInstanceCreated": RUNNING,
    "SubOrchestrationInstanceCompleted": COMPLETED,
    "SubOrchestrationInstanceFailed": FAILED,
}
"""Events of a history in which each call is folded into its end (durable.md §5), and what has become of the call."""
CRASHED = {"type": "Unexpected", "message": "it failed unexpectedly: see the host's log", "retryable": True}
ABANDONED = {"type": "Abandoned", "message": "the job was ended meanwhile: nobody knows what came of it"}
STOPPED = (OrchestrationRuntimeStatus.Terminated, OrchestrationRuntimeStatus.Failed)
Step = dict[str, Any]


@dataclass
class _Step:
    name: str
    status: str
    started_at: str
    completed_at: str | None
    error: dict[str, Any] | None
    is_undo: bool
    attempts: int = 1

    def to_dict(self) -> Step:
        shown: Step = {
            "step": self.name,
            "status": self.status,
            "startedAt": self.started_at,
            "completedAt": self.completed_at,
            "attempts": self.attempts,
        }
        if self.is_undo:
            shown["undo"] = True
        if self.error:
            shown["error"] = {"type": self.error["type"], "message": self.error["message"]}
        return shown


async def read(
    entry: Entry, status: dict[str, Any], durable: DurableOrchestrationClient | None
) -> tuple[list[Step], int]:
    """The steps of the job's present run in the order of their beginning, and how many older ones are left out.

    `status`: what is known of it else. Without `durable` it is a single activity. Of an orchestration that goes on in
    new executions, the steps of the present one; of one that was purged, none.
    """
    if durable is None:
        return _single(entry), 0
    live = await durable.get_status(entry.job.instance_id, show_history=True, show_history_output=True)
    # The SDK hangs it on by the name that it has in the answer (durable.md §5).
    steps = fold(getattr(live, "historyEvents", None) or [], status)
    if live and live.runtime_status in STOPPED:
        for step in steps:
            if step.status == RUNNING:
                step.status, step.error = FAILED, ABANDONED
    return [step.to_dict() for step in steps[-MOST:]], max(0, len(steps) - MOST)


def fold(history: list[dict[str, Any]], status: dict[str, Any]) -> list[_Step]:
    """The steps of a history: a call that repeats one which failed is the same step.

    The name alone does not tell: a fan-out makes many calls of one name. A repetition comes after a pause, and others
    come at once (see `jobs.retry`).
    """
    pauses = [_moment(event["Timestamp"]) for event in history if event["EventType"] == "TimerFired"]
    calls = [_step_of(event) for event in history if event["EventType"] in CALLS]
    steps: list[_Step] = []
    failed: dict[str, list[_Step]] = {}
    for call in sorted(calls, key=lambda call: call.started_at):
        candidates = failed.setdefault(call.name, [])
        step = next((each for each in candidates if _is_after_a_pause(call, each, pauses)), None)
        if step is None:
            step = call
            steps.append(step)
        else:
            candidates.remove(step)
            step.attempts += 1
            step.status, step.completed_at, step.error = call.status, call.completed_at, call.error
            step.is_undo |= call.is_undo
        if _may_be_tried_again(step):
            candidates.append(step)
    if status["status"] in (RUNNING, WAITING):
        _show_waits(steps, status, history)
    return steps


def _is_after_a_pause(call: _Step, failed: _Step, pauses: list[str]) -> bool:
    return any((failed.completed_at or "") < pause <= call.started_at for pause in pauses)


def _may_be_tried_again(step: _Step) -> bool:
    return step.status == FAILED and bool(step.error and step.error.get("retryable"))


def _show_waits(steps: list[_Step], status: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """Of a job that is under way: what waits to be tried again, or for something outside the app."""
    for step in reversed(steps):
        if step.name != steps[-1].name:
            break
        if _may_be_tried_again(step):
            step.status, step.completed_at = WAITING, None
    waits_for = status.get("waitingFor")
    if not waits_for:
        return
    if steps and steps[-1].status == RUNNING:
        steps[-1].status = WAITING
    elif not steps or steps[-1].status != WAITING:
        since = _moment(history[-1]["Timestamp"]) if history else status["startedAt"]
        steps.append(_Step(waits_for, WAITING, since, None, None, False))


def _step_of(call: dict[str, Any]) -> _Step:
    status = CALLS[call["EventType"]]
    began = _moment(call.get("ScheduledTime") or call["Timestamp"])
    ended = None if status == RUNNING else _moment(call["Timestamp"])
    outcome = _outcome(call.get("Result"))
    error = CRASHED if status == FAILED else outcome.get("error")
    if error:
        status = FAILED
    return _Step(call.get("FunctionName") or call["Name"], status, began, ended, error, outcome.get("undo") is True)


def _outcome(result: Any) -> dict[str, Any]:
    """What an activity or a part returned, if it is an object: it may be JSON in text once more."""
    if isinstance(result, str):
        try:
            result = json.loads(result)
        except ValueError:
            return {}
    if not isinstance(result, dict) or not isinstance(result.get("error"), dict | None):
        return {}
    return result


def _single(entry: Entry) -> list[Step]:
    if entry.started_at is None:
        return []
    # What was cancelled has not begun, and what has been opened again is to begin.
    if entry.state in (PENDING, CANCELLED):
        return []
    return [
        _Step(
            entry.job.kind, entry.state, entry.started_at, entry.completed_at, entry.error, False, entry.attempt
        ).to_dict()
    ]


def _moment(timestamp: str) -> str:
    return written(datetime.fromisoformat(timestamp))
