"""All that the sandbox remembers, in one place that can be cleared at once."""

from __future__ import annotations

from asyncio import Task
from dataclasses import dataclass, field
from typing import Any

from pydantic.alias_generators import to_camel

from sandbox.carrier import Carrier
from sandbox.faults import Faults
from sandbox.mailbox import Mailbox
from sandbox.payments import PaymentGateway


@dataclass(slots=True)
class RequestRecord:
    """A request to a service as it was seen at the door; `status` stays None when the connection was dropped."""

    method: str
    path: str
    operation: str
    key: str | None
    correlation_id: str | None = None
    reference: str | None = None
    status: int | None = None
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {to_camel(name): getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class World:
    """Gateway, carrier, mailbox, faults to come, and every request seen."""

    payments: PaymentGateway = field(default_factory=PaymentGateway)
    mailbox: Mailbox = field(default_factory=Mailbox)
    faults: Faults = field(default_factory=Faults)
    requests: list[RequestRecord] = field(default_factory=list)
    """Those to the payment gateway."""
    carrier: Carrier = field(default_factory=Carrier)
    carrier_requests: list[RequestRecord] = field(default_factory=list)
    journeys: dict[str, Task[None]] = field(default_factory=dict)
    """By the numbers of the parcels that travel by themselves."""

    def requests_json(self, reference: str | None = None) -> dict[str, Any]:
        """The payment requests in the order they came, or those of one reference."""
        return _described(self.requests, reference)

    def carrier_requests_json(self, reference: str | None = None) -> dict[str, Any]:
        """The same of the requests to the carrier."""
        return _described(self.carrier_requests, reference)

    def clear_journeys(self) -> None:
        """Every parcel stays where it is."""
        while self.journeys:
            self.journeys.popitem()[1].cancel()

    def clear_faults(self) -> None:
        """From now on everything works."""
        self.faults = Faults()

    def clear_mailbox(self) -> None:
        """Throw all mail away."""
        self.mailbox = Mailbox()

    def clear(self) -> None:
        """Forget everything, as if just started."""
        self.payments = PaymentGateway()
        self.requests = []
        self.carrier = Carrier()
        self.carrier_requests = []
        self.clear_journeys()
        self.clear_mailbox()
        self.clear_faults()


def _described(requests: list[RequestRecord], reference: str | None) -> dict[str, Any]:
    return {"requests": [seen.as_json() for seen in requests if reference in (None, seen.reference)]}
