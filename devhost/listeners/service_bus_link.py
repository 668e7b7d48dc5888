"""One receiving link of the Service Bus SDK, whose connection one task reads while many others settle.

The SDK's receiver is made for one caller at a time: whoever waits (for a message, an outcome, a renewal) reads the
connection himself, for up to 0.2 s; nobody can write meanwhile, and a frame that somebody else was waiting for is only
noticed when that time is over. A listener receives, settles and renews at once, so here one task reads, and all who
wait look again after each frame. Credit is given by hand, because receive_messages() either waits 0.2 s for more or
asks for one message at a time. That takes a few of the SDK's private parts; all of them are in this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azure.servicebus.aio._async_utils import create_authentication
from azure.servicebus.exceptions import ServiceBusConnectionError, ServiceBusError

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

_log = logging.getLogger("devhost.servicebus")
_sdk_log = logging.getLogger("azure.servicebus")
"""For what the SDK says: it calls it an error, each minute, that no session has come."""

_ATTACH_SENT, _ATTACHED = 1, 3
_LOOK_AGAIN = 0.2
"""Seconds after which a waiting call of the SDK checks its own time limit, as it does by itself."""
_CARE_INTERVAL = 20.0
"""Seconds between looks at the token's age and the connection's heartbeat."""
_ECHO_PATIENCE = 5.0
"""Seconds to wait for the answer to a flow with echo, which AMQP 1.0 asks of every peer."""


class ReceiveLink:
    """A receiver that hands each message to `on_message` when it arrives, as long as it has credit."""

    def __init__(
        self,
        receiver: ServiceBusReceiver,
        on_message: Callable[[ServiceBusReceivedMessage], None],
        on_lost: Callable[[ServiceBusError], None],
    ) -> None:
        """`on_lost` is called once, if an open link breaks; after it only close() makes sense."""
        self.receiver = receiver
        self._on_message = on_message
        self._on_lost = on_lost
        self._handler: Any = None
        self._read_one: Callable[..., Any] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._care: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._echoes: list[asyncio.Future[None]] = []
        self._error: ServiceBusError | None = None
        self._is_open = False

    # Life

    async def open(self) -> None:
        """Connect and attach; for a session receiver that takes until a session is free. Raises ServiceBusError."""
        receiver = self.receiver
        receiver._create_handler(await create_authentication(receiver))
        handler = self._handler = receiver._handler
        handler._keep_alive_interval = 0  # its task would read too; _look_after() does what it is for
        handler._message_received_async = self._arrived
        try:
            await handler.open_async()
            self._share_connection(handler._connection)
            while not await handler.client_ready_async():
                if self._error is not None:
                    raise self._error
        except BaseException as error:
            await self.close()
            if isinstance(error, Exception):
                raise self._explained(error) from error
            raise
        receiver._running = self._is_open = True
        self._care = asyncio.create_task(self._look_after())

    def _share_connection(self, connection: Any) -> None:
        self._read_one = connection.listen
        connection.listen = self._wait_for_frame
        # The SDK's own write() waits for the lock that a reader holds for as long as nothing comes.
        connection._transport.write = connection._transport._write
        session = self._handler._session
        incoming_flow = session._incoming_flow

        async def flow(frame: Any) -> None:
            await incoming_flow(frame)
            self._answer_echoes()

        session._incoming_flow = flow
        self._reader = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Detach and disconnect at once. Messages that arrived and were not settled stay locked until that ends."""
        self._is_open = False
        for task in (self._care, self._reader):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait({task})
        self._care = self._reader = None
        connection = self._handler._connection if self._handler is not None else None
        if self._read_one is not None and connection is not None:
            connection.listen = self._read_one
        if self._handler is not None and self._handler._link is not None:
            self._handler._link.current_link_credit = 0  # the SDK would drain what drain() has drained
        with contextlib.suppress(Exception):
            await self.receiver.close()

    @property
    def is_attaching(self) -> bool:
        """Whether the service was asked for the link (the next session) and has not answered."""
        return self._reader is not None and self._state == _ATTACH_SENT

    @property
    def is_attached(self) -> bool:
        """Whether the service has granted the link, and it is not closed."""
        return self._reader is not None and self._state == _ATTACHED

    @property
    def _state(self) -> int | None:
        link = self._handler._link if self._handler is not None else None
        return None if link is None else link.state.value

    # Credit

    async def grant(self, credit: int) -> None:
        """Let up to `credit` more messages come, counted from now. Raises ServiceBusError."""
        await self._send_flow(link_credit=credit)

    @property
    def credit(self) -> int:
        """How many messages may still come."""
        return self._handler._link.current_link_credit

    async def drain(self) -> None:
        """Take the credit back; what the service had sent before has arrived on return. Raises ServiceBusError."""
        if self.credit > 0:
            await self._send_flow(link_credit=0)
        await self.settled_down()

    async def settled_down(self) -> None:
        """Return when all that the service had sent by now has arrived, by asking it for an echo."""
        if self._handler is None or self._handler._session is None or self._reader is None:
            return
        echo = asyncio.get_running_loop().create_future()
        self._echoes.append(echo)
        try:
            async with asyncio.timeout(_ECHO_PATIENCE):
                await self._handler._session._outgoing_flow({"echo": True})
                await echo
        except TimeoutError:
            _log.debug("%s does not answer a flow with echo", self.receiver.fully_qualified_namespace)
        except Exception as error:
            raise self._explained(error) from error

    async def release(self, message: ServiceBusReceivedMessage) -> None:
        """Give a message back as if it had never been delivered; its delivery count stays. Raises ServiceBusError."""
        try:
            await self._handler.settle_messages_async(message._delivery_id, message._delivery_tag, "released")
        except Exception as error:
            raise self._explained(error) from error

    async def _send_flow(self, **given: Any) -> None:
        try:
            await self._handler._link.flow(**given)
        except Exception as error:
            raise self._explained(error) from error

    # The one that reads, and those that wait

    async def _read(self) -> None:
        connection = self._handler._connection
        try:
            while True:
                with contextlib.suppress(ValueError):  # an attach that refuses; the detach with its reason follows
                    await self._read_one(wait=True)
                link = self._handler._link
                if connection._error is not None:
                    raise connection._error
                if link is not None:
                    state = link.get_state().value
                    if self._is_open and state != _ATTACHED:
                        raise ServiceBusConnectionError(message="The link was detached.")
                self._wake()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._error = self._explained(error)
            self._wake()
            self._answer_echoes()
            if self._is_open:
                self._on_lost(self._error)

    async def _wait_for_frame(self, wait: float | bool = False, batch: int = 1, **_: Any) -> None:
        """Stands in for the connection's listen(): return after the next frame, or after a while."""
        if self._error is not None:
            raise self._error
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.add(waiter)
        timer = loop.call_later(_LOOK_AGAIN, _release, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting.discard(waiter)
        if self._error is not None:
            raise self._error

    def _answer_echoes(self) -> None:
        echoes, self._echoes = self._echoes, []
        for echo in echoes:
            _release(echo)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            _release(waiter)

    async def _arrived(self, frame: Any, message: Any) -> None:
        self._handler._last_activity_timestamp = time.time()
        self._on_message(self.receiver._build_received_message((frame, message)))

    async def _look_after(self) -> None:
        """What the SDK does between frames: renew the token, and send the heartbeat that the service asks for."""
        with contextlib.suppress(Exception):  # a broken connection is noticed by the reader
            while True:
                await asyncio.sleep(_CARE_INTERVAL)
                await self._handler.auth_complete_async()
                await self._handler._connection._get_remote_timeout(time.time())

    def _explained(self, error: Exception) -> ServiceBusError:
        if isinstance(error, ServiceBusError):
            return error
        return self.receiver._amqp_transport.create_servicebus_exception(_sdk_log, error)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
