"""Replay: what failed goes back to where it came from, and only then its dead letter goes.

It may be interrupted anywhere: the letter is still there, and the same replay goes on where it stopped
(see `jobs.putting_back`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError

from jobs import bodies, dead_letters, letters, telemetry
from jobs.errors import JobError, LetterBusyError, LetterNotFoundError, TransientError
from jobs.letters import DeadLetter
from jobs.links import Link, links
from jobs.putting_back import put_back

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

MOST_AT_ONCE = 100
PATIENCE = 1.0
"""Seconds to wait for a dead letter that may not be there."""
SECONDS_HELD = 20.0
"""What is taken at once is settled within that time, well within the queue's lock duration."""

Act = Callable[["ServiceBusReceivedMessage", DeadLetter], Awaitable[str | None]]


@dataclass(frozen=True)
class Outcome:
    """What became of one dead letter. Without an error it is gone."""

    id: str
    where: str | None = None
    """Where it was put back."""
    error: JobError | None = None

    def to_dict(self) -> dict[str, Any]:
        """What the command line and HTTP show."""
        shown: dict[str, Any] = {"id": self.id, "done": self.error is None}
        if self.where:
            shown["where"] = self.where
        if self.error:
            shown["error"] = self.error.to_dict()
        return shown


async def replay(ids: Sequence[str], *, rate: float | None = None) -> AsyncIterator[Outcome]:
    """Put back what failed, letter by letter, at most `rate` a second.

    Errors of a letter are in its outcome: LetterNotFoundError, LetterBusyError, ReplayRefusedError, BodyMissingError.
    Raises ServiceBusUnavailableError, SettingMissingError.
    """
    async for outcome in _each(ids, "LetterReplayed", put_back, rate):
        yield outcome


async def discard(ids: Sequence[str]) -> AsyncIterator[Outcome]:
    """Throw dead letters away, and the bodies of messages with them; a job stays Failed. Outcomes as in `replay`."""
    async for outcome in _each(ids, "LetterDiscarded", _leave, None):
        yield outcome


async def _leave(message: ServiceBusReceivedMessage, dead: DeadLetter) -> None:
    return None


async def _each(ids: Sequence[str], event: str, act: Act, rate: float | None) -> AsyncIterator[Outcome]:
    wanted: dict[str, set[int]] = {}
    for id in ids:
        try:
            queue, number = letters.place(id)
        except LetterNotFoundError as error:
            yield Outcome(id, error=error)
        else:
            wanted.setdefault(queue, set()).add(number)
    pace = _Pace(rate)
    for queue, numbers in wanted.items():
        link = Link(queue, dead_letters=True, takes=True)
        async with links().lent(link) as receiver:
            for some in _portions(sorted(numbers), rate):
                async with _Taken(receiver, some) as taken:
                    for number in some:
                        await pace.wait()
                        message = taken.pop(number)
                        if message is None:
                            yield Outcome(f"{queue}-{number}", error=await _missing(f"{queue}-{number}"))
                        else:
                            yield await _settle(receiver, message, letters.read(queue, message), event, act)
        # It has asked for more than it took, which others shall get.
        await links().drop(link)


def _portions(numbers: list[int], rate: float | None) -> list[list[int]]:
    size = MOST_AT_ONCE if rate is None else min(MOST_AT_ONCE, max(1, int(rate * SECONDS_HELD)))
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]


async def _settle(
    receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage, dead: DeadLetter, event: str, act: Act
) -> Outcome:
    try:
        where = await act(message, dead)
        await receiver.complete_message(message)
        if dead.letter.body:
            await bodies.forget(dead.letter.body)
    except JobError as error:
        await _let_go(receiver, [message])
        return Outcome(dead.id, error=error)
    except AzureError as error:
        await _let_go(receiver, [message])
        return Outcome(dead.id, error=TransientError(f"not finished ({type(error).__name__}): do it once more"))
    telemetry.letter_settled(event, dead.id, dead.letter, where)
    return Outcome(dead.id, where)


async def _missing(id: str) -> JobError:
    try:
        await dead_letters.get(id)
    except LetterNotFoundError as error:
        return error
    return LetterBusyError(f"somebody else holds dead letter {id}: try again in a minute")


async def _let_go(receiver: ServiceBusReceiver, messages: Iterable[ServiceBusReceivedMessage]) -> None:
    """Let others have them. What cannot be let go of now comes free when its lock runs out."""
    await asyncio.gather(*map(receiver.abandon_message, messages), return_exceptions=True)


class _Taken:
    """Dead letters that are held inside the block; those that nobody has popped are let go of at its end.

    The bus hands dead letters out in their order only, so those that come before a wanted one are held until all wanted
    ones have come.
    """

    def __init__(self, receiver: ServiceBusReceiver, numbers: Sequence[int]) -> None:
        self._receiver = receiver
        self._wanted = set(numbers)
        self._held: dict[int, ServiceBusReceivedMessage] = {}

    async def __aenter__(self) -> _Taken:
        try:
            while not self._wanted <= self._held.keys():
                received = await self._receiver.receive_messages(MOST_AT_ONCE, max_wait_time=PATIENCE)
                comes_again = all(message.sequence_number in self._held for message in received)
                self._held |= {message.sequence_number: message for message in received}
                # Nothing came; or their locks ran out, and they came once more: then there is nothing else.
                if comes_again:
                    break
        except BaseException:
            await _let_go(self._receiver, self._held.values())
            raise
        await _let_go(self._receiver, [self._held.pop(number) for number in self._held.keys() - self._wanted])
        return self

    async def __aexit__(self, *_: object) -> None:
        await _let_go(self._receiver, self._held.values())

    def pop(self, number: int) -> ServiceBusReceivedMessage | None:
        """One of them, which is the caller's to settle; None if it did not come."""
        return self._held.pop(number, None)


class _Pace:
    """Lets at most so many pass in a second."""

    def __init__(self, rate: float | None) -> None:
        self._seconds = 1 / rate if rate else 0.0
        self._next = time.monotonic()

    async def wait(self) -> None:
        await asyncio.sleep(max(0.0, self._next - time.monotonic()))
        self._next = max(self._next, time.monotonic()) + self._seconds
