"""The way into the dead-letter queue of `poison-jobs`: a letter is sent there, received from there and dead-lettered.

The two steps are apart, since the bus dead-letters only what was received. A crash in between leaves the letter active
in the queue; it says itself with what reason it is to be dead-lettered, so whoever receives it can finish its move: a
mover, for each takes out as many letters as it puts in, and the watchdog, who takes all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from jobs import letters, telemetry
from jobs.clients import Clients, clients
from jobs.errors import ServiceBusUnavailableError
from jobs.links import Link, links

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

INTO = Link(letters.POISON_JOBS, sends=True)
OUT_OF = Link(letters.POISON_JOBS)
MOST_AT_ONCE = 100
PATIENCE = 1.0
"""Seconds to wait for a letter that was sent: it does not come if the bus dropped it as a duplicate."""

PAUSE = 5.0
"""Seconds between two looks at what is left."""

_Waiting = tuple["ServiceBusMessage", asyncio.Future[None]]


class Mover:
    """Moves the letters of one process, those that come at the same time together.

    If it could not finish as many moves as it began it stays until none is left: whoever was killed in a move keeps the
    letter's lock for a while.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._came = asyncio.Event()
        self._some_are_left = False
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
        while self._waiting or self._some_are_left:
            try:
                if self._waiting:
                    await self._move_some()
                else:
                    self._came.clear()
                    await _within(PAUSE, self._came)
                    await self._finish_what_is_left()
            except BaseException as error:
                waiting, self._waiting = self._waiting, []
                for _, done in waiting:
                    _settle(done, error)
                if not isinstance(error, Exception):
                    raise
                if not waiting:
                    telemetry.move_unfinished(error)

    async def _move_some(self) -> None:
        await links().open(INTO, OUT_OF)
        taken = await self._send_some()
        if not await _finish(len(taken)):
            self._some_are_left = True
        del self._waiting[: len(taken)]
        for done in taken:
            _settle(done)

    async def _send_some(self) -> list[asyncio.Future[None]]:
        """Send as many letters as fit into one batch; from then on they are kept."""
        taken: list[asyncio.Future[None]] = []
        async with links().lent(INTO) as sender:
            batch = await sender.create_message_batch()
            for message, done in self._waiting[:MOST_AT_ONCE]:
                try:
                    batch.add_message(message)
                except ValueError:
                    # The batch is full: the rest is for the next one.
                    break
                taken.append(done)
            await sender.send_messages(batch)
        return taken

    async def _finish_what_is_left(self) -> None:
        await finish_all()
        async with links().lent(OUT_OF) as receiver:
            self._some_are_left = bool(await receiver.peek_messages(1, sequence_number=1))


async def _finish(count: int) -> bool:
    """Finish as many moves as were begun, and return whether that went well. The letters are kept in any case."""
    try:
        async with links().lent(OUT_OF) as receiver:
            while count and (finished := await _finish_some(receiver, count)):
                count -= finished
        if count:
            # The bus would give this receiver, which asked for more, what others wait for.
            await links().drop(OUT_OF)
    except ServiceBusUnavailableError as error:
        telemetry.move_unfinished(error)
    return not count


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
    async with links().lent(OUT_OF) as receiver:
        while await receiver.peek_messages(1, sequence_number=1):
            finished = await _finish_some(receiver, MOST_AT_ONCE)
            if not finished:
                # Somebody else is at it.
                break
            moved += finished
    if moved:
        await links().drop(OUT_OF)
    return moved


async def _finish_some(receiver: ServiceBusReceiver, most: int) -> int:
    """Dead-letter up to so many letters, each as it says, and return their number: 0 when none came for a while."""
    received = await receiver.receive_messages(most, max_wait_time=PATIENCE)
    results = await asyncio.gather(*(_dead_letter(receiver, each) for each in received), return_exceptions=True)
    if failed := [result for result in results if isinstance(result, BaseException)]:
        raise failed[0]
    return len(received)


async def _dead_letter(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
    said = letters.said_of(message)
    await receiver.dead_letter_message(
        message,
        reason=said.get("reason") or "Unknown",
        error_description=said.get("description") or "something else than the app put it into this queue",
    )


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
