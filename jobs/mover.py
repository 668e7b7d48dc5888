"""The way into the dead-letter queue of `poison-jobs`: a letter is sent there, received from there and dead-lettered.

The two steps are apart, since the bus dead-letters only what was received. A crash in between leaves the letter active
in the queue; it says itself with what reason it is to be dead-lettered, so whoever receives it can finish its move: the
next mover does, for each mover takes out as many letters as it puts in, and the watchdog does for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from azure.core.exceptions import AzureError

from jobs import letters, telemetry
from jobs.clients import Clients, clients
from jobs.errors import ServiceBusUnavailableError

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

MOST_AT_ONCE = 100
PATIENCE = 1.0
"""Seconds to wait for a letter that was sent: it does not come if the bus dropped it as a duplicate."""
LINGER = 2.0
"""Seconds for which an idle mover keeps its connections."""

_Waiting = tuple["ServiceBusMessage", asyncio.Future[None]]


class Mover:
    """Moves the letters of one process, those that come at the same time together.

    Senders and receivers are not safe for concurrent use, so one task has them. It ends when nothing comes for a
    while: an idle receiver asks the bus for messages all the same, and keeps them from the movers of other processes.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def move(self, message: ServiceBusMessage) -> None:
        """Send a letter and dead-letter it. When this returns the letter is kept, in one of the two queues.

        Raises ServiceBusUnavailableError, SettingMissingError: the letter may not have been kept.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, done))
        self._came.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await done

    async def stop(self) -> None:
        """Stop moving. Whoever still waits for a letter of theirs gets a CancelledError."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            # Again from the beginning for what comes while the connections are closed.
            while self._waiting:
                async with bus_errors(), self._links() as (sender, receiver):
                    while self._waiting:
                        await self._move_some(sender, receiver)
                        self._came.clear()
                        if not self._waiting:
                            await _within(LINGER, self._came)
        except BaseException as error:
            waiting, self._waiting = self._waiting, []
            for _, done in waiting:
                _settle(done, error)
            if not isinstance(error, Exception):
                raise

    async def _move_some(self, sender: ServiceBusSender, receiver: ServiceBusReceiver) -> None:
        batch = await sender.create_message_batch()
        taken: list[asyncio.Future[None]] = []
        for message, done in self._waiting[:MOST_AT_ONCE]:
            try:
                batch.add_message(message)
            except ValueError:
                # The batch is full: the rest is for the next one.
                break
            taken.append(done)
        await sender.send_messages(batch)
        del self._waiting[: len(taken)]
        try:
            await finish(receiver, len(taken))
        except AzureError as error:
            # The letters are kept all the same, and others will finish what was begun.
            telemetry.move_unfinished(error)
        for done in taken:
            _settle(done)

    @asynccontextmanager
    async def _links(self) -> AsyncIterator[tuple[ServiceBusSender, ServiceBusReceiver]]:
        bus = clients().service_bus
        async with bus.get_queue_sender(letters.POISON_JOBS) as sender, open_receiver() as receiver:
            yield sender, receiver


def mover() -> Mover:
    """The mover of this event loop's clients."""
    shared = clients()
    if shared not in _movers:
        _movers[shared] = Mover()
        shared.before_closing(lambda: _movers.pop(shared).stop())
    return _movers[shared]


_movers: WeakKeyDictionary[Clients, Mover] = WeakKeyDictionary()


async def finish_all() -> int:
    """Finish every move that was begun, by whomever, and return their number. Raises ServiceBusUnavailableError."""
    moved = 0
    async with bus_errors(), open_receiver() as receiver:
        while finished := await finish(receiver, MOST_AT_ONCE):
            moved += finished
    return moved


def open_receiver() -> ServiceBusReceiver:
    """A receiver of the letters whose move was begun, for an `async with`."""
    return clients().service_bus.get_queue_receiver(letters.POISON_JOBS)


async def finish(receiver: ServiceBusReceiver, most: int) -> int:
    """Dead-letter up to so many letters, each as it says, and return their number; fewer come if there are fewer."""
    moved = 0
    while moved < most:
        received = await receiver.receive_messages(most - moved, max_wait_time=PATIENCE)
        if not received:
            break
        results = await asyncio.gather(*(_dead_letter(receiver, each) for each in received), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        moved += len(received)
    return moved


async def _dead_letter(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
    said = letters.said_of(message)
    await receiver.dead_letter_message(
        message,
        reason=said.get("reason", "Unknown"),
        error_description=said.get("description", "something else than the app put it into this queue"),
    )


@asynccontextmanager
async def bus_errors() -> AsyncIterator[None]:
    """Whatever the bus has to complain of inside the block is a ServiceBusUnavailableError."""
    try:
        yield
    except (AzureError, OSError, TimeoutError) as error:
        raise ServiceBusUnavailableError(
            f"the Service Bus did not do it ({type(error).__name__}): is it running, and does it have the queues of "
            "servicebus.json? On your own machine `make run` starts it"
        ) from error


def _settle(done: asyncio.Future[None], error: BaseException | None = None) -> None:
    if done.done():
        # Whoever waited has given up.
        return
    if error is None:
        done.set_result(None)
    elif isinstance(error, Exception):
        done.set_exception(error)
    else:
        done.cancel()


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
