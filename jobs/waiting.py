"""Waiting in an orchestrator: for a moment, or for an event that may come before it.

Each timer is short, so that one which lost the race can be cancelled: the SDK cuts a timer of more than six days into
legs of its own, never says that a leg is cancelled, and the instance stays Running until that leg has fired
(durable.md §2.2).
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

from azure.durable_functions import DurableOrchestrationContext
from azure.durable_functions.models.Task import TaskBase

from jobs.errors import JobCancelledError

Steps = Generator[TaskBase, Any, Any]
LEG = timedelta(days=5)


def sleep_until(context: DurableOrchestrationContext, moment: datetime, *wakes: TaskBase) -> Steps:
    """Sleep until the moment, or until one of the waits for an event has its event: use with `yield from`.

    Returns that wait, or None when the moment has come. Of several that are over the first named counts.
    """
    while True:
        woken = next((wake for wake in wakes if wake.is_completed), None)
        if woken is not None or context.current_utc_datetime >= moment:
            return woken
        timer = context.create_timer(min(moment, context.current_utc_datetime + LEG))
        if not wakes:
            yield timer
        elif (yield context.task_any([timer, *wakes])) is not timer:
            timer.cancel()


def event_or_timeout(
    context: DurableOrchestrationContext, event: TaskBase, until: datetime, cancel: TaskBase | None = None
) -> Steps:
    """Wait for an event until a moment: use with `yield from`. Returns whether it came.

    An event is a call to look, never the news itself: it may come early, twice, or from an operator. What it tells of
    is read by an activity. Wait for a name once only: the SDK hands an early event to every wait that is opened later.
    Raises JobCancelledError.
    """
    woken = yield from sleep_until(context, until, *([event] if cancel is None else [cancel, event]))
    if woken is not None and woken is cancel:
        raise JobCancelledError("the job was cancelled while it waited")
    return woken is event
