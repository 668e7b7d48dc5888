"""Finds the messages from a sequence number on, among many."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from devhost.servicebus.brokered_message import BrokeredMessage

_SLACK = 64


class SequenceIndex:
    """Messages by sequence number.

    The sorted list of numbers may hold some that are gone: they are swept out when they outnumber the others, or
    when a walk has stumbled over many, so that a look at a page of a long queue costs what the page costs.
    """

    __slots__ = ("messages", "_numbers", "_is_sorted")

    def __init__(self) -> None:
        self.messages: dict[int, BrokeredMessage] = {}
        self._numbers: list[int] = []
        self._is_sorted = True

    def __len__(self) -> int:
        return len(self.messages)

    def add(self, message: BrokeredMessage) -> None:
        """Numbers mostly rise; those that do not (in dead-letter queues) cost a sort at the next walk."""
        number = message.sequence_number
        numbers = self._numbers
        if numbers and number <= numbers[-1]:
            self._is_sorted = False
        self.messages[number] = message
        numbers.append(number)
        if len(numbers) > 2 * len(self.messages) + _SLACK:
            self._sweep()

    def remove(self, message: BrokeredMessage) -> None:
        """It is gone."""
        del self.messages[message.sequence_number]

    def walk(self, first: int) -> Iterator[BrokeredMessage]:
        """The messages from number `first` on, in order. The index must not change meanwhile."""
        if not self._is_sorted:
            self._sweep()
        numbers = self._numbers
        gone = 0
        for position in range(bisect_left(numbers, first), len(numbers)):
            message = self.messages.get(numbers[position])
            if message is None:
                gone += 1
                if gone == _SLACK * 8:
                    first = numbers[position]
                    break
            else:
                yield message
        else:
            return
        self._sweep()
        yield from self.walk(first)

    def _sweep(self) -> None:
        self._numbers = sorted(self.messages)
        self._is_sorted = True
