"""The parcel carrier's rules, without HTTP: where each parcel is, and how it came there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sandbox.idempotency import Answer, Answers, RefusedError
from sandbox.models import Body, Booking, ParcelState, Tracking, WebhookTarget

JOURNEY: tuple[ParcelState, ...] = ("announced", "collected", "in-transit", "out-for-delivery", "delivered")
"""The states of a parcel with which all goes well."""
ENDS: tuple[ParcelState, ...] = ("delivered", "returned")


@dataclass(frozen=True, slots=True)
class Event:
    """A parcel has come to a state; its sequence numbers count from 1."""

    sequence: int
    state: ParcelState
    at: datetime

    def as_json(self) -> dict[str, Any]:
        return {"sequence": self.sequence, "state": self.state, "at": self.at.isoformat()}


@dataclass(slots=True)
class Parcel:
    """One parcel and all that has happened to it; the last event says where it is."""

    id: str
    reference: str
    events: list[Event] = field(default_factory=list)

    @property
    def state(self) -> ParcelState:
        return self.events[-1].state

    def enter(self, state: ParcelState) -> None:
        self.events.append(Event(len(self.events) + 1, state, datetime.now(UTC)))

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "state": self.state, "sequence": self.events[-1].sequence}


@dataclass(slots=True)
class Carrier:
    """Takes parcels and says where they are. Methods do not wait, so on one event loop each is atomic."""

    webhook: WebhookTarget | None = None
    journey: float | None = None
    """So many seconds each new parcel is in a state, if it travels by itself."""
    _parcels: dict[str, Parcel] = field(default_factory=dict)
    _answers: Answers = field(default_factory=Answers)

    def book(self, key: str, booking: Booking) -> Answer:
        """Announce a new parcel. Raises RefusedError (422 key)."""

        def book() -> Answer:
            parcel = Parcel(f"PX{uuid4().hex[:12].upper()}", booking.reference)
            parcel.enter("announced")
            self._parcels[parcel.id] = parcel
            return Answer(201, parcel.as_json())

        return self._answers.once(key, booking, book)

    def track(self, tracking: Tracking) -> Answer:
        """Where a parcel is, and how it came there. Raises RefusedError (404)."""
        parcel = self.parcel(tracking.parcel)
        return Answer(200, {**parcel.as_json(), "events": [event.as_json() for event in parcel.events]})

    def move(self, id: str, state: ParcelState) -> bool:
        """Enter that a parcel has come to a state. False when it was in it already. Raises RefusedError (404, 409)."""
        parcel = self.parcel(id)
        if parcel.state == state:
            return False
        if parcel.state in ENDS:
            raise RefusedError(409, "parcel_at_its_end", f"{id} is {parcel.state}, and goes nowhere any more")
        parcel.enter(state)
        return True

    def parcel(self, id: str) -> Parcel:
        """The parcel of that number. Raises RefusedError (404)."""
        if id not in self._parcels:
            raise RefusedError(404, "unknown_parcel", f"there is no parcel {id!r}")
        return self._parcels[id]

    def next_state(self, id: str) -> ParcelState | None:
        """The state that follows when all goes well; None at the end of the journey. Raises RefusedError (404)."""
        state = self.parcel(id).state
        return JOURNEY[JOURNEY.index(state) + 1] if state in JOURNEY[:-1] else None

    def subject(self, request: Body) -> dict[str, str]:
        """Which parcel a request is about: its `reference`, looked up where the body does not say."""
        known = self._parcels.get(getattr(request, "parcel", ""))
        reference = getattr(request, "reference", None) or (known.reference if known else None)
        return {"reference": reference} if reference else {}

    def as_json(self, reference: str | None = None) -> dict[str, Any]:
        """The parcels in the order they were booked, or those of one reference."""
        return {"parcels": list(self._described(reference))}

    def _described(self, reference: str | None) -> Iterator[dict[str, Any]]:
        for parcel in self._parcels.values():
            if reference in (None, parcel.reference):
                yield {**parcel.as_json(), "reference": parcel.reference}
