"""External events and who waits for them, exactly as the SDK pairs them (durable.md §1.5).

An event ends the wait of its name that was opened last. One that comes before any wait is kept, and ends the next wait
of its name and every later one too: the SDK never forgets it. Places are positions of events within an episode.
"""

from __future__ import annotations

from devhost.durable.tasks import Task


class Waits:
    """The external events of one execution."""

    def __init__(self) -> None:
        self._open: dict[str, list[Task]] = {}
        self._kept: set[str] = set()
        self._early: list[tuple[int, str]] = []

    def begin(self) -> None:
        """An episode starts."""
        self._early = []

    def end(self) -> None:
        """The episode's actions are known: events that nobody has taken are kept."""
        self._kept.update(name for _, name in self._early)

    def raised(self, name: str, place: int) -> Task | None:
        """An event came: the wait that it ends, or None."""
        waiting = self._open.get(name)
        if waiting:
            return waiting.pop()
        self._early.append((place, name))
        return None

    def opened(self, wait: Task, place: int) -> int | None:
        """The orchestrator came to a wait at `place`: the place at which it ends, None when it stays open."""
        name = wait.action["externalEventName"]
        mine = [item for item in self._early if item[1] == name]
        before = [item for item in mine if item[0] <= place]
        if name in self._kept or before:
            self._early = [item for item in self._early if item not in before]
            self._kept.add(name)
            return place
        if mine:
            self._early.remove(mine[0])
            return mine[0][0]
        self._open.setdefault(name, []).append(wait)
        return None

    def unclaimed_after(self, place: int) -> list[int]:
        """Places of the events behind `place` that nobody has taken."""
        return [item for item, _ in self._early if item > place]
