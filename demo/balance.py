"""Whether it all adds up: pieces, money and mails, from the orders' side and from the world's."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from demo.imported import Imported
from demo.outcomes import Case
from demo.scenarios import REFUND_OPEN, SAMPLES

OF_OTHERS = re.compile(r": parcel |pproval wanted|^(order-import|refund) \S+: |^(Alert|Cleared):")
"""Mails of the carrier's news and to those who run the shop: `demo.told` counts those of which it is known how many."""


@dataclass(frozen=True, slots=True)
class StockLine:
    """One article, in pieces: `left` is what the app's table says."""

    sku: str
    name: str
    start: int
    sold: int
    left: int

    @property
    def is_right(self) -> bool:
        return self.start - self.sold == self.left


@dataclass(frozen=True, slots=True)
class MoneyLine:
    """One sum in minor units, as the orders have it and as the gateway booked it."""

    name: str
    expected: int
    booked: int


@dataclass(frozen=True, slots=True)
class Balance:
    """The two sides of everything that must agree."""

    stock: tuple[StockLine, ...]
    money: tuple[MoneyLine, ...]
    attempts: Mapping[str, tuple[str, str, str]]
    mails_expected: int
    mails: int
    mails_repeated: int
    charged_twice: tuple[str, ...]
    sold: tuple[int, int]
    """How many orders were sold besides the imported ones, and their sum in minor units."""
    refunded: int
    """What was given back to buyers on request, in minor units; orders that were undone are no sales, and not in it."""

    def differences(self) -> list[str]:
        """What does not agree, one sentence each."""
        found = [
            f"{line.sku}: {line.start} less {line.sold} sold is {line.start - line.sold}, but {line.left} are left"
            for line in self.stock
            if not line.is_right
        ]
        found += [
            f"{line.name}: the orders make {line.expected}, the gateway booked {line.booked} (in cents)"
            for line in self.money
            if line.expected != line.booked
        ]
        found += [f"{reference} was charged more than once" for reference in self.charged_twice]
        if self.mails != self.mails_expected:
            found.append(f"{self.mails_expected} mails should have arrived, but {self.mails} did")
        return found


def draw_up(
    cases: Iterable[Case],
    imported: Imported,
    articles: Iterable[dict[str, Any]],
    ledger: dict[str, Any],
    requests: dict[str, Any],
    mailbox: dict[str, Any],
) -> Balance:
    """Compare what was sold with the app's stock and with what the sandbox saw (the bodies of its GETs)."""
    cases = list(cases)
    completed = [case for case in cases if case.last_outcome == "Completed"]
    sales = [case for case in completed if case.scenario.kind == "order"]
    refunds = [case for case in completed if case.scenario.kind == "refund"]
    refunded = sum(json.loads(case.scenario.content)["amount"] for case in refunds)
    refunds_open = [case for case in cases if case.last_outcome == REFUND_OPEN]
    shop = {article["sku"]: article for article in json.loads((SAMPLES / "stock.json").read_text())}
    left = {article["sku"]: article["available"] for article in articles}

    def total(case: Case) -> int:
        return sum(shop[sku]["price"] * quantity for sku, quantity in case.lines.items())

    sold = Counter[str]()
    for case in sales:
        sold.update(case.lines)
    for lines in imported.orders.values():
        sold.update(lines)
    booked: dict[str, int] = defaultdict(int)
    given_back = 0
    charges = Counter[str]()
    for entry in ledger["entries"]:
        sign = {"charge": 1, "refund": -1}.get(entry["kind"], 0)
        # A job that was replayed has a reference for each run: order-A-1015, order-A-1015~2.
        order = entry["reference"].partition("~")[0]
        if entry.get("key", "").startswith("refund-"):
            given_back -= entry["amount"]
        else:
            booked[order] += sign * entry["amount"]
        charges[entry["reference"]] += entry["kind"] == "charge"

    def line(name: str, of: list[Case]) -> MoneyLine:
        return MoneyLine(name, sum(map(total, of)), sum(booked[f"order-{case.scenario.id}"] for case in of))

    return Balance(
        stock=tuple(
            StockLine(sku, article["name"], article["available"], sold[sku], left.get(sku, 0))
            for sku, article in shop.items()
        ),
        money=(
            line(f"{len(sales)} completed orders", sales),
            MoneyLine(f"refund of {', '.join(case.scenario.after or '' for case in refunds)}", -refunded, given_back),
            *(line(f"open refund of {case.scenario.id}", [case]) for case in refunds_open),
            MoneyLine(
                f"{len(imported.orders)} imported orders",
                imported.total,
                sum(booked[f"order-{id}"] for id in imported.orders),
            ),
            MoneyLine("balance", sum(map(total, sales + refunds_open)) + imported.total - refunded, ledger["balance"]),
        ),
        attempts=_attempts(requests),
        mails_expected=len(sales)
        + len(imported.orders)
        + len(refunds)
        + sum(case.scenario.kind == "mail" for case in completed),
        mails=sum(not OF_OTHERS.search(mail["subject"]) for mail in mailbox["messages"]),
        mails_repeated=mailbox["duplicates"],
        charged_twice=tuple(reference for reference, times in charges.items() if times > 1),
        sold=(len(sales), sum(map(total, sales))),
        refunded=refunded,
    )


def _attempts(requests: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """The statuses of each order's requests, of those orders where not every one was answered 201."""
    seen: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    crooked = set()
    for request in requests["requests"]:
        order = (request["reference"] or "").removeprefix("order-")
        column = request["operation"].replace("void", "refund")
        status = str(request["status"] or "no answer")
        seen[order][column].append(status if request["fault"] != "slow" else f"{status} late")
        if request["fault"] or column == "refund":
            crooked.add(order)
    return {
        order: tuple(" ".join(columns[name]) for name in ("authorize", "charge", "refund"))
        for order, columns in sorted(seen.items())
        if order in crooked
    }
