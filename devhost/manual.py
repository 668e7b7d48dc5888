"""Manual invocation: what a trigger would have brought, made from the text that the admin API was given."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.datum import promote, to_metadata
from devhost.errors import DevhostError
from devhost.functions import Function
from devhost.http.functions import REASON, manual_request
from devhost.invocation import TriggerData
from devhost.storage.errors import StorageError

if TYPE_CHECKING:
    from devhost.host import Host


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
        return await _from_time(host, function, text)
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


async def _from_time(host: Host, function: Function, text: str) -> TriggerData:
    """The timer's stored status, as the real host gives it; a time in `text` stands for the occurrence to be run."""
    from devhost.listeners.timer import manual_timer_data

    moment = None
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
    if moment is not None and moment.tzinfo is None:
        raise ManualInvocationError(
            f"The time '{text}' has no offset.", 'Write e.g. {"input": "2026-03-29T02:30:00+01:00"}.'
        )
    try:
        trigger = await manual_timer_data(host, function, moment)
    except OverflowError:
        raise ManualInvocationError(f"The time '{text}' is out of range.", "Use a year from 2 to 9998.") from None
    trigger.reason = REASON
    return trigger


async def _from_blob(host: Host, function: Function, path: str) -> TriggerData:
    from devhost.listeners.blob_registration import BlobRegistration

    container, _, name = path.partition("/")
    if not container or not name:
        raise ManualInvocationError(f"'{path}' is not the path of a blob.", 'Give it as {"input": "container/name"}.')
    registration = BlobRegistration.of(host, function)
    try:
        blob = await registration.read(container, name)
    except StorageError as error:
        if error.status == 404:
            raise ManualInvocationError(f"There is no blob '{path}'.", "Upload it first.") from None
        raise ManualInvocationError(
            f"The blob '{path}' cannot be read ({error}).", "Check its name and the function's connection."
        ) from None
    return registration.trigger_data(container, name, blob, REASON)
