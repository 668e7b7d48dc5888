"""A connection of the engine without a socket, and endpoints that note what they are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devhost.servicebus.amqp.connection import Connection
from devhost.servicebus.amqp.link import LinkState
from tests.amqp_peer import HELLO, Frame, split


class Transport:
    """Keeps what is written; a peer that reads at once."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = self.is_half_closed = False

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1)

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def writelines(self, parts: list[bytes]) -> None:
        self.writes.append(b"".join(parts))

    def write_eof(self) -> None:
        self.is_half_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


class Endpoint:
    """Either kind."""

    def __init__(self) -> None:
        self.deliveries: list[Any] = []
        self.outcomes: list[tuple[Any, int, list[Any]]] = []
        self.credits = 0
        self.is_detached = False

    def received(self, delivery: Any) -> None:
        self.deliveries.append(delivery)

    def credited(self) -> None:
        self.credits += 1

    def settled(self, delivery: Any, outcome: int, fields: list[Any]) -> None:
        self.outcomes.append((delivery, outcome, fields))

    def detached(self) -> None:
        self.is_detached = True


class Container:
    """Accepts every link to anything but "later" and "never"."""

    container_id = "test"
    has_more_to_say = False

    def __init__(self) -> None:
        self.links: dict[str, Any] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.events: list[str] = []

    def connected(self, connection: Connection) -> None:
        self.events.append("connected")

    def log_in(self, connection: Connection, init: Any) -> bool:
        return init.mechanism != "PLAIN" or init.credentials() == ("me", "secret")

    def opened(self, connection: Connection) -> None:
        self.events.append("opened")

    def disconnected(self, connection: Connection) -> None:
        self.events.append("disconnected")

    def attach(self, link: Any) -> None:
        endpoint = self.endpoints[link.name] = Endpoint()
        self.links[link.name] = link
        if link.address() == "never":
            link.refuse("amqp:not-found", "no such thing")
        elif link.address() == "later":
            link.endpoint = endpoint
        elif link.address() == "fault":
            raise RuntimeError("a fault of the bus")
        else:
            link.accept(endpoint, max_message_size=100)


class Peer:
    """Feeds a connection with bytes and reads its answers."""

    def __init__(self) -> None:
        self.container = Container()
        self.transport = Transport()
        self.connection = Connection(self.container)
        self.connection.connection_made(self.transport)
        self._unread = b""

    def send(self, *data: bytes) -> list[Frame]:
        """Feed, and the frames of the answer."""
        whole = b"".join(data)
        while whole:
            size = min(len(whole), len(buffer := self.connection.get_buffer(-1)))
            buffer[:size] = whole[:size]
            self.connection.buffer_updated(size)
            whole = whole[size:]
        return self.receive()

    def receive(self) -> list[Frame]:
        """What was written since the last time."""
        written, self.transport.writes = b"".join(self.transport.writes), []
        found, self._unread = split(self._unread + written)
        return found

    async def settle(self) -> list[Frame]:
        """What is written in this turn of the loop."""
        await asyncio.sleep(0)
        return self.receive()

    def endpoint(self, name: str) -> Endpoint:
        return self.container.endpoints[name]

    def link(self, name: str) -> Any:
        return self.container.links[name]

    def is_attached(self, name: str) -> bool:
        return self.link(name).state is LinkState.ATTACHED


@pytest.fixture
async def new_peer() -> Peer:
    """One that has not said anything yet."""
    return Peer()


@pytest.fixture
async def peer(new_peer: Peer) -> Peer:
    """One with a session on channel 0."""
    new_peer.send(HELLO)
    return new_peer
