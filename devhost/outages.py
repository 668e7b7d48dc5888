"""Says once that a service is away and once that it is back, however many listeners notice."""

from __future__ import annotations

import logging

_log = logging.getLogger("devhost.outages")


class Outages:
    """The services that are away at the moment. Shared by all listeners and bindings of a host."""

    def __init__(self) -> None:
        self._away: set[str] = set()

    def report(self, service: str, error: BaseException | str) -> None:
        """A call to `service` (its endpoint, best) failed because it does not answer. Logged once per outage."""
        if service not in self._away:
            self._away.add(service)
            _log.error("%s is unreachable (%s). Listeners keep trying and go on by themselves.", service, error)

    def recovered(self, service: str) -> None:
        """A call to `service` worked; cheap, so it may be called after each one."""
        if service in self._away:
            self._away.discard(service)
            _log.warning("%s answers again.", service)

    def is_away(self, service: str) -> bool:
        """Whether an outage of `service` has been reported and not ended."""
        return service in self._away
