"""Remembers the message ids that an entity has seen within its duplicate detection window."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from devhost.servicebus.store import Store


class DuplicateHistory:
    """Message ids by the moment (ms) of their first message. A repetition does not make its id newer."""

    def __init__(self, queue_id: int, store: Store) -> None:
        self._queue_id = queue_id
        self._store = store
        self._seen: OrderedDict[str, int] = OrderedDict()

    def is_repeated(self, message_id: Any, now: int, window: int) -> bool:
        """Whether the id was seen in the last `window` ms; if not, it is from now on. None is never repeated."""
        self._forget(now - window)
        if message_id is None:
            return False
        key = message_id.hex() if isinstance(message_id, bytes) else str(message_id)
        if key in self._seen:
            return True
        self._seen[key] = now
        self._store.save_message_id(self._queue_id, key, now)
        return False

    def restore(self, message_id: str, moment: int) -> None:
        """An id from before a restart; they come by moment."""
        self._seen[message_id] = moment

    def clear(self) -> None:
        """Nothing was seen."""
        for message_id in self._seen:
            self._store.remove_message_id(self._queue_id, message_id)
        self._seen.clear()

    def _forget(self, until: int) -> None:
        seen = self._seen
        while seen:
            message_id = next(iter(seen))
            if seen[message_id] > until:
                return
            del seen[message_id]
            self._store.remove_message_id(self._queue_id, message_id)
