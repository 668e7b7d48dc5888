"""The webhook to which Event Grid posts for functions with a blob trigger of source EventGrid (§5)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web

from devhost.http.event_grid import BLOB_CREATED, EventError, blob_event, read_events, type_of, validation_code
from devhost.http.functions import read_body
from devhost.listeners.blob_message import BlobMessage
from devhost.storage.errors import StorageUnavailableError

if TYPE_CHECKING:
    from devhost.host import Host
    from devhost.listeners.blob_registration import BlobRegistration

PATH = "/runtime/webhooks/blobs"
_HEADER = "aeg-event-type"
_log = logging.getLogger("devhost.blobs")


class BlobWebhook:
    """POST /runtime/webhooks/blobs?functionName=Host.Functions.NAME: puts BlobCreated events into the internal queue.

    The real host insists on the header aeg-event-type; here a request without it is taken by what it holds.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the webhook. Its key is checked by the server."""
        router.add_post(PATH, self._post)
        router.add_options(PATH, self._allow)

    async def _allow(self, request: web.Request) -> web.Response:
        """The handshake of CloudEvents."""
        origin = request.headers.get("WebHook-Request-Origin", "*")
        return web.Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})

    async def _post(self, request: web.Request) -> web.Response:
        name = request.query.get("functionName", "")
        registration = self._host.blob_triggers.get(name)
        if registration is None or not registration.is_event_grid:
            return web.Response(status=404, text=_unknown(name, registration))
        kind = request.headers.get(_HEADER, "").lower()
        if kind == "unsubscribe":
            return web.Response(status=202)
        if kind not in ("", "notification", "subscriptionvalidation"):
            return web.Response(status=400, text=f"The header {_HEADER} is '{kind}', which is nothing to do here.")
        try:
            events = read_events(await read_body(request))
            if (code := validation_code(events)) is not None:
                return web.json_response({"validationResponse": code})
            messages = [message for event in events if (message := _message(registration, event))]
        except EventError as error:
            return web.Response(status=400, text=str(error))
        try:
            for message in messages:
                await self._host.blob_triggers.enqueue(message)
        except StorageUnavailableError as error:
            return web.Response(status=503, text=str(error))
        return web.Response(status=202)


def _unknown(name: str, registration: BlobRegistration | None) -> str:
    """Why events for that name find nobody."""
    if registration is None:
        return f"There is no blob trigger '{name}'. Ask for it as ?functionName=Host.Functions.NAME."
    return (
        f"'{name}' scans its container itself, so it needs no events. To have it run by them, "
        'give its blob trigger source="EventGrid".'
    )


def _message(registration: BlobRegistration, event: dict) -> BlobMessage | None:
    """The message for an event, or None if it is not for this function."""
    name = registration.function.name
    if type_of(event) != BLOB_CREATED:
        _log.debug("An event is skipped for '%s': its type is %s.", name, type_of(event))
        return None
    blob = blob_event(event)
    if registration.path.match(blob.container, blob.name) is None:
        _log.debug(
            "The event of '%s/%s' is skipped for '%s': it does not match the path '%s'.",
            blob.container, blob.name, name, registration.path.text,
        )  # fmt: skip
        return None
    return BlobMessage(registration.id, blob.container, blob.name, blob.etag, blob.blob_type)
