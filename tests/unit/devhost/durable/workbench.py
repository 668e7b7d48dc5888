"""An engine without a host: real SDK orchestrators and entities, plain functions as activities, a hub in a file."""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from azure.durable_functions import Entity, Orchestrator

from devhost.clock import VirtualClock
from devhost.durable import events
from devhost.durable.engine import Engine
from devhost.durable.entities import request_text
from devhost.durable.hub import EventType, Instance, InstanceView, Message, RuntimeStatus
from devhost.durable.options import DurableOptions
from devhost.durable.sqlite_hub import SqliteTaskHub
from devhost.durable.worker import UnknownFunctionError
from devhost.invocation import FunctionInvocationError

STATUSES = frozenset(RuntimeStatus) - {s for s in RuntimeStatus if s.is_final}


class SdkWorker:
    """Calls the functions of one test as the Python worker would."""

    def __init__(self, *orchestrators: Callable, activities: tuple = (), entities: tuple = ()) -> None:
        self._orchestrators = {f.__name__.lower(): Orchestrator.create(f) for f in orchestrators}
        self._activities = {f.__name__.lower(): f for f in activities}
        self._entities = {f.__name__.lower(): Entity.create(f) for f in entities}
        self.orchestrators = [f.__name__ for f in orchestrators]
        self.activities = [f.__name__ for f in activities]
        self.entities = [f.__name__ for f in entities]
        self.payloads: list[dict[str, Any]] = []
        self.calls: list[tuple[str, Any]] = []
        self.running = 0
        self.most_running = 0

    def has(self, kind: str, name: str) -> bool:
        return name.lower() in {"orchestrator": self._orchestrators, "activity": self._activities}[kind]

    async def run_orchestrator(self, name: str, payload: str, instance_id: str, is_short: bool) -> str:
        self.payloads.append(json.loads(payload))
        await asyncio.sleep(0)
        return self._call(self._orchestrators, name, payload)

    async def run_entity(self, name: str, payload: str, instance_id: str) -> str:
        self.payloads.append(json.loads(payload))
        return self._call(self._entities, name, payload)

    async def run_activity(self, name: str, input: str | None, instance_id: str) -> str | None:
        value = json.loads(input) if input is not None else None
        self.calls.append((name, value))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            result = self._call(self._activities, name, value)
            if inspect.isawaitable(result):
                result = await result
        except FunctionInvocationError:
            raise
        except Exception as error:
            raise _failure(error) from error
        finally:
            self.running -= 1
        return json.dumps(result)

    @staticmethod
    def _call(functions: dict[str, Callable], name: str, argument: Any) -> Any:
        function = functions.get(name.lower())
        if function is None:
            raise UnknownFunctionError(name)
        try:
            return function(argument)
        except Exception as error:
            raise _failure(error) from error


def _failure(error: Exception) -> FunctionInvocationError:
    return FunctionInvocationError(f"{type(error).__name__}: {error}", traceback.format_exc())


class Bench:
    """One engine on one hub file; as many of them as a test wants may share the file."""

    def __init__(self, path: Path, worker: Any, clock: VirtualClock | None = None, **options: Any) -> None:
        self.clock = clock or VirtualClock()
        self.hub = SqliteTaskHub(path, self.clock)
        self.worker = worker
        self.faults: list[BaseException] = []
        self.started = False
        defaults = DurableOptions.read({"maxConcurrentActivityFunctions": 20, "maxConcurrentOrchestratorFunctions": 20})
        values = {name: getattr(defaults, name) for name in DurableOptions.__slots__} | options
        self.options = DurableOptions(**values)
        self.engine = Engine(self.hub, worker, self.clock, self.options, self.faults.append)

    async def __aenter__(self) -> Bench:
        if not self.started:
            await self.open()
        return self

    async def open(self) -> None:
        """Start the engine."""
        self.started = True
        await self.engine.start()

    async def __aexit__(self, *exception: object) -> None:
        if self.engine is not None:
            await self.engine.stop()
        assert self.faults == []

    async def crash(self) -> None:
        """Die as by kill -9: whatever runs comes to nothing, nothing is tidied up."""
        engine, self.engine = self.engine, None
        engine._stopping = True
        await self.hub.crash()
        engine.abandon()
        await asyncio.gather(
            *engine._orchestrations.tasks, *engine._entities.tasks, *engine._activities._tasks, return_exceptions=True
        )
        self.faults.clear()

    async def start(self, name: str, input: Any = None, instance_id: str | None = None, *, raw: bool = False) -> str:
        """Start an instance as the SDK's client does; with `raw` as an HTTP client that posts `input` as JSON."""
        instance_id = instance_id or uuid4().hex
        execution_id, now = uuid4().hex, self.clock.now()
        text = None if input is None else json.dumps(input) if raw else json.dumps(json.dumps(input))
        start = events.execution_started(
            events.timestamp(now), instance_id=instance_id, execution_id=execution_id, name=name, version="", input=text
        )
        instance = Instance(instance_id, execution_id, name, "", RuntimeStatus.PENDING, now, now)
        message = Message(instance_id, EventType.EXECUTION_STARTED, start, execution_id=execution_id)
        await self.hub.create(instance, message, text, STATUSES)
        return instance_id

    async def raise_event(self, instance_id: str, name: str, value: Any = None) -> None:
        """Raise an event as an HTTP client that posts `value` as JSON."""
        text = events.event_raised(events.timestamp(self.clock.now()), name, json.dumps(value))
        assert await self.hub.send(Message(instance_id, EventType.EVENT_RAISED, text, name))

    async def signal(self, instance_id: str, operation: str, value: Any = None) -> None:
        """Signal an entity as the SDK's client does."""
        request = request_text(operation, json.dumps(json.dumps(value)), str(uuid4()))
        text = events.event_raised(events.timestamp(self.clock.now()), "op", request)
        assert await self.hub.send(Message(instance_id, EventType.EVENT_RAISED, text, "op"))

    async def command(self, instance_id: str, kind: EventType, reason: str) -> None:
        """Terminate, suspend or resume."""
        build = {
            EventType.EXECUTION_TERMINATED: events.execution_terminated,
            EventType.EXECUTION_SUSPENDED: events.execution_suspended,
            EventType.EXECUTION_RESUMED: events.execution_resumed,
        }[kind]
        text = build(events.timestamp(self.clock.now()), reason)
        assert await self.hub.send(Message(instance_id, kind, text, reason))

    async def drain(self) -> None:
        """Return when nothing can go on by itself."""
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            if await self.engine.is_idle():
                return
            await asyncio.sleep(0.001)

    async def advance(self, **span: float) -> None:
        """Let virtual time pass, one timer after the other."""
        await self.drain()
        target = self.clock.now() + timedelta(**span)
        while (following := self.clock.next_sleeper()) is not None and following <= target:
            self.clock.jump_to(following)
            await self.drain()
        self.clock.jump_to(target)
        await self.drain()

    async def view(self, instance_id: str) -> InstanceView:
        """The instance's row."""
        view = await self.hub.get(instance_id)
        assert view is not None, f"no instance {instance_id}"
        return view

    async def result(self, name: str, input: Any = None) -> Any:
        """Run an instance to its end; its output, or the text of its failure as an exception."""
        instance_id = await self.start(name, input)
        await self.drain()
        return await self.output(instance_id)

    async def output(self, instance_id: str) -> Any:
        """A finished instance's output; RuntimeError with the text when it has not completed."""
        view = await self.view(instance_id)
        if view.instance.status != RuntimeStatus.COMPLETED:
            raise RuntimeError(f"{view.instance.status}: {view.output}")
        return None if view.output is None else json.loads(view.output)

    async def history(self, instance_id: str) -> list[dict[str, Any]]:
        """The history as objects."""
        return [json.loads(text) for text in await self.hub.history(instance_id)]


def moment(text: str) -> datetime:
    """A history timestamp."""
    return events.parse_timestamp(text)
