"""How instances, histories and entities look to HTTP clients (durable.md §5)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from devhost.durable.entities import entity_state, split_entity_id
from devhost.durable.events import quote
from devhost.durable.hub import EventType, InstanceView, RuntimeStatus

_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.GENERIC: "GenericEvent",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
}
_HIDDEN = frozenset({EventType.ORCHESTRATOR_STARTED, EventType.ORCHESTRATOR_COMPLETED})
_SCHEDULING = frozenset({EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED})
_ENDS = frozenset(
    {EventType.TASK_COMPLETED, EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_COMPLETED,
     EventType.SUB_ORCHESTRATION_FAILED}
)  # fmt: skip
_DROPPED = frozenset(
    {"EventType", "EventId", "IsPlayed", "TaskScheduledId", "TimerId", "Version", "Tags", "OrchestrationInstance",
     "ParentInstance", "ActionCount", "RetryOf", "ParentTraceContext", "ClientSpanId", "Correlation", "Generation",
     "ScheduledStartTime"}
)  # fmt: skip


def status_text(view: InstanceView, *, show_input: bool, history: list[dict[str, Any]] | None = None) -> str:
    """An instance's status as JSON text. Input and output are JSON already, and go in as they are."""
    instance = view.instance
    input = view.input if show_input and view.input else "null"
    output = "null" if view.output is None else _json_or_string(view.output, instance.status)
    parts = (
        f'"name":{quote(instance.name)},"instanceId":{quote(instance.id)},"runtimeStatus":"{instance.status}"'
        f',"input":{input},"customStatus":{instance.custom_status or "null"},"output":{output}'
        f',"createdTime":"{_seconds(instance.created)}","lastUpdatedTime":"{_seconds(instance.updated)}"'
    )
    if history is None:
        return f"{{{parts}}}"
    return f'{{{parts},"historyEvents":{json.dumps(history)}}}'


def history_view(events: Iterable[dict[str, Any]], *, show_input: bool, show_output: bool) -> list[dict[str, Any]]:
    """A history with each call folded into its end, and without what only the engine reads."""
    scheduled: dict[int, dict[str, Any]] = {}
    shown: list[dict[str, Any]] = []
    ended: set[int] = set()
    items = list(events)
    ended = {event["TaskScheduledId"] for event in items if event["EventType"] in _ENDS}
    for event in items:
        kind = event["EventType"]
        if kind in _HIDDEN:
            continue
        if kind in _SCHEDULING:
            scheduled[event["EventId"]] = event
            if event["EventId"] in ended:
                continue
        shown.append(_event_view(event, scheduled, show_input, show_output))
    return shown


def _event_view(
    event: dict[str, Any], scheduled: dict[int, dict[str, Any]], show_input: bool, show_output: bool
) -> dict[str, Any]:
    kind = EventType(event["EventType"])
    view: dict[str, Any] = {"EventType": _NAMES[kind]}
    view |= {name: value for name, value in event.items() if name not in _DROPPED and value is not None}
    if kind in _ENDS and (call := scheduled.get(event["TaskScheduledId"])) is not None:
        view |= {"ScheduledTime": call["Timestamp"], "FunctionName": call["Name"]}
        if show_input and call.get("Input") is not None:
            view["Input"] = _parsed(call["Input"])
    if kind in (EventType.EXECUTION_STARTED, *_SCHEDULING):
        view["FunctionName"] = view.pop("Name")
    if "Result" in view:
        view["Result"] = _parsed(view["Result"])
        if not show_output:
            del view["Result"]
    if "Input" in view:
        view["Input"] = _parsed(view["Input"])
        if not show_input:
            del view["Input"]
    return view


def entity_view(view: InstanceView, *, with_state: bool) -> dict[str, Any] | None:
    """An entity in a list; None when it does not exist any more."""
    state = entity_state(view.input)
    if state is None:
        return None
    name, key = split_entity_id(view.instance.id)
    shown: dict[str, Any] = {
        "entityId": {"name": name, "key": key},
        "lastOperationTime": _seconds(view.instance.updated),
    }
    if with_state:
        shown["state"] = _parsed(state)
    return shown


def _json_or_string(text: str, status: RuntimeStatus) -> str:
    """Output as JSON: a completed instance's is; a failure is always text; a reason is whatever it happens to be."""
    if status == RuntimeStatus.COMPLETED:
        return text
    if status == RuntimeStatus.FAILED:
        return quote(text)
    return json.dumps(_parsed(text))


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
