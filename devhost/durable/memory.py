"""What an engine keeps of instances between their episodes, so that histories need not be read back and parsed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from devhost.durable.execution import Execution

MAXIMUM_CHARACTERS = 64 * 1024 * 1024


@dataclass(slots=True)
class Kept:
    """An instance after its last episode."""

    revision: int
    execution: Execution | None
    entity_state: str | None = None

    @property
    def size(self) -> int:
        """Roughly, in characters."""
        return len(self.execution.history) if self.execution is not None else len(self.entity_state or "")


class Memory:
    """The instances that were used last, up to a total size."""

    def __init__(self, maximum: int = MAXIMUM_CHARACTERS) -> None:
        self._maximum = maximum
        self._size = 0
        self._kept: OrderedDict[str, tuple[Kept, int]] = OrderedDict()

    def take(self, instance_id: str) -> Kept | None:
        """What is kept of an instance; it is kept no longer (an episode changes it)."""
        kept, size = self._kept.pop(instance_id, (None, 0))
        self._size -= size
        return kept

    def put(self, instance_id: str, kept: Kept) -> None:
        """Keep an instance; the ones unused for longest make room."""
        self.take(instance_id)
        self._kept[instance_id] = (kept, kept.size)
        self._size += kept.size
        while self._size > self._maximum and len(self._kept) > 1:
            _, (_, size) = self._kept.popitem(last=False)
            self._size -= size
