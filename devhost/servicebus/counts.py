"""How many messages an entity holds, and when it was last touched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Of a queue, topic or subscription. Moments in ms since 1970."""

    active: int = 0
    """Locked and deferred ones too, as in the cloud."""
    dead_letter: int = 0
    scheduled: int = 0
    transfer: int = 0
    """Always 0: forwarding is done at once."""
    transfer_dead_letter: int = 0
    size_in_bytes: int = 0
    created_at: int = 0
    updated_at: int = 0
    accessed_at: int = 0
    """When messages were last sent or asked for, since the bus was started."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.active + self.dead_letter + self.scheduled + self.transfer + self.transfer_dead_letter
