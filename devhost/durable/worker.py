"""What the engine needs of the host: to run an orchestrator, an activity or an entity by its name."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

from azure.functions.meta import Datum

from devhost.invocation import TriggerData

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host


class Worker(Protocol):
    """Runs the app's durable functions. Names are looked up without regard to case.

    Each run raises FunctionInvocationError when the function fails, and UnknownFunctionError when there is none of that
    name. A cancelled run counts as a lost worker: the work is given back, not failed.
    """

    orchestrators: Collection[str]
    activities: Collection[str]
    entities: Collection[str]

    async def run_orchestrator(self, name: str, payload: str, instance_id: str, is_short: bool) -> str:
        """The state that the SDK answers with. `is_short`: the replay takes a few milliseconds at most."""

    async def run_activity(self, name: str, input: str | None, instance_id: str) -> str | None:
        """The activity's result as JSON text."""

    async def run_entity(self, name: str, payload: str, instance_id: str) -> str:
        """The result of a batch of operations."""

    def has(self, kind: str, name: str) -> bool:
        """Whether there is a function of this name; `kind` is "orchestrator", "activity" or "entity"."""


class UnknownFunctionError(Exception):
    """There is no function of that name and kind."""


_KINDS = {
    "orchestrationTrigger": ("orchestrator", "orchestration"),
    "activityTrigger": ("activity", "activity"),
    "entityTrigger": ("entity", "entityName"),
}
"""Trigger type → kind, and the property by which the function may go under another name."""


class HostWorker:
    """Runs the durable functions among a host's functions through host.invoke."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._functions: dict[tuple[str, str], Function] = {}
        names: dict[str, list[str]] = {"orchestrator": [], "activity": [], "entity": []}
        for function in host.functions.values():
            if function.trigger.type not in _KINDS or function.disabled:
                continue
            kind, property_name = _KINDS[function.trigger.type]
            name = function.trigger.properties.get(property_name) or function.name
            self._functions[kind, name.lower()] = function
            names[kind].append(name)
        self.orchestrators = names["orchestrator"]
        self.activities = names["activity"]
        self.entities = names["entity"]

    def has(self, kind: str, name: str) -> bool:
        """Whether the app has such a function."""
        return (kind, name.lower()) in self._functions

    async def run_orchestrator(self, name: str, payload: str, instance_id: str, is_short: bool) -> str:
        """See Worker."""
        return await self._invoke("orchestrator", name, Datum(payload, "string"), instance_id, inline=is_short)

    async def run_activity(self, name: str, input: str | None, instance_id: str) -> str | None:
        """See Worker. The first element of the stored input array travels as a string (durable.md §4.1)."""
        value = Datum("null", "json") if input is None else Datum(input, "string")
        result = await self._invoke("activity", name, value, instance_id)
        return None if result is None or result == "null" else result

    async def run_entity(self, name: str, payload: str, instance_id: str) -> str:
        """See Worker."""
        return await self._invoke("entity", name, Datum(payload, "string"), instance_id)

    async def _invoke(
        self, kind: str, name: str, value: Datum, instance_id: str, *, inline: bool = False
    ) -> str | None:
        function = self._functions.get((kind, name.lower()))
        if function is None:
            raise UnknownFunctionError(name)
        trigger = TriggerData(
            value=value,
            metadata={"instanceId": Datum(instance_id, "string")},
            reason="(null)",
            binding_data={"instanceId": instance_id, "data": value.value, function.trigger.name: value.value}
            if kind == "activity"
            else {"instanceId": instance_id},
            inline=inline,
        )
        answer = await self._host.invoke(function, trigger)
        return None if answer is None else answer.value
