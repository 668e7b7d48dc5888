"""What a decision becomes: a history event, and a message, an activity or a timer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4, uuid5

from devhost.durable import events
from devhost.durable.execution import Execution
from devhost.durable.hub import Activity, EventType, Message
from devhost.durable.options import SHORT_TIMER_MAXIMUM, DurableOptions
from devhost.durable.outcome import StateError
from devhost.durable.tasks import ActionType, Retry, Task

HTTP_ACTIVITY = "BuiltIn::HttpActivity"
_REQUEST_NAMESPACE = UUID("9e952959-5e33-4daf-827f-2fa12937b875")
_FIRST_SCHEMA_WITH_LEGS = 2


@dataclass(slots=True)
class Schedule:
    """The effects of an episode's decisions."""

    events: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)


@dataclass(slots=True)
class Scheduler:
    """Turns an execution's decisions of one episode into their effects."""

    execution: Execution
    now: datetime
    options: DurableOptions
    check_function: Callable[[str, str], None]
    """Raises StateError when there is no function of a kind and name."""
    schema_version: int

    def schedule(self, tasks: Iterable[Task]) -> Schedule:
        """The effects, in the order of the tasks. Raises StateError for a decision that the host refuses."""
        result = Schedule()
        at = events.timestamp(self.now)
        for task in tasks:
            if task.type == ActionType.CREATE_TIMER:
                self._timer(task, at, result)
            elif task.type in (ActionType.CALL_ACTIVITY, ActionType.CALL_HTTP):
                self._activity(task, at, result)
            elif task.type == ActionType.CALL_SUB_ORCHESTRATOR:
                self._sub_orchestration(task, at, result)
            else:
                self._entity(task, at, result)
        return result

    def _activity(self, task: Task, at: str, result: Schedule) -> None:
        if task.type == ActionType.CALL_HTTP:
            name, input = HTTP_ACTIVITY, json.dumps(task.action["httpRequest"])
        else:
            name, input = task.action["functionName"], task.action.get("input")
            self.check_function("activity", name)
        recorded = json.dumps([input]) if self.options.store_inputs else None
        result.events.append(events.task_scheduled(at, task.id, name, recorded, task.retry_of))
        result.activities.append(Activity(self.execution.instance_id, self.execution.id, task.id, name, input))

    def _timer(self, task: Task, at: str, result: Schedule) -> None:
        if isinstance(task.parent, Retry):
            due = self.now + timedelta(seconds=task.parent.delay_seconds())
        else:
            due = events.parse_timestamp(task.action["fireAt"])
            if self.schema_version < _FIRST_SCHEMA_WITH_LEGS and due - self.now > SHORT_TIMER_MAXIMUM:
                raise StateError(
                    f"a timer may last {SHORT_TIMER_MAXIMUM.days} days at most with this version of "
                    "azure-functions-durable: upgrade it to 1.2.4 or later, which cuts long timers into legs"
                )
        fire_at = events.timestamp(due)
        result.events.append(events.timer_created(at, task.id, fire_at, task.retry_of))
        self._to_self(EventType.TIMER_FIRED, events.timer_fired(task.id, fire_at), task.id, result, due)

    def _to_self(self, kind: EventType, text: str, key: int, result: Schedule, due: datetime) -> None:
        execution = self.execution
        result.messages.append(Message(execution.instance_id, kind, text, key, execution.id, due))

    def _sub_orchestration(self, task: Task, at: str, result: Schedule) -> None:
        execution, action = self.execution, task.action
        name = action["functionName"]
        self.check_function("orchestrator", name)
        child_id = action.get("instanceId") or f"{execution.id}:{task.id}"
        if child_id.startswith("@"):
            raise StateError(f"the sub-orchestration's instance id '{child_id}' begins with '@', as only entities' do")
        if child_id in (execution.instance_id, execution.parent and execution.parent.instance_id):
            raise StateError(
                f"the sub-orchestration's instance id '{child_id}' is that of its own parent or grandparent: leave the "
                "id out, or make it differ"
            )
        input = None if action.get("input") is None else events.quote(action["input"])
        version = action.get("version") or self.options.default_version
        result.events.append(
            events.sub_orchestration_created(
                at, task.id, name, child_id, input if self.options.store_inputs else None, version, task.retry_of
            )
        )
        child_execution = uuid4().hex
        start = events.execution_started(
            at,
            instance_id=child_id,
            execution_id=child_execution,
            name=name,
            version=version,
            input=input,
            parent=events.parent_instance(
                execution.name, execution.instance_id, execution.id, task.id, execution.version
            ),
        )
        result.messages.append(Message(child_id, EventType.EXECUTION_STARTED, start, execution_id=child_execution))

    def _entity(self, task: Task, at: str, result: Schedule) -> None:
        execution, action = self.execution, task.action
        target = action["instanceId"]
        name, separator, key = target.removeprefix("@").partition("@")
        if not target.startswith("@") or not separator or not name:
            raise StateError(f"'{target}' is not an entity's id: it is written @name@key")
        target = f"@{name.lower()}@{key}"
        is_call = task.type == ActionType.CALL_ENTITY
        request = {"op": action["operation"]}
        if not is_call:
            request["signal"] = True
        input = action.get("input")
        request["input"] = None if input is None else json.dumps(input)
        request["id"] = str(uuid5(_REQUEST_NAMESPACE, f"{execution.instance_id}_{at}_{task.id}"))
        if is_call:
            request |= {"parent": execution.instance_id, "parentExecution": execution.id}
            execution.replay.called(request["id"], task.id)
        text = json.dumps(request)
        result.events.append(events.event_sent(at, task.id, target, "op", text))
        due = events.parse_timestamp(action["fireAt"]) if action.get("fireAt") else None
        message = events.event_raised(at, "op", text)
        result.messages.append(Message(target, EventType.EVENT_RAISED, message, "op", None, due))
