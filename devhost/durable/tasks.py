"""What an orchestrator waits for, as a tree: single tasks, and groups of them (all, any, one with retries).

A group has two ends. It is *done* when the SDK resumes the orchestrator; it is *settled* when the real host would go
on. They differ for a task_all with a failure in it: the SDK goes on at once, the host waits for the other children
(durable.md §2.4).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class ActionType(IntEnum):
    """Actions as the SDK numbers them (durable.md §2.2)."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    SCHEDULED_SIGNAL_ENTITY = 10
    WHEN_ANY = 11
    WHEN_ALL = 12


FIRE_AND_FORGET = frozenset({ActionType.SIGNAL_ENTITY, ActionType.SCHEDULED_SIGNAL_ENTITY})
"""Actions that nobody waits for."""

_BY_NAME = {member.name.replace("_", "").lower(): member for member in ActionType}


def action_type(action: dict[str, Any]) -> ActionType:
    """An action's type, given as a number or by name. Raises ValueError for an unknown one."""
    value = action["actionType"]
    if isinstance(value, str):
        known = _BY_NAME.get(value.lower())
        if known is None:
            raise ValueError(f"'{value}' is not an action type")
        return known
    return ActionType(value)


class Task:
    """A single task: an activity, a timer, a sub-orchestration, an entity call, a wait."""

    __slots__ = ("id", "type", "action", "parent", "entry", "done", "failed", "settled", "cancelled", "retry_of")

    def __init__(self, type: ActionType, action: dict[str, Any], parent: Group | None, entry: int) -> None:
        self.id: int | None = None
        """None for waits, which take none."""
        self.type = type
        self.action = action
        self.parent = parent
        self.entry = entry
        """Index of the top-level action that this task is part of."""
        self.done = False
        self.failed = False
        self.settled = False
        self.cancelled = False
        self.retry_of: int | None = None
        """For a retry's timer the attempt it follows, for a further attempt the timer."""

    @property
    def holds_completion(self) -> bool:
        """Whether the instance may not end before this task does (durable.md §2.4: waits and entity calls do not)."""
        return not self.settled and self.type not in (ActionType.WAIT_FOR_EXTERNAL_EVENT, ActionType.CALL_ENTITY)

    def close(self, failed: bool = False) -> None:
        """It ended."""
        self.done, self.failed = True, failed
        if self.parent is not None:
            self.parent.child_done(failed)
        self.settle()

    def settle(self) -> None:
        """It counts as ended for the host."""
        if not self.settled:
            self.settled = True
            if self.parent is not None:
                self.parent.child_settled()

    def cancel(self) -> None:
        """A timer that nobody waits for any more."""
        if not self.cancelled:
            self.cancelled = True
            self.settle()


class Group:
    """A task_all or a task_any, or an action that became nothing but a group of them."""

    __slots__ = (
        "type", "parent", "children", "entry", "done", "failed", "settled", "has_wait", "_undone", "_unsettled",
    )  # fmt: skip

    def __init__(self, type: ActionType, parent: Group | None, entry: int) -> None:
        self.type = type
        self.parent = parent
        self.entry = entry
        self.children: list[Node] = []
        self.done = False
        self.failed = False
        self.settled = False
        self.has_wait = False
        self._undone = 0
        self._unsettled = 0

    def add(self, child: Node) -> None:
        """Another child, still open."""
        self.children.append(child)
        self._undone += 1
        self._unsettled += 1
        self.has_wait = (
            self.has_wait
            or child.type == ActionType.WAIT_FOR_EXTERNAL_EVENT
            or (isinstance(child, Group) and child.has_wait)
        )

    def close_if_empty(self) -> None:
        """A group without children is done as soon as it is there."""
        if not self.children:
            self._finish(False)
            self._settle()

    def child_done(self, failed: bool) -> None:
        """One child ended, in the SDK's eyes."""
        self._undone -= 1
        if self.type == ActionType.WHEN_ANY:
            self._finish(False)
        elif failed:
            self._finish(True)
        elif self._undone == 0:
            self._finish(False)

    def child_settled(self) -> None:
        """One child ended, in the host's eyes."""
        self._unsettled -= 1
        if self.type == ActionType.WHEN_ANY or self._unsettled == 0:
            self._settle()

    def _finish(self, failed: bool) -> None:
        if not self.done:
            self.done, self.failed = True, failed
            if self.parent is not None:
                self.parent.child_done(failed)

    def _settle(self) -> None:
        if not self.settled:
            self.settled = True
            if self.parent is not None:
                self.parent.child_settled()


class Retry(Group):
    """One activity or sub-orchestration with retries: attempt, timer, attempt, timer … (durable.md §2.5).

    After the last failed attempt comes one more timer, which fires at once; only then has the task failed.
    """

    __slots__ = ("action", "attempt_type", "attempts", "current")

    def __init__(self, type: ActionType, action: dict[str, Any], parent: Group | None, entry: int) -> None:
        super().__init__(type, parent, entry)
        self.action = action
        is_activity = type == ActionType.CALL_ACTIVITY_WITH_RETRY
        self.attempt_type = ActionType.CALL_ACTIVITY if is_activity else ActionType.CALL_SUB_ORCHESTRATOR
        self.attempts = 0
        self.current: Task | None = None
        """The open attempt or timer."""

    @property
    def is_exhausted(self) -> bool:
        """Whether the last attempt has been made."""
        return self.attempts >= self.action["retryOptions"]["maxNumberOfAttempts"]

    def takes_id(self, task: Task, failed: bool) -> bool:
        """Whether the end of `task` makes this retry schedule something more."""
        return failed if task.type == self.attempt_type else not self.is_exhausted

    def next(self, ended: Task | None) -> Task:
        """The task that follows `ended`: the first or a further attempt, or a timer."""
        if ended is None or ended.type == ActionType.CREATE_TIMER:
            self.attempts += 1
            following = Task(self.attempt_type, self.action, self, self.entry)
        else:
            following = Task(ActionType.CREATE_TIMER, {}, self, self.entry)
        following.retry_of = ended.id if ended is not None else None
        self.current = following
        return following

    def delay_seconds(self) -> float:
        """How long the timer after the attempt that just failed takes."""
        if self.is_exhausted:
            return 0.0
        options = self.action["retryOptions"]
        delay = options["firstRetryIntervalInMilliseconds"] * (
            (options.get("backoffCoefficient") or 1) ** (self.attempts - 1)
        )
        cap = options.get("maxRetryIntervalInMilliseconds")
        return (min(delay, cap) if cap else delay) / 1000

    def child_done(self, failed: bool) -> None:
        """Its tasks do not end it one by one: see finish()."""

    def child_settled(self) -> None:
        """As child_done."""

    def finish(self, failed: bool) -> None:
        """It succeeded, or ran out of attempts."""
        self._finish(failed)
        self._settle()


Node = Task | Group
