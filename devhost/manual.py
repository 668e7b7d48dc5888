"""Manual invocation: what a trigger would have brought, made from the text that the admin API was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.bindings import create_input
from devhost.datum import promote, to_metadata
from devhost.errors import DevhostError
from devhost.functions import Binding, Function
from devhost.http.functions import REASON, manual_request
from devhost.invocation import TriggerData

if TYPE_CHECKING:
    from devhost.host import Host

_TIMER = '{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}'


class ManualInvocationError(DevhostError):
    """A function that cannot be started by hand, or not with this input."""


async def manual_trigger(host: Host, function: Function, text: str) -> TriggerData:
    """The trigger data for `function` started with `text` (functions-host.md §3, admin API).

    Raises ManualInvocationError.
    """
    kind = function.trigger.type
    if kind == "httpTrigger":
        return manual_request(function, f"{host.origin}/admin/functions/{function.name}", text)
    if kind == "timerTrigger":
        return TriggerData(Datum(_TIMER, "json"), reason=REASON)
    if kind == "queueTrigger":
        return _from_text(text, {"QueueTrigger": text, "DequeueCount": 0})
    if kind == "serviceBusTrigger":
        return _from_text(text, {"DeliveryCount": 1, "UserProperties": {}})
    if kind == "blobTrigger":
        return await _from_blob(host, function, text)
    raise ManualInvocationError(
        f"'{function.name}' has the trigger '{kind}', which cannot be started by hand.",
        "Start orchestrations and entities through a function with a durable client.",
    )


def _from_text(text: str, binding_data: Mapping[str, Any]) -> TriggerData:
    data = promote(binding_data, text)
    return TriggerData(Datum(text, "string"), to_metadata(data), REASON, binding_data=data)


async def _from_blob(host: Host, function: Function, path: str) -> TriggerData:
    container, _, name = path.partition("/")
    if not container or not name:
        raise ManualInvocationError(f"'{path}' is not the path of a blob.", 'Give it as {"input": "container/name"}.')
    connection = function.trigger.properties.get("connection")
    properties = {"path": _literal(path), "connection": connection, "dataType": "BINARY"}
    content = await create_input(host, Binding("blob", "content", "in", properties)).read({})
    if content.type is None:
        raise ManualInvocationError(f"There is no blob '{path}'.", "Upload it first.")
    data = {"BlobTrigger": path, "name": name}
    return TriggerData(content, to_metadata(data), REASON, binding_data=data)


def _literal(path: str) -> str:
    """A path in which braces are only braces."""
    return path.replace("{", "{{").replace("}", "}}")
