"""The host's side of a replay: which tasks the SDK's actions stand for, which ids they have, and what is to be done.

The SDK hands back everything the orchestrator has scheduled since its start (durable.md §2.1), without ids: both sides
count. The SDK gives an id to a task when it is yielded, to a retry's timer or further attempt when the event that
causes it is processed. A Replay follows the same events and gives the same ids. Which event made the orchestrator
yield a new action cannot be seen; it matters only where a retry takes an id beside an orchestrator whose wait is not
known. There an episode ends with that event, so that all of the orchestrator's new actions come before it.

An action in the list is scheduled as soon as it is there, with one exception (durable.md §2.4): what follows a task_all
that failed early is held until the rest of that task_all has ended, and so is the orchestrator's end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from devhost.durable.determinism import NonDeterministicOrchestrationError, check_decision, compare
from devhost.durable.hub import EventType
from devhost.durable.tasks import FIRE_AND_FORGET, ActionType, Group, Node, Retry, Task, action_type
from devhost.durable.waits import Waits

_FAILED = frozenset({EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED})
_RETRIES = frozenset({ActionType.CALL_ACTIVITY_WITH_RETRY, ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY})
_WORK = frozenset({ActionType.CALL_ACTIVITY, ActionType.CALL_HTTP, ActionType.CALL_SUB_ORCHESTRATOR})


class Replay:
    """One execution's tasks. Feed it episode by episode: begin, admit each event, extend."""

    def __init__(self) -> None:
        self.next_id = 0
        self.continued_with: str | None = None
        """The input of a continue-as-new, as the SDK's JSON text, once there was one."""
        self.continued = False
        self.has_ended = False
        """Whether the orchestrator has returned or raised: it will not schedule anything more."""
        self.tasks: dict[int, Task] = {}
        self._entries: list[Node | None] = []
        self._actions: list[dict[str, Any]] = []
        self._unscheduled: list[Task] = []
        self._gates: list[Group] = []
        self._open = 0
        self._open_in: dict[int, int] = {}
        self._waits = Waits()
        self._calls: dict[str, Task] = {}
        self.begin()

    def begin(self) -> None:
        """An episode starts: events follow."""
        self._index = -1
        self._at = 0
        """The event (by its place in the episode) at which things happen: the one admitted, then the one that the
        orchestrator has come to."""
        self._last_match = 0
        self._postponed: list[tuple[Retry, Task]] = []
        self._waits.begin()
        self._ended_at: dict[int, int] = {}
        self._waits_for_last = self._must_wait_for_last()

    @property
    def action_count(self) -> int:
        """How many actions the orchestrator has scheduled."""
        return len(self._entries)

    @property
    def is_blocked(self) -> bool:
        """Whether the host does not look at the orchestrator's end yet."""
        return any(not gate.settled for gate in self._gates)

    def has_open_tasks(self) -> bool:
        """Whether a task is open that holds back the instance's end."""
        return any(task.holds_completion for task in self.tasks.values())

    def expects(self, kind: EventType, key: int | str | None) -> bool | None:
        """Whether this answer's task is open. False: it has been answered or cancelled. None: never scheduled."""
        task = self.tasks.get(key) if isinstance(key, int) else None
        return None if task is None or task in self._unscheduled else not task.settled

    def is_call(self, name: str) -> bool:
        """Whether a raised event of this name is an entity's answer that is waited for."""
        return name in self._calls

    def open_work(self) -> int:
        """How many activities and sub-orchestrations are under way."""
        return sum(not task.settled and task.type in _WORK for task in self.tasks.values())

    # --- events -----------------------------------------------------------------------------------------------------

    def admit(self, kind: EventType, key: int | str | None, text: str = "") -> bool:
        """Apply one event. False: no further event may belong to this episode."""
        self._index += 1
        self._at = self._index
        if kind == EventType.EVENT_RAISED:
            self._raise(str(key), text)
            return True
        task = self.tasks.get(key) if isinstance(key, int) else None
        if task is None or task.done:
            return True
        self._last_match = self._index
        failed = kind in _FAILED
        retry = task.parent if isinstance(task.parent, Retry) else None
        if retry is None:
            self._close(task, failed)
            return True
        takes_id = retry.takes_id(task, failed)
        is_certain = self._wait_is_known() if takes_id else True
        self._close(task, failed)
        if not takes_id:
            retry.finish(failed=task.type == ActionType.CREATE_TIMER)
            self._note_end(task.entry)
        elif is_certain:
            self._schedule(retry.next(task))
        else:
            self._postponed.append((retry, task))
            return False
        return True

    def called(self, request_id: str, task_id: int) -> None:
        """An entity call's request has this id; the answer will be an event of that name."""
        self._calls[request_id] = self.tasks[task_id]

    def _raise(self, name: str, text: str) -> None:
        call = self._calls.get(name)
        if call is not None:
            if not call.done:
                self._last_match = self._index
                self._close(call, '"exceptionType' in (json.loads(text).get("Input") or ""))
            return
        wait = self._waits.raised(name, self._index)
        if wait is not None:
            self._last_match = self._index
            self._close(wait, False)

    def _close(self, task: Task, failed: bool) -> None:
        if task.id is not None and not task.settled:
            self._count(task, -1)
        task.close(failed)
        self._note_end(task.entry)

    def _note_end(self, entry: int) -> None:
        node = self._entries[entry]
        if node is not None and node.done:
            self._ended_at.setdefault(entry, self._at)
            if isinstance(node, Group) and node.failed and not node.settled and node not in self._gates:
                self._gates.append(node)

    def _count(self, task: Task, change: int) -> None:
        self._open += change
        self._open_in[task.entry] = self._open_in.get(task.entry, 0) + change

    def _wait_is_known(self) -> bool:
        """Whether the orchestrator can only be waiting for its last action, or for nothing any more."""
        if self.has_ended:
            return True
        last = self._entries[-1]
        return self._waits_for_last and last is not None and not last.done

    def _must_wait_for_last(self) -> bool:
        """Whether, as this episode begins, only the end of the last action can make the orchestrator go on.

        Not so when that action is done, when it can be a group with members that had been scheduled before and are
        still open (those are not listed again), or when an external event may end it.
        """
        last = self._entries[-1] if self._entries else None
        if last is None or last.done:
            return False
        if isinstance(last, Retry):
            return True
        nothing_else_open = self._open == self._open_in.get(len(self._entries) - 1, 0)
        if isinstance(last, Task):
            is_plain = last.type not in (ActionType.CREATE_TIMER, ActionType.WAIT_FOR_EXTERNAL_EVENT)
            return is_plain or (last.type == ActionType.CREATE_TIMER and nothing_else_open)
        if len(last.children) == 1 and isinstance(last.children[0], Retry) and last.type == ActionType.WHEN_ALL:
            return True
        return nothing_else_open and not last.has_wait

    # --- actions ----------------------------------------------------------------------------------------------------

    def extend(self, actions: list[dict[str, Any]], *, count: int | None = None, up_to_id: int | None = None) -> None:
        """The SDK's list after this episode. `count`: how many of them it held then, if that was in the past;
        `up_to_id`: the last id given out by then, when the count is not known.

        Raises NonDeterministicOrchestrationError when the list does not begin with what is known.
        """
        known = len(self._entries)
        self._at = 0
        if len(actions) < max(known, count or 0):
            raise NonDeterministicOrchestrationError(
                f"{max(known, count or 0)} actions had been scheduled, but the replay schedules {len(actions)}"
            )
        if known and actions[:known] != self._actions:
            for index in range(known):
                if actions[index] != self._actions[index]:
                    compare(self._entries[index], self._actions[index], actions[index], self._cancel)
        if up_to_id is not None:
            for action in actions[known:]:
                if self.next_id > up_to_id:
                    break
                self._add(action)
        else:
            for action in actions[known:count]:
                self._add(action)
        self._actions = actions[: len(self._entries)]
        for retry, ended in self._postponed:
            self._schedule(retry.next(ended))
        self._postponed = []
        self._waits.end()

    def unclaimed_after_end(self) -> Iterable[int]:
        """External events (by place in the episode) that came after the last action was reached; nobody took them."""
        return self._waits.unclaimed_after(self._at)

    def decisions(self) -> list[Task]:
        """Tasks to be scheduled now, in the order of their ids."""
        limit = min((gate.entry for gate in self._gates if not gate.settled), default=len(self._entries))
        return [task for task in self._unscheduled if task.entry <= limit]

    def scheduled(self, tasks: Iterable[Task]) -> None:
        """These decisions stand in the history."""
        ids = {task.id for task in tasks}
        self._unscheduled = [task for task in self._unscheduled if task.id not in ids]

    def confirm(self, event: dict[str, Any]) -> None:
        """A decision event from the history: the replay must have made it too.

        Raises NonDeterministicOrchestrationError when it has not.
        """
        task = self.tasks.get(event["EventId"])
        check_decision(event, task)
        self.scheduled([task])

    def _add(self, action: dict[str, Any]) -> None:
        entry = len(self._entries)
        self._at = max(self._at, self._reached(entry - 1))
        self._entries.append(None)
        kind = action_type(action)
        if kind == ActionType.CONTINUE_AS_NEW:
            self.continued, self.continued_with = True, action.get("input")
            return
        node = self._entries[entry] = self._unopened(kind, action, None, entry)
        self._open_node(node)
        self._note_end(entry)

    def _reached(self, previous: int) -> int:
        """The event at which the orchestrator got beyond action `previous`, as far as that can be told."""
        if previous < 0 or self._entries[previous] is None:
            return 0
        return self._ended_at.get(previous, self._last_match)

    def _unopened(self, kind: ActionType, action: dict[str, Any], parent: Group | None, entry: int) -> Node:
        if kind in (ActionType.WHEN_ALL, ActionType.WHEN_ANY):
            group = Group(kind, parent, entry)
            for child in action["compoundActions"]:
                group.add(self._unopened(action_type(child), child, group, entry))
            return group
        if kind in _RETRIES:
            return Retry(kind, action, parent, entry)
        return Task(kind, action, parent, entry)

    def _open_node(self, node: Node) -> None:
        if isinstance(node, Retry):
            self._schedule(node.next(None))
        elif isinstance(node, Group):
            for child in list(node.children):
                self._open_node(child)
            node.close_if_empty()
        elif node.type == ActionType.WAIT_FOR_EXTERNAL_EVENT:
            ended_at = self._waits.opened(node, self._at)
            if ended_at is not None:
                self._at = max(self._at, ended_at)
                node.close()
        else:
            self._schedule(node)
            if node.action.get("isCanceled"):
                self._cancel(node)

    def _schedule(self, task: Task) -> None:
        task.id = self.next_id
        self.next_id += 1
        self.tasks[task.id] = task
        self._unscheduled.append(task)
        if task.type in FIRE_AND_FORGET:
            task.close()
        else:
            self._count(task, 1)

    def _cancel(self, task: Task) -> None:
        if not task.cancelled and not task.settled:
            self._count(task, -1)
            task.cancel()
