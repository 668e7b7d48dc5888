"""The floor: the SDK's own replay, one SQLite commit an episode, activities called directly, and nothing else.

What a host for azure-functions-durable 1.x cannot do without: hand the whole history to the SDK as JSON text, read the
actions back, and make the episode durable. History is kept in memory and never read back; a commit writes the episode's
new events as one row and the instance's row (WAL, synchronous NORMAL: safe against kill -9, not against power loss).
No client, no messages, no invocation lines, no timers, one thread: instances run one after the other.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import process

APP = Path(__file__).parents[1] / "apps" / "hello" / "function_app.py"

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE instances (id TEXT PRIMARY KEY, name TEXT, status TEXT, output TEXT) WITHOUT ROWID;
CREATE TABLE history (instance TEXT, episode INTEGER, events TEXT, PRIMARY KEY (instance, episode)) WITHOUT ROWID;
"""

EXECUTION_STARTED, TASK_SCHEDULED, TASK_COMPLETED, ORCHESTRATOR_STARTED, ORCHESTRATOR_COMPLETED = 0, 4, 5, 12, 13
CALL_ACTIVITY, WHEN_ALL = 0, 12


class Floor:
    """The least possible host of the benchmark's app."""

    name = "floor"

    def __init__(self, directory: Path) -> None:
        self._functions = _load_functions()
        self._database = sqlite3.connect(directory / "hub.sqlite3", isolation_level=None)
        self._database.executescript(SCHEMA)
        self._outputs: dict[str, Any] = {}

    def start(self) -> float:
        return process.spawned_at()

    def run(self, orchestration: str, inputs: Sequence[int | None]) -> Sequence[str]:
        instances = [f"{orchestration}-{time.monotonic_ns()}-{n}" for n in range(len(inputs))]
        for instance, width in zip(instances, inputs, strict=True):
            self._run_instance(orchestration, instance, None if width is None else {"width": width})
        return instances

    def result(self, handle: str) -> Any:
        return self._outputs[handle]

    def memory_bytes(self) -> int:
        return process.memory_bytes()

    def stop(self) -> None:
        self._database.close()

    def _run_instance(self, name: str, instance: str, value: Any) -> None:
        history: list[dict[str, Any]] = []
        messages = [_event(EXECUTION_STARTED, Name=name, Version="", Input=json.dumps(value))]
        scheduled = 0
        episode = 0
        while True:
            first_new = len(history)
            history += [_event(ORCHESTRATOR_STARTED), *messages]
            state = json.loads(self._functions[name](_payload(instance, value, history)))
            # The list of actions is cumulative (durable.md §2.1): what lies past `scheduled` is new.
            calls = _activity_calls(state["actions"])[scheduled:]
            history += [
                _event(TASK_SCHEDULED, scheduled + n, Name=call["functionName"], Version="", Input=None)
                for n, call in enumerate(calls)
            ]
            history.append(_event(ORCHESTRATOR_COMPLETED))
            self._commit(name, instance, episode, history[first_new:], state)
            if state["isDone"]:
                self._outputs[instance] = state["output"]
                return
            messages = [self._run_activity(scheduled + n, call) for n, call in enumerate(calls)]
            scheduled += len(calls)
            episode += 1

    def _run_activity(self, identifier: int, call: dict[str, Any]) -> dict[str, Any]:
        result = self._functions[call["functionName"]](json.loads(call["input"]))
        return _event(TASK_COMPLETED, TaskScheduledId=identifier, Result=json.dumps(result))

    def _commit(self, name: str, instance: str, episode: int, events: list[dict[str, Any]], state: dict) -> None:
        status, output = ("Completed", json.dumps(state.get("output"))) if state["isDone"] else ("Running", None)
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("INSERT INTO history VALUES (?, ?, ?)", (instance, episode, json.dumps(events)))
        self._database.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?)", (instance, name, status, output))
        self._database.execute("COMMIT")


def create(directory: Path) -> Floor:
    """The floor with its database file in `directory`."""
    return Floor(directory)


def _load_functions() -> dict[str, Callable[[Any], Any]]:
    specification = importlib.util.spec_from_file_location("function_app", APP)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return {function.get_function_name(): function.get_user_function() for function in module.app.get_functions()}


def _event(kind: int, identifier: int = -1, **fields: Any) -> dict[str, Any]:
    timestamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"EventType": kind, "EventId": identifier, "IsPlayed": False, "Timestamp": timestamp, **fields}


def _payload(instance: str, value: Any, history: list[dict[str, Any]]) -> str:
    return json.dumps(
        {
            "history": history,
            "input": value,
            "instanceId": instance,
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
        }
    )


def _activity_calls(actions: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    calls = []
    for action in actions[0] if actions else []:
        if action["actionType"] == WHEN_ALL:
            calls += action["compoundActions"]
        elif action["actionType"] == CALL_ACTIVITY:
            calls.append(action)
    return calls
