"""The queue service of a storage account, as its queues."""

from __future__ import annotations

from devhost.storage.connections import Account
from devhost.storage.queue import Queue
from devhost.storage.service import StorageService


class QueueService(StorageService):
    """The queues of one account."""

    kind = "queue"

    def __init__(self, account: Account) -> None:
        """Raises InvalidConnectionError if the account has no queue endpoint."""
        super().__init__(account)
        self._queues: dict[str, Queue] = {}

    def queue(self, name: str) -> Queue:
        """The queue of that name, lower-cased as the real host does; always the same object for a name."""
        name = name.lower()
        if name not in self._queues:
            self._queues[name] = Queue(self, name)
        return self._queues[name]
