"""Backlogs: how many messages wait in each queue, or rest dead in it, and how old the oldest is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobs import clock, letters
from jobs.alerts import Condition
from jobs.clients import QUEUES, clients
from jobs.errors import ServiceBusUnavailableError, SettingMissingError
from jobs.links import Link, bus_errors, links
from jobs.settings import settings

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

DEAD_LETTERS, QUEUE = "dead-letters", "queue"
"""The groups of their alerts."""
BUS_QUEUE = "jobs"
BUS_QUEUES = (BUS_QUEUE, "deliveries")
SESSIONS = "order-events"
"""A queue that nobody can look into without taking a session of it: known is how many of these have messages."""
PATIENCE = 5.0
"""Seconds that the Service Bus has for all of its queues, when a person waits for the answer."""
PAGE = 250
"""Messages in one look: the bus gives no more."""
MOST_BARREN_PAGES = 4
"""So many looks in which all is held back until later are enough."""


@dataclass(frozen=True)
class Depth:
    """The messages of one queue: how many, and how old the oldest is, in seconds."""

    queue: str
    depth: int = 0
    oldest: float | None = None
    is_more: bool = False
    """Whether there are more than were counted: it suffices to know that there are too many."""

    def to_dict(self) -> dict[str, Any]:
        """As it is logged and told."""
        return {"queue": self.queue, "depth": self.depth, "oldestSeconds": self.oldest, "isMore": self.is_more}

    def exceeds(self, depth: int, age: float) -> bool:
        """Whether one of two thresholds is passed."""
        return self.depth > depth or (self.oldest or 0.0) > age


async def dead_letters() -> list[Depth]:
    """The dead letters of each queue, counted until there are too many. Raises ServiceBusUnavailableError."""
    most = settings().dead_letter_alert_depth + 1
    dead = [Link(queue, dead_letters=True) for queue in letters.QUEUES]
    await links().open(*dead)
    return [await _look(link, link.queue, most) for link in dead]


async def storage_queues() -> list[Depth]:
    """What waits in the storage queues, those for poison included: two requests a queue."""
    return await asyncio.gather(*map(_storage_queue, QUEUES))


async def bus_queue() -> Depth:
    """What waits in the Service Bus queue `jobs`, and is not held back until later.

    Behind a thousand messages that are held back it finds none. Raises ServiceBusUnavailableError.
    """
    return await _bus_queue(BUS_QUEUE)


async def every_queue() -> tuple[list[Depth], list[str]]:
    """What waits in each queue that feeds the app, and the names of those that cannot be looked into now."""
    looks = {f"servicebus:{queue}": _bus_queue(queue) for queue in BUS_QUEUES}
    looks[f"servicebus:{SESSIONS}"] = _sessions()
    storage, *found = await asyncio.gather(storage_queues(), *(_in_time(look) for look in looks.values()))
    depths = [*storage, *(depth for depth in found if depth)]
    return depths, [name for name, depth in zip(looks, found, strict=True) if depth is None]


def dead_letter_alerts(depths: list[Depth]) -> list[Condition]:
    """Those with too many dead letters, or too old ones."""
    limits = settings().dead_letter_alert_depth, settings().dead_letter_alert_age
    return list(_conditions(DEAD_LETTERS, "dead letters wait for a person", depths, *limits))


def queue_alerts(depths: list[Depth]) -> list[Condition]:
    """Those in which too many messages wait, or one too long."""
    limits = settings().queue_alert_depth, settings().queue_alert_age
    return list(_conditions(QUEUE, "jobs wait too long in a queue", depths, *limits))


def _conditions(group: str, summary: str, depths: list[Depth], depth: int, age: float) -> Iterator[Condition]:
    for each in depths:
        if each.exceeds(depth, age):
            yield Condition(f"{group}:{each.queue}", f"{summary}: {each.queue}", each.to_dict())


async def _storage_queue(queue: str) -> Depth:
    client = clients().queue(queue)
    properties, peeked = await asyncio.gather(client.get_queue_properties(), client.peek_messages(1))
    count = properties.approximate_message_count
    return Depth(queue, count, _age([message.inserted_on for message in peeked]))


async def _bus_queue(queue: str) -> Depth:
    return await _look(Link(queue), f"servicebus:{queue}", settings().queue_alert_depth + 1)


async def _sessions() -> Depth:
    """At least so many messages wait as there are sessions with some."""
    async with bus_errors():
        count = len([session async for session in clients().service_bus.list_queue_sessions(SESSIONS)])
    return Depth(f"servicebus:{SESSIONS}", count, is_more=count > 0)


async def _in_time(look: Coroutine[Any, Any, Depth]) -> Depth | None:
    try:
        async with asyncio.timeout(PATIENCE):
            return await look
    except (ServiceBusUnavailableError, SettingMissingError, TimeoutError):
        return None


async def _look(link: Link, name: str, most: int) -> Depth:
    """Look at the messages of a queue of the bus, oldest first, until there are so many."""
    moments: list[datetime] = []
    next_number, barren = 1, 0
    while len(moments) < most and barren < MOST_BARREN_PAGES:
        async with links().lent(link) as receiver:
            page = await receiver.peek_messages(min(PAGE, most), sequence_number=next_number)
        if not page:
            break
        found = [message.enqueued_time_utc for message in page if _is_there(message)]
        moments += found
        barren += not found
        next_number = page[-1].sequence_number + 1
    return Depth(name, len(moments), _age(moments), is_more=len(moments) >= most)


def _is_there(message: ServiceBusReceivedMessage) -> bool:
    """Whether a message may be received: a look also shows those that are scheduled for later."""
    from azure.servicebus import ServiceBusMessageState

    return message.state is not ServiceBusMessageState.SCHEDULED


def _age(moments: list[datetime]) -> float | None:
    if not moments:
        return None
    return round(max(0.0, (clock.now() - min(moments)).total_seconds()), 1)
