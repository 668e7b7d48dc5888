"""The least possible Durable engine: it replays an orchestrator through the real SDK, one event an episode."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.durable_functions import Blueprint, Orchestrator
from azure.functions.decorators.function_app import FunctionBuilder

Activity = Callable[[dict[str, Any]], Awaitable[Any]]

CALL_ACTIVITY, CALL_SUB_ORCHESTRATOR, CONTINUE_AS_NEW, CREATE_TIMER = 0, 2, 4, 5
WAIT_FOR_EVENT, WHEN_ANY, WHEN_ALL = 6, 11, 12


def named(name: str) -> FunctionBuilder:
    """An activity function object of that name, as an orchestrator refers to one."""

    def work(call): ...

    work.__name__ = name
    return Blueprint().activity_trigger(input_name="call")(work)


class Engine:
    """One instance of an orchestrator. Timers fire at once; the clock goes on as if they had not.

    A sub-orchestration is what the activity of its name does.
    """

    def __init__(self, orchestrator: Callable[[Any], Generator], input: Any, activities: dict[str, Activity]):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.pauses: list[float] = []
        self.statuses: list[dict[str, Any]] = []
        self.events: dict[str, str] = {}
        """By the name of an activity or "timer": the event that arrives while it runs the first time."""
        self.continued: list[Any] = []
        """With what it continues as new, which this engine takes for its end."""
        self.cancelled_timers: list[str] = []
        """When they would have fired."""
        self.output: Any = None
        self.error: str | None = None
        self._handle = Orchestrator.create(orchestrator)
        self._input = input
        self._activities = activities
        self.history: list[dict[str, Any]] = []
        self._known: list[dict[str, Any]] = []

    async def run(self, instance_id: str) -> Engine:
        """Run to the end. `output` or `error` says what came of it."""
        text = json.dumps(json.dumps(self._input))
        waiting = [_event(0, self.now, Name="order", Version="", Input=text)]
        for _ in range(1000):
            batch, waiting = waiting[:1], waiting[1:]
            assert batch, "the orchestrator waits for something that will never come"
            self.history += [_event(12, self.now), *batch]
            state = self._replay(instance_id)
            if state.get("customStatus"):
                self.statuses.append(state["customStatus"])
            if state["isDone"] or self.error:
                self.output = state.get("output")
                self._look_back(state["actions"][0])
                return self
            waiting += await self._schedule(_flat(state["actions"][0]))
        raise AssertionError("the orchestrator does not end")

    def activity(self, name: str) -> Activity:
        """What it does for the activity of that name."""
        return self._activities[name]

    def _look_back(self, actions: list[dict[str, Any]]) -> None:
        for action in actions:
            if action["actionType"] == CONTINUE_AS_NEW:
                self.continued.append(json.loads(action["input"]))
            if action.get("isCanceled"):
                self.cancelled_timers.append(action["fireAt"])
            self._look_back(action.get("compoundActions", []))

    def _replay(self, instance_id: str) -> dict[str, Any]:
        payload = {
            "history": self.history,
            "input": json.dumps(self._input),
            "instanceId": instance_id,
            "isReplaying": True,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
        }
        try:
            return json.loads(self._handle(json.dumps(payload)))
        except Exception as error:
            text, _, state = str(error).partition("$OutOfProcData$:")
            assert state, error
            self.error = text.strip()
            return json.loads(state)

    async def _schedule(self, actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Do what the replay asks for beyond what it asked for before. Returns the events that come of it."""
        plain = [{name: value for name, value in action.items() if name != "isCanceled"} for action in actions]
        assert plain[: len(self._known)] == self._known, "a replay asked for something else than the one before"
        numbered = [(id, action) for id, action in enumerate(actions)][len(self._known) :]
        self._known = plain
        arriving = []
        for id, action in numbered:
            if action["actionType"] in (CALL_ACTIVITY, CALL_SUB_ORCHESTRATOR):
                kind = 4 if action["actionType"] == CALL_ACTIVITY else 7
                self.history.append(_event(kind, self.now, id=id, Name=action["functionName"]))
                arriving += await self._run_activity(kind, id, action["functionName"], json.loads(action["input"]))
            else:
                fire_at = datetime.fromisoformat(action["fireAt"])
                self.pauses.append((fire_at - self.now).total_seconds())
                self.history.append(_event(10, self.now, id=id, FireAt=action["fireAt"]))
                arriving += self._arrived("timer")
                arriving.append(_event(11, fire_at, TimerId=id))
                self.now = max(self.now, fire_at)
        self.now += timedelta(seconds=0.01)
        return arriving

    async def _run_activity(self, kind: int, id: int, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        self.calls.append((name, arguments))
        arriving = self._arrived(name)
        try:
            result = await self._activities[name](arguments)
        except Exception as error:
            reason = f"Activity function '{name}' failed:  {type(error).__name__}: {error}"
            return [*arriving, _event(kind + 2, self.now, TaskScheduledId=id, Reason=reason, Details="{}")]
        return [*arriving, _event(kind + 1, self.now, TaskScheduledId=id, Result=json.dumps(result))]

    def _arrived(self, occasion: str) -> list[dict[str, Any]]:
        name = self.events.pop(occasion, None)
        return [_event(15, self.now, Name=name, Input="null")] if name else []


def _event(type: int, at: datetime, id: int = -1, **fields: Any) -> dict[str, Any]:
    timestamp = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"EventType": type, "EventId": id, "IsPlayed": False, "Timestamp": timestamp, **fields}


def _flat(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The activities and timers in the order in which the SDK numbers them; waits have no number."""
    flat = []
    for action in actions:
        if action["actionType"] in (WHEN_ANY, WHEN_ALL):
            flat += _flat(action["compoundActions"])
        elif action["actionType"] != WAIT_FOR_EVENT:
            flat.append(action)
    return flat
