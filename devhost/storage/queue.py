"""One storage queue: the operations a host needs, as plain REST calls."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from devhost.errors import DevhostError
from devhost.storage.errors import StorageError

if TYPE_CHECKING:
    from devhost.storage.queue_service import QueueService

MAX_RECEIVE = 32
_VALID_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")


class InvalidQueueNameError(DevhostError):
    """A name that Azure would not accept for a queue."""


def is_valid_queue_name(name: str) -> bool:
    """Whether Azure accepts the name: 3 to 63 of a-z, 0-9 and single inner hyphens."""
    return _VALID_NAME.fullmatch(name) is not None


def check_queue_name(name: str) -> str:
    """The name lower-cased, as the real host does with it. Raises InvalidQueueNameError."""
    if not is_valid_queue_name(name.lower()):
        raise InvalidQueueNameError(
            f"'{name}' is not a valid queue name.",
            "Use 3 to 63 lower-case letters, digits and single hyphens between them.",
        )
    return name.lower()


@dataclass(slots=True)
class ReceivedMessage:
    """A message taken from a queue; it stays hidden from others until `next_visible_on`."""

    id: str
    text: str
    """The message text as it is stored, not yet decoded."""
    pop_receipt: str
    """The newest receipt: Queue.update replaces it."""
    dequeue_count: int
    inserted_on: datetime
    expires_on: datetime
    next_visible_on: datetime


class Queue:
    """A queue of one account. Get it from QueueService.queue; raises what QueueService.request raises."""

    def __init__(self, service: QueueService, name: str) -> None:
        self.service = service
        self.name = name
        self._watchers: set[asyncio.Event] = set()

    def watch(self) -> asyncio.Event:
        """An event that is set whenever this process puts a message into the queue; whoever asked clears it."""
        arrival = asyncio.Event()
        self._watchers.add(arrival)
        return arrival

    def unwatch(self, arrival: asyncio.Event) -> None:
        """Forget an event that watch() returned."""
        self._watchers.discard(arrival)

    async def put(self, text: str, *, create: bool = False, patience: float = 0.0) -> None:
        """Add a message; with `create` a missing queue is made first. Wakes those who watch the queue here.

        `patience` as in QueueService.request: a put that is tried again may store the message twice.
        """
        body = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>".encode()
        try:
            await self.service.request("POST", f"{self.name}/messages", "", body, patience)
        except StorageError as error:
            if not create or error.code != "QueueNotFound":
                raise
            await self.create(patience)
            await self.service.request("POST", f"{self.name}/messages", "", body, patience)
        for arrival in self._watchers:
            arrival.set()

    async def receive(self, count: int, visibility: int) -> list[ReceivedMessage]:
        """Take up to `count` (at most 32) visible messages and hide them for `visibility` seconds."""
        query = f"numofmessages={min(count, MAX_RECEIVE)}&visibilitytimeout={visibility}"
        _, answer = await self.service.request("GET", f"{self.name}/messages", query)
        return [_received(element) for element in ElementTree.fromstring(answer)]

    async def peek(self, count: int = 1) -> list[str]:
        """The texts of up to `count` (at most 32) visible messages, which stay where they are."""
        query = f"peekonly=true&numofmessages={min(count, MAX_RECEIVE)}"
        _, answer = await self.service.request("GET", f"{self.name}/messages", query)
        return [element.findtext("MessageText") or "" for element in ElementTree.fromstring(answer)]

    async def delete(self, message: ReceivedMessage) -> None:
        """Remove a received message for good."""
        await self.service.request("DELETE", self._path(message), _receipt(message))

    async def update(self, message: ReceivedMessage, visibility: int) -> None:
        """Hide a received message for `visibility` seconds from now (0: visible at once); renews its pop receipt."""
        query = f"{_receipt(message)}&visibilitytimeout={visibility}"
        headers, _ = await self.service.request("PUT", self._path(message), query)
        message.pop_receipt = headers["x-ms-popreceipt"]

    async def create(self, patience: float = 0.0) -> None:
        """Create the queue unless it exists."""
        await self.service.request("PUT", self.name, patience=patience)

    async def approximate_count(self) -> int | None:
        """Roughly how many messages the queue holds, hidden ones included; None if there is no such queue."""
        try:
            headers, _ = await self.service.request("GET", self.name, "comp=metadata")
        except StorageError as error:
            if error.status != 404:
                raise
            return None
        return int(headers["x-ms-approximate-messages-count"])

    async def exists(self) -> bool:
        """Whether there is such a queue."""
        return await self.approximate_count() is not None

    def _path(self, message: ReceivedMessage) -> str:
        return f"{self.name}/messages/{message.id}"


def _receipt(message: ReceivedMessage) -> str:
    return "popreceipt=" + quote(message.pop_receipt, safe="")


def _received(element: ElementTree.Element) -> ReceivedMessage:
    fields = {child.tag: child.text or "" for child in element}
    return ReceivedMessage(
        id=fields["MessageId"],
        text=fields.get("MessageText", ""),
        pop_receipt=fields["PopReceipt"],
        dequeue_count=int(fields["DequeueCount"]),
        inserted_on=_date(fields["InsertionTime"]),
        expires_on=_date(fields["ExpirationTime"]),
        next_visible_on=_date(fields["TimeNextVisible"]),
    )


# The messages of a batch mostly carry the same few dates, to the second.
@lru_cache(maxsize=256)
def _date(text: str) -> datetime:
    return parsedate_to_datetime(text)
