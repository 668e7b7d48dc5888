"""History events as JSON text, in the shape in which the SDK reads them (durable.md §1.2)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from devhost.durable.hub import EventType


def timestamp(moment: datetime) -> str:
    """A moment (aware, UTC) with seven decimals and a Z, without which the SDK would make it a naive time."""
    return f"{moment.isoformat(timespec='microseconds')[:26]}0Z"


def parse_timestamp(text: str) -> datetime:
    """The moment that a timestamp or an action's fireAt means, aware, in UTC. Raises ValueError."""
    if "." in text and text.endswith("Z"):
        whole, _, fraction = text[:-1].partition(".")
        text = f"{whole}.{fraction[:6]}Z"
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def mark_played(text: str) -> str:
    """The event as it is kept once it has been delivered. IsPlayed stands before any of the app's data."""
    return text.replace('"IsPlayed":false', '"IsPlayed":true', 1)


def text_or_null(value: str | None) -> str:
    """A string as JSON, or null."""
    return "null" if value is None else quote(value)


def _event(kind: EventType, at: str, fields: str = "", event_id: int = -1) -> str:
    return f'{{"EventType":{kind:d},"EventId":{event_id},"IsPlayed":false,"Timestamp":"{at}"{fields}}}'


def orchestrator_started(at: str) -> str:
    """Opens an episode; its time is the orchestrator's current_utc_datetime."""
    return _event(EventType.ORCHESTRATOR_STARTED, at)


def orchestrator_completed(at: str, actions: int | None = None) -> str:
    """Closes an episode.

    `actions`: how many actions the orchestrator had scheduled by then. No host but this one writes or reads it: it lets
    ids be given out again in exactly the same order when the history is replayed from disk (see replay.py).
    """
    return _event(EventType.ORCHESTRATOR_COMPLETED, at, "" if actions is None else f',"ActionCount":{actions}')


def execution_started(
    at: str,
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    version: str,
    input: str | None,
    parent: dict[str, Any] | None = None,
    generation: int = 0,
) -> str:
    """Begins an execution. `input` is JSON text, kept as a string."""
    return _event(
        EventType.EXECUTION_STARTED,
        at,
        f',"OrchestrationInstance":{{"InstanceId":{quote(instance_id)},"ExecutionId":{quote(execution_id)}}}'
        f',"ParentInstance":{json.dumps(parent)},"Name":{quote(name)},"Version":{quote(version)}'
        f',"Input":{text_or_null(input)},"Tags":null,"Correlation":null,"ParentTraceContext":null'
        f',"ScheduledStartTime":null,"Generation":{generation}',
    )


def parent_instance(name: str, instance_id: str, execution_id: str, task_id: int, version: str) -> dict[str, Any]:
    """The ParentInstance of a child's ExecutionStarted."""
    return {
        "Name": name,
        "OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id},
        "TaskScheduleId": task_id,
        "Version": version,
    }


def execution_completed(at: str, event_id: int, status: str, result: str | None) -> str:
    """Ends an execution. `result`: JSON text when Completed, else plain text."""
    fields = f',"OrchestrationStatus":"{status}","Result":{text_or_null(result)},"FailureDetails":null'
    return _event(EventType.EXECUTION_COMPLETED, at, fields, event_id)


def execution_terminated(at: str, reason: str) -> str:
    """A client's terminate."""
    return _event(EventType.EXECUTION_TERMINATED, at, f',"Input":{quote(reason)}')


def execution_suspended(at: str, reason: str) -> str:
    """A client's suspend."""
    return _event(EventType.EXECUTION_SUSPENDED, at, f',"Reason":{quote(reason)}')


def execution_resumed(at: str, reason: str) -> str:
    """A client's resume."""
    return _event(EventType.EXECUTION_RESUMED, at, f',"Reason":{quote(reason)}')


def generic(at: str, data: str) -> str:
    """Means nothing to the orchestrator; wakes an instance that was rewound."""
    return _event(EventType.GENERIC, at, f',"Data":{quote(data)}')


def task_scheduled(at: str, event_id: int, name: str, input: str | None = None, retry_of: int | None = None) -> str:
    """An activity call. `retry_of`: the id of the retry's timer, written so that a rewind finds the whole chain."""
    fields = f',"Name":{quote(name)},"Version":"","Input":{text_or_null(input)},"Tags":null,"ParentTraceContext":null'
    return _event(EventType.TASK_SCHEDULED, at, fields + _retry(retry_of), event_id)


def task_completed(at: str, task_id: int, result: str | None) -> str:
    """An activity's result as JSON text."""
    return _event(EventType.TASK_COMPLETED, at, f',"TaskScheduledId":{task_id},"Result":{text_or_null(result)}')


def task_failed(at: str, task_id: int, reason: str, details: str) -> str:
    """An activity's failure."""
    return _event(EventType.TASK_FAILED, at, _failure(task_id, reason, details))


def sub_orchestration_created(
    at: str, event_id: int, name: str, instance_id: str, input: str | None, version: str, retry_of: int | None = None
) -> str:
    """A call of a sub-orchestration."""
    fields = (
        f',"Name":{quote(name)},"Version":{quote(version)},"InstanceId":{quote(instance_id)}'
        f',"Input":{text_or_null(input)},"ClientSpanId":null,"Tags":null'
    )
    return _event(EventType.SUB_ORCHESTRATION_CREATED, at, fields + _retry(retry_of), event_id)


def sub_orchestration_completed(at: str, task_id: int, result: str | None) -> str:
    """A child's output as JSON text."""
    fields = f',"TaskScheduledId":{task_id},"Result":{text_or_null(result)}'
    return _event(EventType.SUB_ORCHESTRATION_COMPLETED, at, fields)


def sub_orchestration_failed(at: str, task_id: int, reason: str, details: str) -> str:
    """A child's failure or termination."""
    return _event(EventType.SUB_ORCHESTRATION_FAILED, at, _failure(task_id, reason, details))


def timer_created(at: str, event_id: int, fire_at: str, retry_of: int | None = None) -> str:
    """A timer. `retry_of`: the id of the failed attempt that it follows."""
    return _event(EventType.TIMER_CREATED, at, f',"FireAt":"{fire_at}"{_retry(retry_of)}', event_id)


def timer_fired(timer_id: int, fire_at: str) -> str:
    """A timer's end."""
    return _event(EventType.TIMER_FIRED, fire_at, f',"TimerId":{timer_id},"FireAt":"{fire_at}"')


def event_sent(at: str, event_id: int, instance_id: str, name: str, input: str) -> str:
    """A message to an entity."""
    fields = f',"InstanceId":{quote(instance_id)},"Name":{quote(name)},"Input":{quote(input)}'
    return _event(EventType.EVENT_SENT, at, fields, event_id)


def event_raised(at: str, name: str, input: str | None) -> str:
    """A message from a client or an entity. `input` is JSON text."""
    return _event(
        EventType.EVENT_RAISED, at, f',"Name":{quote(name)},"Input":{text_or_null(input)},"ParentTraceContext":null'
    )


def _failure(task_id: int, reason: str, details: str) -> str:
    return f',"TaskScheduledId":{task_id},"Reason":{quote(reason)},"Details":{quote(details)},"FailureDetails":null'


def _retry(retry_of: int | None) -> str:
    return "" if retry_of is None else f',"RetryOf":{retry_of}'
