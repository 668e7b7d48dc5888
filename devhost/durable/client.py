"""What clients do with instances: start, raise, query, terminate, suspend, resume, rewind, restart, purge, signal."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from devhost.clock import Clock
from devhost.durable import events
from devhost.durable.entities import entity_id, is_entity, request_text
from devhost.durable.hub import (
    EventType,
    Instance,
    InstanceQuery,
    InstanceView,
    Message,
    RuntimeStatus,
    TaskHub,
)
from devhost.durable.options import DurableOptions
from devhost.durable.rewind import rewound

_LONGEST_ID = 256
_FORBIDDEN = frozenset("/\\#?")
_PURGE_BATCH = 100


class InvalidRequestError(Exception):
    """The request cannot mean anything (HTTP 400)."""


class InstanceNotFoundError(Exception):
    """There is no such instance (HTTP 404)."""


class InstanceFinishedError(Exception):
    """The instance has ended (HTTP 410)."""


class WrongStateError(Exception):
    """The instance is in a state that this operation does not go with."""


class DurableClient:
    """Client operations on a task hub. Each returns once its effect has been made durable."""

    def __init__(self, hub: TaskHub, clock: Clock, options: DurableOptions) -> None:
        self._hub = hub
        self._clock = clock
        self._options = options

    # --- starting ---------------------------------------------------------------------------------------------------

    async def start(self, name: str, instance_id: str | None, input: str | None, version: str | None = None) -> str:
        """Start an orchestration; returns its id. `input`: JSON text.

        Raises InvalidRequestError for an id that is not allowed, InstanceExistsError.
        """
        identifier = instance_id or uuid4().hex
        check_instance_id(identifier)
        now, execution_id = self._clock.now(), uuid4().hex
        version = self._options.default_version if version is None else version
        text = events.execution_started(
            events.timestamp(now),
            instance_id=identifier,
            execution_id=execution_id,
            name=name,
            version=version,
            input=input,
        )
        instance = Instance(identifier, execution_id, name, version, RuntimeStatus.PENDING, now, now)
        start = Message(identifier, EventType.EXECUTION_STARTED, text, execution_id=execution_id)
        await self._hub.create(instance, start, input, self._options.blocking_statuses)
        return identifier

    async def restart(self, instance_id: str, *, new_id: bool) -> str:
        """Start an instance's orchestrator again with its input. Raises InvalidRequestError, InstanceExistsError."""
        view = await self._hub.get(instance_id)
        if view is None or is_entity(instance_id):
            raise InvalidRequestError(f"An orchestration with the instanceId {instance_id} was not found.")
        instance = view.instance
        return await self.start(instance.name, None if new_id else instance_id, view.input, instance.version)

    # --- messages ---------------------------------------------------------------------------------------------------

    async def raise_event(self, instance_id: str, name: str, input: str) -> None:
        """Send an external event; `input` is JSON text. Raises InstanceNotFoundError, InstanceFinishedError."""
        await self._live(instance_id)
        await self._send(instance_id, EventType.EVENT_RAISED, events.event_raised(self._now(), name, input), name)

    async def terminate(self, instance_id: str, reason: str) -> None:
        """End an instance. Raises InstanceNotFoundError, InstanceFinishedError."""
        await self._live(instance_id)
        text = events.execution_terminated(self._now(), reason)
        await self._send(instance_id, EventType.EXECUTION_TERMINATED, text, reason)

    async def suspend(self, instance_id: str, reason: str) -> None:
        """Halt an instance. Raises InstanceNotFoundError, InstanceFinishedError, WrongStateError."""
        view = await self._live(instance_id)
        if view.instance.status == RuntimeStatus.SUSPENDED:
            raise WrongStateError(f"Cannot suspend orchestration instance in the Suspended state: '{instance_id}'.")
        text = events.execution_suspended(self._now(), reason)
        await self._send(instance_id, EventType.EXECUTION_SUSPENDED, text, reason)

    async def resume(self, instance_id: str, reason: str) -> None:
        """Let a suspended instance go on. Raises InstanceNotFoundError, InstanceFinishedError, WrongStateError."""
        view = await self._live(instance_id)
        if view.instance.status != RuntimeStatus.SUSPENDED:
            raise WrongStateError(
                f"Cannot resume orchestration instance in the {view.instance.status} state: '{instance_id}'."
            )
        text = events.execution_resumed(self._now(), reason)
        await self._send(instance_id, EventType.EXECUTION_RESUMED, text, reason)

    async def signal(self, name: str, key: str, operation: str, input: str | None) -> None:
        """Send an operation to an entity; `input` is JSON text."""
        identifier = entity_id(name, key)
        text = events.event_raised(self._now(), "op", request_text(operation, input, str(uuid4())))
        await self._hub.send(Message(identifier, EventType.EVENT_RAISED, text, "op"))

    async def rewind(self, instance_id: str, reason: str) -> None:
        """Bring a failed instance back to before its failures. Raises InstanceNotFoundError, WrongStateError."""
        view = await self._found(instance_id)
        if view.instance.status != RuntimeStatus.FAILED:
            raise WrongStateError(
                f"The rewind operation is only supported on failed orchestration instances; '{instance_id}' is "
                f"{view.instance.status}."
            )
        await self._rewind(view.instance, reason)

    async def _rewind(self, instance: Instance, reason: str) -> None:
        history = rewound([json.loads(text) for text in await self._hub.history(instance.id)])
        now = self._clock.now()
        wake = Message(instance.id, EventType.GENERIC, events.generic(events.timestamp(now), reason))
        pending = replace(instance, status=RuntimeStatus.PENDING, updated=now)
        await self._hub.rewrite(pending, [json.dumps(event) for event in history.events], [wake])
        for child in history.failed_children:  # after the parent, which would not hear their answers while it is Failed
            view = await self._hub.get(child)
            if view is not None and view.instance.status == RuntimeStatus.FAILED:
                await self._rewind(view.instance, reason)

    # --- queries ----------------------------------------------------------------------------------------------------

    async def get(self, instance_id: str) -> InstanceView | None:
        """One instance, or None."""
        return await self._hub.get(instance_id)

    async def history(self, instance_id: str) -> list[dict]:
        """Its events as objects."""
        return [json.loads(text) for text in await self._hub.history(instance_id)]

    async def query(self, query: InstanceQuery) -> list[InstanceView]:
        """Instances in the order of their ids."""
        return await self._hub.query(query)

    # --- purging ----------------------------------------------------------------------------------------------------

    async def purge(self, instance_id: str) -> None:
        """Forget one instance. Raises InstanceNotFoundError; WrongStateError when it has not ended."""
        view = await self._found(instance_id)
        if not view.instance.status.is_final and not is_entity(instance_id):
            raise WrongStateError(
                f"The instance '{instance_id}' is {view.instance.status}: only instances that have ended can be purged."
            )
        await self._hub.purge([instance_id])

    async def purge_many(
        self, created_from: datetime, created_to: datetime | None, statuses: Collection[RuntimeStatus] | None
    ) -> int:
        """Forget the ended instances that were created in a span of time; returns how many."""
        final = {status for status in statuses or RuntimeStatus if status.is_final}
        if not final:
            return 0
        query = InstanceQuery(
            created_from=created_from, created_to=created_to or self._clock.now(), statuses=final, top=_PURGE_BATCH,
            with_input=False, entities=False,
        )  # fmt: skip
        count = 0
        while batch := await self._hub.query(query):
            count += await self._hub.purge([view.instance.id for view in batch])
        return count

    # --- helpers ----------------------------------------------------------------------------------------------------

    async def _found(self, instance_id: str) -> InstanceView:
        view = await self._hub.get(instance_id)
        if view is None:
            raise InstanceNotFoundError(instance_id)
        return view

    async def _live(self, instance_id: str) -> InstanceView:
        view = await self._found(instance_id)
        if view.instance.status.is_final:
            raise InstanceFinishedError(instance_id)
        return view

    async def _send(self, instance_id: str, kind: EventType, text: str, key: str) -> None:
        if not await self._hub.send(Message(instance_id, kind, text, key)):
            raise InstanceNotFoundError(instance_id)

    def _now(self) -> str:
        return events.timestamp(self._clock.now())


def check_instance_id(instance_id: str) -> None:
    """Raise InvalidRequestError for an id that storage would not take (durable.md §5)."""
    if instance_id.startswith("@"):
        raise InvalidRequestError("Orchestration instance IDs must not start with '@'.")
    if any(c in _FORBIDDEN or ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in instance_id):
        raise InvalidRequestError("Instance IDs must not contain /, \\, #, ?, or control characters.")
    if len(instance_id) > _LONGEST_ID:
        raise InvalidRequestError(f"Instance IDs must not exceed {_LONGEST_ID} characters.")
