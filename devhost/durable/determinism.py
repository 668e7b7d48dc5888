"""Finds out that an orchestrator does not do again what it did: the SDK alone would not notice (durable.md §1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devhost.durable.hub import EventType
from devhost.durable.tasks import FIRE_AND_FORGET, ActionType, Node, Task, action_type

DECISIONS: dict[EventType, frozenset[ActionType]] = {
    EventType.TASK_SCHEDULED: frozenset({ActionType.CALL_ACTIVITY, ActionType.CALL_HTTP}),
    EventType.SUB_ORCHESTRATION_CREATED: frozenset({ActionType.CALL_SUB_ORCHESTRATOR}),
    EventType.TIMER_CREATED: frozenset({ActionType.CREATE_TIMER}),
    EventType.EVENT_SENT: frozenset({ActionType.CALL_ENTITY} | FIRE_AND_FORGET),
}
"""Events that record a decision, and the tasks that they can be of."""


class NonDeterministicOrchestrationError(Exception):
    """The orchestrator does not do again what its history says it did."""

    def __init__(self, what: str, event: dict[str, Any] | None = None, task: Task | None = None) -> None:
        """`event`: the decision in the history that is not made again, if it is known which; `task`: what the replay
        gave the same id."""
        self.event = event
        self.task = task
        super().__init__(
            f"Non-Deterministic workflow detected: {what}. The orchestrator's code has changed while this instance was "
            "running, or it does not do the same on every replay."
        )


def check_decision(event: dict[str, Any], task: Task | None) -> None:
    """Compare a decision event of the history with the task that the replay gave the same id.

    Raises NonDeterministicOrchestrationError when it is another kind of task, has another name, or is missing.
    """
    kind = EventType(event["EventType"])
    what = f"{kind.name.title().replace('_', '')} '{event.get('Name') or ''}' with sequence number {event['EventId']}"
    if task is None or task.type not in DECISIONS[kind]:
        what = f"{what} is in the history, but the replay does not schedule it"
        raise NonDeterministicOrchestrationError(what, event, task)
    name = task.action.get("functionName")
    if name is not None and name.lower() != str(event.get("Name")).lower():
        what = f"{what} is in the history, but the replay schedules '{name}'"
        raise NonDeterministicOrchestrationError(what, event, task)


def compare(node: Node | None, old: dict[str, Any], new: dict[str, Any], cancelled: Callable[[Task], None]) -> None:
    """Compare an action with what it was in the last replay; a timer may have been cancelled since.

    Raises NonDeterministicOrchestrationError when it is another kind of action, or has another name.
    """
    kind = action_type(new)
    if kind != action_type(old) or old.get("functionName", "").lower() != new.get("functionName", "").lower():
        raise NonDeterministicOrchestrationError(
            f"the replay schedules {kind.name} '{new.get('functionName') or ''}' where {action_type(old).name} "
            f"'{old.get('functionName') or ''}' had been scheduled"
        )
    if kind in (ActionType.WHEN_ALL, ActionType.WHEN_ANY):
        before, now = old["compoundActions"], new["compoundActions"]
        if len(before) != len(now):
            raise NonDeterministicOrchestrationError(
                f"the replay waits for {len(now)} tasks where it had waited for {len(before)}"
            )
        for child, old_child, new_child in zip(node.children, before, now, strict=True):
            if old_child != new_child:
                compare(child, old_child, new_child, cancelled)
    elif kind == ActionType.CREATE_TIMER and new.get("isCanceled"):
        cancelled(node)
