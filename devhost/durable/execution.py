"""One execution of an orchestration as its host keeps it in mind between two episodes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from devhost.durable.determinism import DECISIONS
from devhost.durable.events import quote
from devhost.durable.hub import EventType, Message
from devhost.durable.options import LONG_TIMER_INTERVAL, SHORT_TIMER_MAXIMUM
from devhost.durable.replay import Replay
from devhost.timespan import format_timespan

_ANSWERS = {
    EventType.TASK_COMPLETED: "TaskScheduledId",
    EventType.TASK_FAILED: "TaskScheduledId",
    EventType.SUB_ORCHESTRATION_COMPLETED: "TaskScheduledId",
    EventType.SUB_ORCHESTRATION_FAILED: "TaskScheduledId",
    EventType.TIMER_FIRED: "TimerId",
    EventType.EVENT_RAISED: "Name",
}
ANSWERS = frozenset(_ANSWERS) - {EventType.EVENT_RAISED}
"""Events that answer a task by its id."""

_PAYLOAD_END = (
    ',"upperSchemaVersion":1,"upperSchemaVersionNew":2'
    f',"longRunningTimerIntervalDuration":"{LONG_TIMER_INTERVAL.days}.00:00:00"'
    f',"maximumShortTimerDuration":"{SHORT_TIMER_MAXIMUM.days}.00:00:00"'
    ',"defaultHttpAsyncRequestSleepTimeMillseconds":30000}'
)
assert format_timespan(LONG_TIMER_INTERVAL) == "3.00:00:00"


@dataclass(frozen=True, slots=True)
class Parent:
    """Who waits for a sub-orchestration."""

    instance_id: str
    execution_id: str
    task_id: int


@dataclass(slots=True)
class Execution:
    """An execution and its history."""

    instance_id: str
    id: str
    name: str
    version: str
    input: str | None
    """ExecutionStarted.Input: JSON text."""
    parent: Parent | None
    parent_event: dict[str, Any] | None
    replay: Replay | None
    """None when the history comes from the hub and no replay of it has been made yet."""
    history: str = ""
    """The events as JSON texts, joined by commas."""
    event_count: int = 0
    parsed: list[dict[str, Any]] = field(default_factory=list)
    """The events, only as long as there is no replay."""
    replay_seconds: float = 0.0
    """How long the last replay took."""

    @classmethod
    def begin(cls, start: Message) -> Execution:
        """A new execution from its ExecutionStarted message."""
        return cls._from_started(json.loads(start.text), start.instance_id, Replay())

    @classmethod
    def load(cls, instance_id: str, history: list[str]) -> Execution | None:
        """An execution from its stored events; None when there are none."""
        parsed = json.loads(f"[{','.join(history)}]")
        started = next((event for event in parsed if event["EventType"] == EventType.EXECUTION_STARTED), None)
        if started is None:
            return None
        execution = cls._from_started(started, instance_id, None)
        execution.parsed = parsed
        execution.history, execution.event_count = ",".join(history), len(parsed)
        return execution

    @classmethod
    def _from_started(cls, started: dict[str, Any], instance_id: str, replay: Replay | None) -> Execution:
        parent = started.get("ParentInstance")
        return cls(
            instance_id=instance_id,
            id=started["OrchestrationInstance"]["ExecutionId"],
            name=started["Name"],
            version=started.get("Version") or "",
            input=started.get("Input"),
            parent=None
            if parent is None
            else Parent(
                parent["OrchestrationInstance"]["InstanceId"],
                parent["OrchestrationInstance"]["ExecutionId"],
                parent["TaskScheduleId"],
            ),
            parent_event=parent,
            replay=replay,
        )

    def append(self, events: list[str]) -> None:
        """Take events into the history."""
        text = ",".join(events)
        self.history = f"{self.history},{text}" if self.history else text
        self.event_count += len(events)

    def payload(self, new_events: list[str]) -> str:
        """What the orchestrator function is given (durable.md §1.1)."""
        history = ",".join([self.history, *new_events] if self.history else new_events)
        parent = "null" if self.parent is None else quote(self.parent.instance_id)
        return (
            f'{{"history":[{history}],"input":{self.input if self.input else "null"}'
            f',"instanceId":{quote(self.instance_id)},"isReplaying":{"true" if self.history else "false"}'
            f',"parentInstanceId":{parent}{_PAYLOAD_END}'
        )

    def expects(self, message: Message) -> bool | None:
        """Whether an answer's task is open; see Replay.expects."""
        if self.replay is not None:
            return self.replay.expects(message.type, message.key)
        decided = any(e["EventId"] == message.key for e in self.parsed if e["EventType"] in DECISIONS)
        answered = any(
            event.get(_ANSWERS[event["EventType"]]) == message.key
            for event in self.parsed
            if event["EventType"] in ANSWERS
        )
        return None if not decided else not answered

    def rebuild(self, actions: list[dict[str, Any]]) -> None:
        """Make the replay of the stored history, now that the orchestrator's actions are known.

        Raises NonDeterministicOrchestrationError.
        """
        replay = Replay()
        decisions: list[dict[str, Any]] = []
        confirmed = 0
        for event in self.parsed:
            kind = event["EventType"]
            if kind == EventType.ORCHESTRATOR_STARTED:
                replay.begin()
            elif kind in _ANSWERS or kind == EventType.EXECUTION_STARTED:
                text = json.dumps(event) if kind == EventType.EVENT_RAISED else ""
                replay.admit(EventType(kind), event.get(_ANSWERS.get(kind, "")), text)
            elif kind in DECISIONS:
                decisions.append(event)
            elif kind == EventType.ORCHESTRATOR_COMPLETED:
                count = event.get("ActionCount")
                last_id = max((decision["EventId"] for decision in decisions), default=-1)
                replay.extend(actions, count=count, up_to_id=last_id if count is None else None)
                for decision in decisions[confirmed:]:
                    replay.confirm(decision)
                    if decision["EventType"] == EventType.EVENT_SENT:
                        request = json.loads(decision["Input"])
                        if not request.get("signal"):
                            replay.called(request["id"], decision["EventId"])
                confirmed = len(decisions)
        self.replay, self.parsed = replay, []
