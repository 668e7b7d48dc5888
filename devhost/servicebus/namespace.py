"""What all entities of one bus share: the clock, the agenda, the store, and how they find each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from devhost.servicebus.agenda import Agenda
from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.message import Message
from devhost.servicebus.store import Store

if TYPE_CHECKING:
    from devhost.servicebus.target import Target


class Namespace:
    """Handed to every entity."""

    def __init__(self, store: Store, now: Callable[[], int], find_target: Callable[[str], Target]) -> None:
        """`now` answers in ms since 1970. `find_target` raises EntityNotFoundError."""
        self.store = store
        self.now = now
        self.find_target = find_target
        self.agenda = Agenda()
        self.last_row_id = 0

    def catch_up(self) -> int:
        """Do what has become due, so that an operation finds things as they are by now. Returns the moment."""
        now = self.now()
        if self.agenda.is_due(now):
            self.agenda.run(now)
        return now

    def receive(self, message: Message) -> BrokeredMessage:
        """A message that is new here."""
        self.last_row_id += 1
        return BrokeredMessage(self.last_row_id, message)
