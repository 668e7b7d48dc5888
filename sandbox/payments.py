"""The payment gateway's rules and its ledger, without HTTP: what may be booked, and that a key books once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from sandbox.idempotency import Answer, Answers, RefusedError
from sandbox.models import Authorization, Body, Charge, Refund, Void

CURRENCY = "EUR"
EntryKind = Literal["authorization", "charge", "refund", "void"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. `amount` in minor units; `origin` is the id of the entry that this one builds on."""

    id: str
    kind: EntryKind
    reference: str
    customer: str
    amount: int
    currency: str
    key: str
    at: datetime
    origin: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "reference": self.reference,
            "customer": self.customer,
            "amount": self.amount,
            "currency": self.currency,
            "key": self.key,
            "at": self.at.isoformat(),
        }


@dataclass(slots=True)
class PaymentGateway:
    """One merchant's account in one currency.

    Methods do not wait, so on one event loop each is atomic. The card is never kept.
    """

    _entries: dict[str, Entry] = field(default_factory=dict)
    _built_on: defaultdict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    _answers: Answers = field(default_factory=Answers)

    def authorize(self, key: str, request: Authorization) -> Answer:
        """Promise money without moving it. Raises RefusedError (400 currency, 422 key)."""

        def book() -> Answer:
            _require_currency(request.currency)
            entry = self._add("authorization", request, request.amount, key)
            return Answer(201, {"id": entry.id, "status": "authorized", "amount": entry.amount, "currency": CURRENCY})

        return self._answers.once(key, request, book)

    def charge(self, key: str, request: Charge) -> Answer:
        """Take money against an authorization, never more than it promised.

        Raises RefusedError: 404 no such authorization, 409 voided, too much or another customer's, 422 key.
        """

        def book() -> Answer:
            _require_currency(request.currency)
            authorization = self._find("authorization", request.authorization)
            if any(entry.kind == "void" for entry in self._built_on[authorization.id]):
                raise RefusedError(409, "authorization_voided", f"{authorization.id} was voided")
            if (authorization.reference, authorization.customer) != (request.reference, request.customer):
                raise RefusedError(
                    409, "authorization_mismatch", f"{authorization.id} was given for another reference or customer"
                )
            left = authorization.amount - _total(self._built_on[authorization.id], "charge")
            if request.amount > left:
                raise RefusedError(409, "amount_too_large", f"only {left} of {authorization.id} can be charged")
            entry = self._add("charge", request, request.amount, key, authorization)
            return Answer(201, {"id": entry.id, "status": "charged", "amount": entry.amount, "currency": CURRENCY})

        return self._answers.once(key, request, book)

    def refund(self, key: str, request: Refund) -> Answer:
        """Give money back, over all refunds never more than was charged.

        Raises RefusedError: 404 no such charge, 409 too much or another reference's, 422 key.
        """

        def book() -> Answer:
            charge = self._find("charge", request.charge)
            if charge.reference != request.reference:
                raise RefusedError(409, "charge_mismatch", f"{charge.id} was made for another reference")
            left = charge.amount - _total(self._built_on[charge.id], "refund")
            if request.amount > left:
                raise RefusedError(409, "amount_too_large", f"only {left} of {charge.id} can be refunded")
            entry = self._add("refund", charge, request.amount, key, charge)
            return Answer(201, {"id": entry.id, "status": "refunded", "amount": entry.amount, "currency": CURRENCY})

        return self._answers.once(key, request, book)

    def void(self, key: str, request: Void) -> Answer:
        """Release an authorization; releasing it again changes nothing, whatever the key.

        Raises RefusedError: 404 no such authorization, 409 already charged, 422 key.
        """

        def book() -> Answer:
            authorization = self._find("authorization", request.authorization)
            kinds = {entry.kind for entry in self._built_on[authorization.id]}
            if "charge" in kinds:
                raise RefusedError(409, "already_charged", f"{authorization.id} was charged; refund the charge")
            if "void" not in kinds:
                self._add("void", authorization, authorization.amount, key, authorization)
            return Answer(200, {"id": authorization.id, "status": "voided"})

        return self._answers.once(key, request, book)

    def subject(self, request: Body) -> dict[str, str]:
        """Whose money a request is about: its `reference` and `customer`, looked up where the body does not say."""
        origin = self._entries.get(getattr(request, "charge", None) or getattr(request, "authorization", None) or "")
        subject = {}
        for name in ("reference", "customer"):
            value = getattr(request, name, None) or getattr(origin, name, None)
            if value is not None:
                subject[name] = value
        return subject

    def ledger(self, reference: str | None = None) -> dict[str, Any]:
        """The entries in the order they were booked, and the `balance`: charged minus refunded, in minor units."""
        entries = [entry for entry in self._entries.values() if reference in (None, entry.reference)]
        balance = _total(entries, "charge") - _total(entries, "refund")
        return {"entries": [entry.as_json() for entry in entries], "balance": balance, "currency": CURRENCY}

    def _add(
        self, kind: EntryKind, about: Authorization | Charge | Entry, amount: int, key: str, origin: Entry | None = None
    ) -> Entry:
        entry = Entry(
            id=f"{kind}_{uuid4().hex[:12]}",
            kind=kind,
            reference=about.reference,
            customer=about.customer,
            amount=amount,
            currency=CURRENCY,
            key=key,
            at=datetime.now(UTC),
            origin=origin.id if origin else None,
        )
        self._entries[entry.id] = entry
        if origin:
            self._built_on[origin.id].append(entry)
        return entry

    def _find(self, kind: EntryKind, entry_id: str) -> Entry:
        entry = self._entries.get(entry_id)
        if entry is None or entry.kind != kind:
            raise RefusedError(404, f"unknown_{kind}", f"there is no {kind} {entry_id!r} in the ledger")
        return entry


def _total(entries: Iterable[Entry], kind: EntryKind) -> int:
    return sum(entry.amount for entry in entries if entry.kind == kind)


def _require_currency(currency: str) -> None:
    if currency != CURRENCY:
        raise RefusedError(400, "currency_not_supported", f"this account takes {CURRENCY}, not {currency}")
