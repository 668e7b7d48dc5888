"""How an orchestrator calls an activity: again after transient errors, with growing pauses; once if the error is final.

Everything here is replayed, so nothing is random and the only clock is the context's: the jitter comes from a hash of
instance, step and attempt. The pause is a Durable timer, which survives a restart and may be long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from azure.durable_functions import DurableOrchestrationContext
from azure.durable_functions.models.Task import TaskBase
from azure.functions.decorators.function_app import FunctionBuilder as Activity

from jobs.errors import ActivityFailedError, DeadlineExceededError, JobCancelledError
from jobs.waiting import Steps, sleep_until

LONGEST_RETRY_AFTER = 3600.0


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how long to wait in between. Times are seconds.

    The n-th pause is `first * factor**(n-1)`, at most `cap`, of which jitter takes away up to half.
    """

    attempts: int = 6
    first: float = 1.0
    factor: float = 2.0
    cap: float = 60.0
    crashes: int = 3
    """Attempts for an activity that raises instead of returning an outcome: it is a bug, or a worker that was lost."""

    def pause(self, key: str, attempt: int, retry_after: float | None) -> timedelta:
        """How long to wait after this attempt: at least as long as the other side asked for, up to an hour of it."""
        full = min(self.cap, self.first * self.factor ** (attempt - 1))
        jittered = full * (1.0 - _fraction(f"{key}/{attempt}") / 2)
        return timedelta(seconds=max(jittered, min(retry_after or 0.0, LONGEST_RETRY_AFTER)))


def name_of(activity: Activity) -> str:
    """The name of an activity function; the decorated object has no public way to say it."""
    return activity._function.get_function_name()


def call(
    context: DurableOrchestrationContext,
    activity: Activity,
    arguments: dict[str, Any],
    policy: RetryPolicy,
    cancel: TaskBase | None = None,
    deadline: datetime | None = None,
) -> Steps:
    """Call an activity until it succeeds, and return its outcome (see `jobs.call`): use with `yield from`.

    `cancel`: a wait for the event that ends the pauses early. The running attempt is never cut short, since what it did
    would stay unknown. Racing the wait with each attempt is also what opens it: the SDK opens what is yielded only.

    `deadline`: the moment after which no further attempt may begin.

    Raises ActivityFailedError, with the type the activity named, after a permanent error or the last attempt;
    JobCancelledError when cancelled during a pause; DeadlineExceededError when the next attempt would come too late.
    """
    for attempt in range(1, policy.attempts + 1):
        task = context.call_activity(activity, {**arguments, "attempt": attempt})
        if cancel is not None:
            yield context.task_any([task, cancel])
        error, outcome = yield from _settle(task, activity, attempt, policy)
        if error is None:
            return outcome
        if not error["retryable"] or attempt == policy.attempts:
            break
        pause = policy.pause(_key(context, activity), attempt, error.get("retryAfter"))
        if deadline is not None and context.current_utc_datetime + pause > deadline:
            raise DeadlineExceededError(f"the job's time is over before {name_of(activity)} can be tried again")
        yield from _pause(context, pause, cancel)
    raise ActivityFailedError(error["type"], error["message"], retryable=error["retryable"])


def call_each(
    context: DurableOrchestrationContext,
    calls: Sequence[tuple[Activity, dict[str, Any]]],
    policy: RetryPolicy,
    *,
    window: int | None = None,
    cancel: TaskBase | None = None,
    deadline: datetime | None = None,
    tell: Callable[[int], None] | None = None,
) -> Steps:
    """Make several calls (activity, arguments), each until it succeeds: use with `yield from`.

    Returns their outcomes in order, `{"ok": …}` or `{"error": …}`: a failure does not keep the others from finishing.

    `window`: how many run at once, all by default. The next begin when all of these have ended, so that a replay of the
    orchestrator is due once a window and not once a call. `tell` is given the number of calls that are done.

    `cancel`, `deadline`: as in `call`. Raises JobCancelledError and DeadlineExceededError, both between two windows.
    """
    outcomes: dict[int, dict[str, Any]] = {}
    undone = list(range(len(calls)))
    for attempt in range(1, policy.attempts + 1):
        pauses: dict[int, timedelta] = {}
        for some in _windows(undone, window):
            go_on(context, cancel, deadline)
            tasks = {}
            for number in some:
                activity, arguments = calls[number]
                tasks[number] = context.call_activity(activity, {**arguments, "attempt": attempt})
            yield from _wait_for_all(context, list(tasks.values()), cancel)
            for number, task in tasks.items():
                activity, _ = calls[number]
                error, outcomes[number] = yield from _settle(task, activity, attempt, policy)
                if error is not None and error["retryable"] and attempt < policy.attempts:
                    key = f"{_key(context, activity)}/{number}"
                    pauses[number] = policy.pause(key, attempt, error.get("retryAfter"))
            if tell:
                tell(len(outcomes) - len(pauses))
        undone = list(pauses)
        if not undone:
            break
        yield from _pause(context, max(pauses.values()), cancel)
    return [outcomes[number] for number in range(len(calls))]


def _windows(numbers: list[int], size: int | None) -> list[list[int]]:
    size = size or max(1, len(numbers))
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def go_on(context: DurableOrchestrationContext, cancel: TaskBase | None, deadline: datetime | None) -> None:
    """Raise JobCancelledError or DeadlineExceededError if nothing more is to begin."""
    if cancel is not None and cancel.is_completed:
        raise JobCancelledError("the job was cancelled")
    if deadline is not None and context.current_utc_datetime > deadline:
        raise DeadlineExceededError("the job's time was over before all of its parts were done")


def _wait_for_all(context: DurableOrchestrationContext, tasks: list[TaskBase], cancel: TaskBase | None) -> Steps:
    """Wait until all have ended, well or badly; each says later how it fared."""
    everything = context.task_all(tasks)
    # One that raises ends the wait for all.
    with suppress(Exception):
        if cancel is not None and not cancel.is_completed:
            # It opens the wait for the cancel, as in `call`; what runs is never cut short.
            yield context.task_any([everything, cancel])
        yield everything


def _settle(task: TaskBase, activity: Activity, attempt: int, policy: RetryPolicy) -> Steps:
    """Wait for one attempt. Returns its error or None, and its outcome."""
    try:
        outcome = yield task
    except Exception:
        error = {
            "type": "Unexpected",
            "message": f"activity {name_of(activity)} failed unexpectedly, attempt {attempt}: see the host's log",
            "retryable": attempt < policy.crashes,
        }
        return error, {"error": error}
    return outcome.get("error"), outcome


def _pause(context: DurableOrchestrationContext, length: timedelta, cancel: TaskBase | None) -> Steps:
    wakes = [] if cancel is None else [cancel]
    if (yield from sleep_until(context, context.current_utc_datetime + length, *wakes)):
        raise JobCancelledError("the job was cancelled while it waited to try again")


def _key(context: DurableOrchestrationContext, activity: Activity) -> str:
    return f"{context.instance_id}/{name_of(activity)}"


def _fraction(text: str) -> float:
    """A number from 0 to 1 that looks random and is always the same for the same text."""
    return int.from_bytes(sha256(text.encode()).digest()[:8]) / 2**64
