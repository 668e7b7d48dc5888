"""The faults ordered by tests and demos: which one, if any, hits the next request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sandbox.models import FaultOrder


@dataclass(slots=True)
class Fault:
    """An order for a fault and how often it has hit so far."""

    id: str
    order: FaultOrder
    hits: int = 0

    @property
    def is_spent(self) -> bool:
        return self.order.times is not None and self.hits >= self.order.times

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, **self.order.model_dump(by_alias=True, exclude_none=True), "hits": self.hits}


@dataclass(slots=True)
class Faults:
    """The faults in the order they were asked for; the first that fits and is not spent hits."""

    _faults: list[Fault] = field(default_factory=list)

    def add(self, order: FaultOrder) -> str:
        """Order a fault and return its id."""
        fault = Fault(f"fault_{uuid4().hex[:12]}", order)
        self._faults.append(fault)
        return fault.id

    def take(self, **subject: str) -> FaultOrder | None:
        """The fault for a request about `subject` (operation, reference, customer or recipient), used up by one."""
        for fault in self._faults:
            wanted = fault.order.when.model_dump(exclude_none=True)
            if not fault.is_spent and all(subject.get(name) == value for name, value in wanted.items()):
                fault.hits += 1
                return fault.order
        return None

    def as_json(self) -> dict[str, Any]:
        return {"faults": [fault.as_json() for fault in self._faults]}
