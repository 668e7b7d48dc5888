"""The unmodified azure-servicebus client on a local bus: to a test the sync client looks like the aio one."""

from __future__ import annotations

import asyncio
import functools
import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient as AioServiceBusClient

DEAD_LETTER = ServiceBusSubQueue.DEAD_LETTER
RECEIVE_AND_DELETE = ServiceBusReceiveMode.RECEIVE_AND_DELETE
QUEUES_OF_A_KIND = 80
OPENED_AT_ONCE = 6


def configuration(kinds: Mapping[str, Mapping[str, Any]], queues: list[dict], topics: list[dict]) -> dict[str, Any]:
    """A configuration in the emulator's format: many queues of each kind, so that each test has its own."""
    numbered = [
        {"Name": f"{kind}-{number}", "Properties": dict(properties)}
        for kind, properties in {"plain": {}, **kinds}.items()
        for number in range(QUEUES_OF_A_KIND)
    ]
    namespace = {"Name": "sbemulatorns", "Queues": numbered + queues, "Topics": topics}
    return {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}


_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_threads = ThreadPoolExecutor(32, "sync client")  # the client sleeps for up to a second in many of its calls


async def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The function's result, without the event loop waiting for it."""
    return await asyncio.get_running_loop().run_in_executor(_threads, functools.partial(function, *arguments, **named))


class InThreads:
    """A sender, receiver or session of the sync client whose calls run in a thread and are awaited."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if name == "session" and value is not None:
            return InThreads(value)
        if not callable(value):
            return value

        async def call(*arguments: Any, **named: Any) -> Any:
            return await in_thread(value, *arguments, **named)

        return call

    async def __aiter__(self) -> AsyncIterator[Any]:
        messages, end = iter(self._wrapped), object()
        while (message := await in_thread(next, messages, end)) is not end:
            yield message

    async def __aenter__(self) -> InThreads:
        await in_thread(self._wrapped.__enter__)
        return self

    async def __aexit__(self, *error: object) -> None:
        await in_thread(self._wrapped.__exit__, *error)


class Bus:
    """A running bus and its clients, which never retry. An entity is a queue's name, or `topic/subscription`.

    The client takes half a second to open a sender or receiver, most of it asleep. So those of several queues are
    opened at once, ahead of the tests, and one of each kind serves all that a test does not ask for by options.
    """

    def __init__(
        self,
        connection_string: str,
        kinds: Mapping[str, Mapping[str, Any]] | None = None,
        numbers: dict[str, Iterator[int]] | None = None,
        *,
        is_async: bool = True,
    ) -> None:
        self.connection_string = connection_string
        self.is_async = is_async
        kind = AioServiceBusClient if is_async else ServiceBusClient
        # Without a context of its own the client reads the list of all certificate authorities for each connection.
        self.client = kind.from_connection_string(connection_string, retry_total=0, ssl_context=_NO_TLS)
        self._kinds = {"plain": {}, **(kinds or {})}
        self._numbers = numbers if numbers is not None else {}
        self._ready: dict[str, list[str]] = {}
        self._open: list[Any] = []
        self._shared: dict[tuple[str, ...], Any] = {}

    async def queue(self, kind: str = "plain") -> str:
        """A queue of that kind which no other test has."""
        ready = self._ready.setdefault(kind, [])
        if not ready:
            numbers = self._numbers.setdefault(kind, itertools.count())
            ready += [f"{kind}-{number}" for number in itertools.islice(numbers, OPENED_AT_ONCE)]
            openings = [self.sender(name) for name in ready]
            if not self._kinds[kind].get("RequiresSession"):
                openings += [self.shared(name) for name in ready]
            await asyncio.gather(*openings)
        return ready.pop(0)

    async def sender(self, name: str) -> Any:
        """The open sender for a queue or topic. Raises what opening raises."""
        key = ("send", name)
        if key not in self._shared:
            self._shared[key] = await self._opened(self.client.get_queue_sender(name))
        return self._shared[key]

    async def receiver(self, entity: str, **options: Any) -> Any:
        """A new open receiver, closed at the end of the module. Raises what opening raises."""
        topic, _, subscription = entity.partition("/")
        if subscription:
            return await self._opened(self.client.get_subscription_receiver(topic, subscription, **options))
        return await self._opened(self.client.get_queue_receiver(entity, **options))

    async def _opened(self, handler: Any) -> Any:
        handler = handler if self.is_async else InThreads(handler)
        await handler.__aenter__()
        self._open.append(handler)
        return handler

    async def send(self, name: str, *messages: ServiceBusMessage | str, **properties: Any) -> None:
        """Send one after the other; `properties` are those of messages given as text."""
        sender = await self.sender(name)
        for message in messages:
            await sender.send_messages(
                ServiceBusMessage(message, **properties) if isinstance(message, str) else message
            )

    async def receive(self, entity: str, count: int = 1, *, wait: float = 10, **options: Any) -> list[Any]:
        """`count` messages, by the shared receiver."""
        receiver = await self.shared(entity, **options)
        return await receiver.receive_messages(max_message_count=count, max_wait_time=wait)

    async def shared(self, entity: str, **options: Any) -> Any:
        """The open receiver for an entity and options that receive(), complete() and peek() use."""
        key = ("receive", entity, repr(sorted(options.items())))
        if key not in self._shared:
            self._shared[key] = await self.receiver(entity, **options)
        return self._shared[key]

    async def complete(self, entity: str, *messages: Any, **options: Any) -> None:
        """Complete what receive() brought."""
        receiver = await self.shared(entity, **options)
        for message in messages:
            await receiver.complete_message(message)

    async def peek(self, entity: str, count: int = 100, **options: Any) -> list[ServiceBusReceivedMessage]:
        """What the entity holds, from its first message on."""
        receiver = await self.shared(entity, **options)
        return await receiver.peek_messages(count, sequence_number=1)

    async def dead_letters(self, entity: str) -> list[ServiceBusReceivedMessage]:
        """What the entity's dead-letter queue holds."""
        return await self.peek(entity, sub_queue=DEAD_LETTER)

    async def until_peeked(self, entity: str, count: int, **options: Any) -> list[ServiceBusReceivedMessage]:
        """Wait until the entity holds `count` messages, and peek them. Raises TimeoutError."""
        async with asyncio.timeout(100):
            while len(found := await self.peek(entity, **options)) != count:
                await asyncio.sleep(0.02)
        return found

    async def aclose(self) -> None:
        """Close all at once: each close takes the client up to a second of waiting."""
        await asyncio.gather(*(handler.close() for handler in self._open))
        if self.is_async:
            await self.client.close()
        else:
            await in_thread(self.client.close)


def bodies(messages: list[ServiceBusReceivedMessage]) -> list[str]:
    """The texts of the messages."""
    return [str(message) for message in messages]


def now() -> datetime:
    """The time as the client writes it."""
    return datetime.now(UTC)


async def until(moment: datetime) -> None:
    """Sleep until just after a moment."""
    await asyncio.sleep(max((moment - now()) / timedelta(seconds=1), 0) + 0.02)
