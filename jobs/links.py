"""The senders and receivers of the Service Bus that a process keeps, since opening one takes half a second.

Neither is safe for concurrent use (the `azure-servicebus` package says so), so each is lent to one task at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from azure.core.exceptions import AzureError

from jobs.clients import Clients, clients
from jobs.errors import ServiceBusUnavailableError

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender


@dataclass(frozen=True)
class Link:
    """What is at the other end: a queue to send to or to receive from, or its dead-letter queue."""

    queue: str
    sends: bool = False
    dead_letters: bool = False
    takes: bool = False
    """Messages are taken by it for a while; whoever only looks has another link meanwhile."""

    def make(self) -> ServiceBusSender | ServiceBusReceiver:
        """A sender or receiver, which is opened by entering it. Raises SettingMissingError."""
        if self.sends:
            return clients().service_bus.get_queue_sender(self.queue)
        return clients().service_bus.get_queue_receiver(
            self.queue, sub_queue="deadletter" if self.dead_letters else None
        )


@dataclass
class _Kept:
    end: ServiceBusSender | ServiceBusReceiver
    is_open: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Links:
    """The links of one event loop."""

    def __init__(self) -> None:
        self._kept: dict[Link, _Kept] = {}
        self.failed: Link | None = None
        """The one that was lent last, if that ended badly: the bus may be there, and not let the app in."""
        self._giving_back: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lent(self, link: Link) -> AsyncIterator[ServiceBusSender | ServiceBusReceiver]:
        """Lend the sender or receiver of a link, open, for the block.

        Raises SettingMissingError, and ServiceBusUnavailableError for whatever the bus has to complain of in the block.
        """
        while True:
            kept = self._kept.get(link) or self._kept.setdefault(link, _Kept(link.make()))
            async with kept.lock:
                if self._kept.get(link) is not kept:
                    # It was dropped while this task waited for it.
                    continue
                async with self._watched(link), bus_errors():
                    try:
                        if not kept.is_open:
                            await kept.end.__aenter__()
                            kept.is_open = True
                        yield kept.end
                    except BaseException:
                        # Also when cancelled: an answer that is still to come must not be taken for another's.
                        self._drop(link, kept)
                        raise
            return

    @asynccontextmanager
    async def _watched(self, link: Link) -> AsyncIterator[None]:
        try:
            yield
        except ServiceBusUnavailableError:
            self.failed = link
            raise
        self.failed = None

    async def open(self, *links: Link) -> None:
        """Open links at the same time, which they do one after the other when they are lent. Raises as `lent` does."""

        async def open_one(link: Link) -> None:
            async with self.lent(link):
                return

        await asyncio.gather(*map(open_one, links))

    async def drop(self, link: Link) -> None:
        """Close a link when nobody has it. What it has asked the bus for, and not taken, goes to others."""
        if kept := self._kept.get(link):
            async with kept.lock:
                self._drop(link, kept)

    async def close(self) -> None:
        """Close all of them. What was taken and given back by then can be had by others."""
        for link, kept in list(self._kept.items()):
            self._drop(link, kept)
        # Given up halfway, as by the end of the process, they would leave messages locked that nobody has.
        await asyncio.gather(*self._giving_back)

    def _drop(self, link: Link, kept: _Kept) -> None:
        """Begin to close a link. The SDK takes up to a second for it, for which only `close` waits, if it takes."""
        if self._kept.get(link) is not kept:
            return
        del self._kept[link]
        closing = asyncio.create_task(_close(kept.end))
        for group in (_closing, self._giving_back) if link.takes else (_closing,):
            group.add(closing)
            closing.add_done_callback(group.discard)


async def _close(end: ServiceBusSender | ServiceBusReceiver) -> None:
    with suppress(AzureError, OSError):
        await end.close()


def links() -> Links:
    """The links of this event loop's clients, with which they are closed."""
    shared = clients()
    if shared not in _links:
        _links[shared] = Links()
        shared.before_closing(lambda: _links.pop(shared).close())
    return _links[shared]


async def send_all(sender: ServiceBusSender, messages: Iterable[ServiceBusMessage]) -> None:
    """Send messages in their order, as many at once as the bus takes. After an error some may have been sent."""
    batch = await sender.create_message_batch()
    for message in messages:
        try:
            batch.add_message(message)
        except ValueError:
            # The batch is full.
            await sender.send_messages(batch)
            batch = await sender.create_message_batch()
            batch.add_message(message)
    await sender.send_messages(batch)


_links: WeakKeyDictionary[Clients, Links] = WeakKeyDictionary()
_closing: set[asyncio.Task[None]] = set()
"""Held here, because a loop holds its tasks only weakly."""


@asynccontextmanager
async def bus_errors() -> AsyncIterator[None]:
    """Whatever the bus has to complain of inside the block is a ServiceBusUnavailableError."""
    try:
        yield
    except (AzureError, OSError, TimeoutError) as error:
        raise ServiceBusUnavailableError(
            f"the Service Bus did not do it ({type(error).__name__}): is it running, is AzureWebJobsServiceBus "
            "right, and does it have the queues of servicebus.json? On your own machine `make run` starts it"
        ) from error
